"""The tables of logins, invitations and tokens for a new password."""

from typing import ClassVar

from tortoise import fields
from tortoise.models import Model


class Login(Model):
    """How a user logs in. The time step of the last one-time code is kept, so that none is good twice."""

    uid = fields.CharField(max_length=64, primary_key=True)
    password = fields.CharField(max_length=200, null=True)  # an argon2id hash; who has none cannot log in by a password
    totp = fields.TextField(null=True)  # sealed
    totp_confirmed = fields.BooleanField(default=False)
    totp_last_step = fields.BigIntField(default=0)

    class Meta:
        table = "logins"


class OidcIdentity(Model):
    """Who a user is at an identity provider."""

    id = fields.IntField(primary_key=True)
    issuer = fields.CharField(max_length=255)
    subject = fields.CharField(max_length=255)
    uid = fields.CharField(max_length=64)

    class Meta:
        table = "oidc_identities"
        unique_together: ClassVar = (("issuer", "subject"),)


class Ticket(Model):
    """A right to do one thing once: to register, or to set a new password."""

    id = fields.CharField(max_length=36, primary_key=True)
    digest = fields.CharField(max_length=64, unique=True)
    purpose = fields.CharField(max_length=12)  # invitation, reset
    uid = fields.CharField(max_length=64, null=True)
    role = fields.CharField(max_length=12, default="user")
    created_by = fields.CharField(max_length=64, null=True)
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()

    class Meta:
        table = "login_tickets"
        ordering: ClassVar = ["-created_at", "id"]
