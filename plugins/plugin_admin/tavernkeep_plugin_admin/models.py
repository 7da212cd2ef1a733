"""The table of plugin settings."""

from typing import Any, ClassVar

from tortoise import fields
from tortoise.models import Model


class PluginSettings(Model):
    """What a user has set for a plugin."""

    id = fields.IntField(primary_key=True)
    user_id = fields.CharField(max_length=64)
    plugin = fields.CharField(max_length=200)
    content: fields.Field[dict[str, Any]] = fields.JSONField()

    class Meta:
        table = "plugin_settings"
        unique_together: ClassVar = (("user_id", "plugin"),)
