"""The tables of channels and models."""

from typing import Any, ClassVar

from tortoise import fields
from tortoise.models import Model


class ChannelRow(Model):
    """A service that answers; its key is sealed."""

    id = fields.CharField(max_length=36, primary_key=True)
    user_id = fields.CharField(max_length=64, db_index=True)
    label = fields.CharField(max_length=200)
    adapter = fields.CharField(max_length=50)
    base_url = fields.CharField(max_length=2000)
    sealed_key = fields.TextField()
    sealed_headers = fields.TextField(null=True)  # a JSON object; some services take their key in a header of their own
    key_hint = fields.CharField(max_length=20)
    content: fields.Field[dict[str, Any]] = fields.JSONField()  # the rest, as it was sent
    disabled = fields.BooleanField(default=False)
    created_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "llm_channels"
        ordering: ClassVar = ["created_at", "id"]


class ModelRow(Model):
    """A model that a user has activated."""

    id = fields.IntField(primary_key=True)
    user_id = fields.CharField(max_length=64)
    model_id = fields.CharField(max_length=300)
    content: fields.Field[dict[str, Any]] = fields.JSONField()
    created_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "llm_models"
        unique_together = (("user_id", "model_id"),)
        ordering: ClassVar = ["created_at", "id"]
