"""What is to be written of executions, made ready, and written: all that waits in one transaction."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from typing import Any, Final

import attrs
import msgspec

from tavernkeep.contracts.events import Event
from tavernkeep.contracts.execution import Submission
from tavernkeep.contracts.storage import Missed, Storage, Write, storable
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep_history.damage import UNREADABLE, Damaged
from tavernkeep_history.life import Life, Replaced
from tavernkeep_history.models import EventBlock, ExecutionRow
from tavernkeep_history.packing import Block, blocks_of, message_of
from tavernkeep_secrets.contracts import Secrets

_decode = msgspec.json.Decoder(WorkflowPayload).decode
_LITTLE: Final = 32 * 1024  # bytes that are packed and sealed at once: a thread would take longer to be woken
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
        messages: Of the first of the events, as they are kept: of all when it is ready.
        payload: That of a new execution; `sealed` as it is kept.
        size: Of the messages, in bytes.
        error: Why it cannot be written although others can.
    """

    execution_id: str
    epoch: int
    row: dict[str, Any]
    submission: Submission | None
    events: list[Event]
    told: list[Event]
    messages: list[bytes] = attrs.field(factory=list)
    blocks: list[Block] = attrs.field(factory=list)
    payload: bytes | None = None
    sealed: str | None = None
    size: int = 0
    error: Exception | None = None


class Overtaken(Exception):
    """An execution has been taken up by another process, or is forgotten: nothing is written of it.

    Attributes:
        entry: What was to be written of it.
    """

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.execution_id)
        self.entry = entry


@attrs.frozen
class Writer:
    """Writes entries.

    Attributes:
        most: How many bytes of one message are kept.
        thread: Where much is packed.
        life: That in which something is accepted; `None` where this is no server.
    """

    storage: Storage
    secrets: Secrets
    most: int
    thread: Executor
    life: Life | None

    async def make_ready(self, entries: Sequence[Entry]) -> None:
        """Pack the events and seal the payloads. What cannot be made ready has an `error`."""
        if self._encode(entries, _LITTLE):
            self._pack(entries)
        else:
            await asyncio.get_running_loop().run_in_executor(self.thread, self._finish, entries)

    def _finish(self, entries: Sequence[Entry]) -> None:
        self._encode(entries, None)
        self._pack(entries)

    def _encode(self, entries: Sequence[Entry], room: int | None) -> bool:
        """Encode what is not encoded yet; tells whether it is all of it, and no more than there is room for."""
        for entry in entries:
            if entry.error is not None:
                continue
            try:
                for event in entry.events[len(entry.messages) :]:
                    message = message_of(event, self.most)
                    entry.messages.append(message)
                    entry.size += len(message)
                    if room is not None and (room := room - len(message)) < 0:
                        return False
                if entry.submission is not None and entry.sealed is None and entry.payload is None:
                    entry.payload = _encode(entry.submission.payload)
                    if room is not None and (room := room - len(entry.payload)) < 0:
                        return False
            except MemoryError:
                raise
            except Exception as error:
                entry.error = error
        return True

    def _pack(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if entry.error is not None:
                continue
            try:
                entry.blocks = blocks_of(entry.events, entry.messages)
                if entry.payload is not None:
                    entry.sealed = self.secrets.seal(entry.payload.decode())
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
            Replaced: One of them is new, and nothing new is this process's any more.
        """
        writes = [(entry, write) for entry in entries for write in _writes_of(entry)]
        is_new = any(entry.submission is not None for entry in entries)
        guard = self.life.guard() if self.life is not None and is_new else []
        try:
            await self.storage.write([*guard, *(write for _, write in writes)])
        except Missed as missed:
            if missed.at < len(guard):
                raise Replaced from None
            raise Overtaken(writes[missed.at - len(guard)][0]) from None


def _writes_of(entry: Entry) -> Iterator[Write]:
    row, mine = storable(entry.row), {"id": entry.execution_id, "epoch": entry.epoch}
    if entry.submission is None:
        if row:
            yield Write(ExecutionRow, row, key=mine, must=True)
    else:
        if row.get("request_id") is not None:  # of more than a day ago, else this execution would not be
            yield Write(ExecutionRow, {"request_id": None}, key={"user_id": row["user_id"], "request_id": row["request_id"]})
        yield Write(ExecutionRow, mine | {"payload": entry.sealed} | row)
    for block in entry.blocks:
        yield Write(EventBlock, {"execution_id": entry.execution_id, **block.columns()})


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
