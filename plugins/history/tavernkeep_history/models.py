"""The tables of executions and their events."""

import json
from typing import Any, ClassVar

from tortoise import fields
from tortoise.models import Model

from tavernkeep.contracts.execution import ExecutionStatus


def _sound(text: str | bytes) -> Any:
    """What a column of JSON holds; `None` where something else was written over it: a page must not fail of one of its rows."""
    try:
        return json.loads(text)
    except ValueError:
        return None


class ExecutionRow(Model):
    """An execution, from its submission on. Times are milliseconds since 1970, UTC."""

    id = fields.CharField(max_length=64, primary_key=True)
    number = fields.BigIntField(default=0)  # the order in which they were accepted, whatever the clock said
    epoch = fields.IntField(
        default=1
    )  # raised when a process takes it up; whoever writes about it names it, and changes nothing of another's
    attempts = fields.IntField(default=0)  # how often a process ended, without having been told to, while nodes of it were at work
    paused = fields.BooleanField(default=False)  # the process that it ran in was told to end
    user_id = fields.CharField(max_length=64)
    user: fields.Field[dict[str, Any]] = fields.JSONField(decoder=_sound)  # who ran it, with the scopes that they had
    status = fields.CharField(max_length=16, db_index=True)
    workflow_name = fields.CharField(max_length=300, null=True)
    project_id = fields.CharField(max_length=300, null=True)
    submitted_at = fields.BigIntField()
    started_at = fields.BigIntField(null=True)
    completed_at = fields.BigIntField(null=True)
    duration_ms = fields.BigIntField(null=True)
    error_info: fields.Field[dict[str, Any] | None] = fields.JSONField(decoder=_sound, null=True)
    warnings: fields.Field[list[str]] = fields.JSONField(decoder=_sound)
    payload = fields.TextField()  # sealed: what is typed into a node may be a key
    last_seq = fields.BigIntField(default=0)
    reserved_seq = fields.BigIntField(default=0)  # events up to this number may have been told, also those that are not recorded
    request_id = fields.CharField(max_length=300, null=True)  # for a day; another attempt at the same request finds this
    complete = fields.BooleanField(default=True)  # no event was left out
    cut: fields.Field[list[str] | None] = fields.JSONField(
        decoder=_sound, null=True
    )  # the nodes of which chunks were left out, where that is known

    class Meta:
        table = "executions"
        ordering: ClassVar = ["-number"]
        indexes: ClassVar = [("user_id", "number"), ("number",)]
        unique_together: ClassVar = [("user_id", "request_id")]

    @property
    def stands(self) -> ExecutionStatus:
        """Its status; one that there is not is an error."""
        try:
            return ExecutionStatus(self.status)
        except ValueError:
            return ExecutionStatus.ERROR

    @property
    def username(self) -> str:
        """Who ran it; where that cannot be read, by the id."""
        name = self.user.get("username") if isinstance(self.user, dict) else None
        return name if isinstance(name, str) else str(self.user_id)


class LifeRow(Model):
    """The one row of the life that a server has on this database; see `life`."""

    id = fields.IntField(primary_key=True, generated=False)
    name = fields.CharField(max_length=64)
    place = fields.CharField(max_length=64, null=True)  # of the database, when it began

    class Meta:
        table = "execution_life"


class EventBlock(Model):
    """Some events of an execution that follow each other: their messages, compressed; see `packing`."""

    id = fields.BigIntField(primary_key=True)
    execution: fields.ForeignKeyRelation[ExecutionRow] = fields.ForeignKeyField(
        "history.ExecutionRow", related_name="blocks", on_delete=fields.CASCADE
    )
    execution_id: str
    first_seq = fields.BigIntField()
    last_seq = fields.BigIntField()
    lines = fields.BinaryField()
    inexact: fields.Field[list[int]] = fields.JSONField(decoder=_sound)  # the numbers of those that do not say what the node gave

    class Meta:
        table = "execution_events"
        ordering: ClassVar = ["first_seq"]
        indexes: ClassVar = [("execution", "last_seq")]  # by which each read finds its place, instead of sorting blobs
