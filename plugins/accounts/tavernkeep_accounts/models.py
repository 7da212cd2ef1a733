"""The tables of users, their keys and their credentials."""

from typing import ClassVar

from tortoise import fields
from tortoise.models import Model


class User(Model):
    """A user."""

    uid = fields.CharField(max_length=64, primary_key=True)
    username = fields.CharField(max_length=100, unique=True)
    is_admin = fields.BooleanField(default=False)
    is_viewer = fields.BooleanField(default=False)
    disabled = fields.BooleanField(default=False)
    avatar_url = fields.CharField(max_length=255, null=True)
    created_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "users"
        ordering: ClassVar = ["created_at"]


class ServiceKey(Model):
    """An API key; of its secret only a digest is kept."""

    id = fields.CharField(max_length=36, primary_key=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField("accounts.User", related_name="service_keys", on_delete=fields.CASCADE)
    name = fields.CharField(max_length=100, null=True)
    prefix = fields.CharField(max_length=16, db_index=True)
    digest = fields.CharField(max_length=64)
    scopes: fields.Field[list[str]] = fields.JSONField()
    created_at = fields.DatetimeField(auto_now_add=True)
    last_used_at = fields.DatetimeField(null=True)
    expires_at = fields.DatetimeField(null=True)

    class Meta:
        table = "service_keys"
        ordering: ClassVar = ["-created_at", "id"]


class SessionRow(Model):
    """A login; of its token only a digest is kept."""

    id = fields.CharField(max_length=36, primary_key=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField("accounts.User", related_name="sessions", on_delete=fields.CASCADE)
    digest = fields.CharField(max_length=64, unique=True)
    address = fields.CharField(max_length=64, null=True)
    agent = fields.CharField(max_length=200)
    created_at = fields.DatetimeField()
    last_seen_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()

    class Meta:
        table = "sessions"
        ordering: ClassVar = ["-last_seen_at", "id"]


class Credential(Model):
    """A credential for a service elsewhere, sealed."""

    id = fields.CharField(max_length=36, primary_key=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField("accounts.User", related_name="credentials", on_delete=fields.CASCADE)
    service_name = fields.CharField(max_length=100)
    display_name = fields.CharField(max_length=100, null=True)
    sealed = fields.TextField()
    hint_prefix = fields.CharField(max_length=8)
    hint_suffix = fields.CharField(max_length=8, null=True)
    created_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "credentials"
        ordering: ClassVar = ["-created_at", "id"]
