"""The table of what was done."""

from typing import Any, ClassVar

from tortoise import fields
from tortoise.models import Model


class AuditRow(Model):
    """One action that an operator may have to look up."""

    id = fields.BigIntField(primary_key=True)
    at = fields.DatetimeField(db_index=True)
    action = fields.CharField(max_length=60)
    uid = fields.CharField(max_length=64, null=True, db_index=True)
    username = fields.CharField(max_length=100, null=True)
    credential = fields.CharField(max_length=64)
    target = fields.CharField(max_length=200)
    address = fields.CharField(max_length=64, null=True)
    details: fields.Field[dict[str, Any]] = fields.JSONField()

    class Meta:
        table = "audit"
        ordering: ClassVar = ["-id"]
