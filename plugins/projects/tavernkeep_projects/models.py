"""The table of shares."""

from typing import ClassVar

from tortoise import fields
from tortoise.models import Model


class ProjectShare(Model):
    """A project that its owner lets another user, or everybody, see."""

    id = fields.IntField(primary_key=True)
    owner = fields.CharField(max_length=64, db_index=True)
    project_id = fields.CharField(max_length=255)
    grantee = fields.CharField(max_length=64, default="")  # nobody in particular: everybody
    writable = fields.BooleanField(default=False)

    class Meta:
        table = "project_shares"
        unique_together: ClassVar = (("owner", "project_id", "grantee"),)
