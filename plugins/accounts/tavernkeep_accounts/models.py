"""The tables of users."""

from typing import ClassVar

from tortoise import fields
from tortoise.models import Model


class User(Model):
    """A user."""

    uid = fields.CharField(max_length=64, primary_key=True)
    username = fields.CharField(max_length=100, unique=True)
    is_admin = fields.BooleanField(default=False)
    avatar_url = fields.CharField(max_length=255, null=True)
    created_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "users"
        ordering: ClassVar = ["created_at"]
