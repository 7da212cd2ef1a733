"""What is to be written of executions, made ready in a thread, and written: all that waits in one transaction."""

from collections.abc import Sequence
from typing import Any

import attrs
import msgspec

from tavernkeep.contracts.events import Event
from tavernkeep.contracts.execution import Submission
from tavernkeep.contracts.storage import Storage, storable
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep_history.damage import UNREADABLE, Damaged
from tavernkeep_history.models import EventBlock, ExecutionRow
from tavernkeep_history.packing import Block, packed
from tavernkeep_secrets.contracts import Secrets

_decode = msgspec.json.Decoder(WorkflowPayload).decode
_encode = msgspec.json.Encoder().encode  # of attrs classes as they are, by the names of their attributes


@attrs.define(eq=False)
class Entry:
    """What is to be written of one execution.

    Attributes:
        epoch: Of the life in which it happened.
        row: Columns with their new values; of a new execution all of them but `payload`.
        submission: Of a new execution.
        events: That follow each other; where there is none only the row is written.
        told: These, and those that are not written.
        sealed: The payload of a new execution, once it is sealed.
        error: Why it cannot be written although others can.
    """

    execution_id: str
    epoch: int
    row: dict[str, Any]
    submission: Submission | None
    events: list[Event]
    told: list[Event]
    blocks: list[Block] = attrs.field(factory=list)
    sealed: str | None = None
    error: Exception | None = None

    @property
    def size(self) -> int:
        """That of its messages before they were compressed, in bytes."""
        return sum(block.size for block in self.blocks)


class Overtaken(Exception):
    """An execution has been taken up by another process, or is forgotten: nothing is written of it."""


@attrs.frozen
class Writer:
    """Writes entries.

    Attributes:
        most: How many bytes of one message are kept.
    """

    storage: Storage
    secrets: Secrets
    most: int

    def make_ready(self, entries: Sequence[Entry]) -> None:
        """Pack the events and seal the payloads; from any thread. What cannot be made ready has an `error`."""
        for entry in entries:
            try:
                entry.blocks = packed(entry.events, self.most)
                if entry.submission is not None and entry.sealed is None:
                    entry.sealed = self.secrets.seal(_encode(entry.submission.payload).decode())
            except MemoryError:
                raise
            except Exception as error:
                entry.error = error

    async def forget(self, execution_ids: Sequence[str]) -> None:
        """Leave nothing of executions that were not accepted after all."""
        async with self.storage.transaction():
            await ExecutionRow.filter(id__in=list(execution_ids)).delete()

    async def write(self, entries: Sequence[Entry]) -> None:
        """Write all of them, or none.

        Raises:
            Overtaken: One of them is not this process's any more.
        """
        async with self.storage.transaction():
            for entry in entries:
                row = storable(entry.row)
                if entry.submission is None:
                    if row and not await ExecutionRow.filter(id=entry.execution_id, epoch=entry.epoch).update(**row):
                        raise Overtaken(entry.execution_id)
                    continue
                if row.get("request_id") is not None:  # of more than a day ago, else this execution would not be
                    await ExecutionRow.filter(user_id=row["user_id"], request_id=row["request_id"]).update(request_id=None)
                await ExecutionRow.create(id=entry.execution_id, payload=entry.sealed, **row)
            blocks = [_row_of(entry.execution_id, block) for entry in entries for block in entry.blocks]
            if len(blocks) == 1:  # as for all small workflows: `add_all` would be two statements more
                await blocks[0].save(force_create=True)
            else:
                await self.storage.add_all(blocks)


def _row_of(execution_id: str, block: Block) -> EventBlock:
    return EventBlock(execution_id=execution_id, **block.columns())


def payload_of(row: ExecutionRow, secrets: Secrets) -> WorkflowPayload:
    """What was submitted; from any thread.

    Raises:
        ApiError: 503, it was sealed with another key.
        Damaged: It cannot be read.
    """
    text = secrets.open(row.payload)
    try:
        return _decode(text)
    except UNREADABLE as error:
        raise Damaged(row.id, "its workflow") from error
