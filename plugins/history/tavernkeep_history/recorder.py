"""Takes note of every event, and writes what has come together at once: many events, and many executions, in one transaction."""

import asyncio
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from typing import Any, Final

import attrs
import msgspec
import structlog
from tortoise.exceptions import BaseORMException

from tavernkeep import UserContext
from tavernkeep.contracts.events import Event, InterfaceYield, NodeProgress, NodeYield, StatusUpdate
from tavernkeep.contracts.execution import SHUTDOWN, Scheduler, Submission
from tavernkeep.contracts.storage import Storage, Unavailable, storable
from tavernkeep.finish import finishing
from tavernkeep_history.config import HistoryConfig
from tavernkeep_history.models import EventBlock, ExecutionRow
from tavernkeep_history.packing import Block, packed
from tavernkeep_secrets.contracts import Secrets

_log = structlog.get_logger(__name__)

_GATHER_S: Final = 0.1  # what a crash may cost, and how often at most there is a transaction
_RETRY_S: Final = 1.0
_WAITING: Final = 100_000  # events that may wait for a slow disk; of more, those of streams and progress are left out
_MINOR: Final = (NodeYield, InterfaceYield, NodeProgress)
_NAME: Final = 300  # characters
_encode = msgspec.json.Encoder().encode  # of attrs classes as they are, by the names of their attributes


@attrs.define(eq=False)
class _Record:
    """An execution that is being recorded; `row` holds what is to be written of it."""

    id: str
    submission: Submission
    row: dict[str, Any]
    events: list[Event] = attrs.field(factory=list)
    size: int = 0
    chunks: int = 0
    complete: bool = True


class Recorder:
    """An event sink, and the task that writes what it has taken note of.

    Events are written in the order in which they happened, those that wait in one transaction. Where the disk is full they wait, and the
    server goes on.
    """

    def __init__(self, storage: Storage, scheduler: Callable[[], Scheduler], secrets: Secrets, config: HistoryConfig) -> None:
        self.problem: str | None = None
        self._storage = storage
        self._scheduler = scheduler
        self._secrets = secrets
        self._config = config
        self._open: dict[str, _Record] = {}
        self._changed: dict[str, _Record] = {}
        self._waiting = 0
        self._news = asyncio.Event()
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def note(self, event: Event) -> None:
        """Take note of an event."""
        if not event.execution_id:
            return
        record = self._open.get(event.execution_id) or self._begin(event.execution_id)
        if record is None:
            return
        if isinstance(event, _MINOR):
            record.chunks += 1
            if record.chunks > self._config.max_chunks or record.size > self._config.max_event_bytes or self._waiting > _WAITING:
                record.complete = False
                return
        record.events.append(event)
        self._waiting += 1
        if isinstance(event, StatusUpdate):
            self._note_status(record, event)
        self._changed[record.id] = record
        self._news.set()

    def _begin(self, execution_id: str) -> _Record | None:
        submission = self._scheduler().submission(execution_id)
        detail = self._scheduler().detail(execution_id, submission.user) if submission else None
        if submission is None or detail is None:
            return None
        payload, user = submission.payload, submission.user
        row = {
            "user_id": user.uid,
            "user": {"username": user.username, "isAdmin": user.is_admin, "scopes": sorted(user.scopes)},
            "status": detail.status.value,
            "workflow_name": payload.name and payload.name[:_NAME],
            "project_id": payload.project_id and payload.project_id[:_NAME],
            "submitted_at": detail.submitted_at,
            "warnings": detail.warnings,
        }
        record = self._open[execution_id] = _Record(execution_id, submission, row)
        return record

    def _note_status(self, record: _Record, event: StatusUpdate) -> None:
        status, info = event.status, event.error_info
        if info and info.get("type") == SHUTDOWN and self._config.resume:
            del self._open[record.id]  # it stays where it stood, to be gone on with
            return
        record.row |= {"status": status.value, "error_info": info}
        if (times := self._scheduler().info(record.id)) is not None:
            record.row |= {"started_at": times.started_at, "completed_at": times.completed_at}
        if status.is_final:
            del self._open[record.id]

    # Writing

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._write_always(), name="history")

    async def close(self) -> None:
        """Write what waits, and end."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            await self._attempt()

    async def _write_always(self) -> None:
        while True:
            await self._news.wait()
            await asyncio.sleep(_GATHER_S)
            if not await self._attempt():
                await asyncio.sleep(_RETRY_S)

    async def _attempt(self) -> bool:
        try:
            await self.flush()
        except (BaseORMException, Unavailable, OSError) as error:
            if self.problem is None:
                _log.error("executions cannot be recorded at present", error=str(error))
            self.problem = f"Executions cannot be recorded: {error}"
            self._news.set()
            return False
        return True

    @finishing
    async def flush(self) -> None:
        """Write everything that has been noted so far."""
        async with self._writing:
            self._news.clear()
            changed, self._changed = self._changed, {}
            taken = {id_: record.events for id_, record in changed.items()}
            for record in changed.values():
                record.events = []
            try:
                most = self._config.max_output_bytes
                # What failed may have happened all the same, when it was the end of a transaction: it is not written twice.
                known = {row.id: row.last_seq for row in await ExecutionRow.filter(id__in=list(changed)).only("id", "last_seq")}
                new = {id_: [event for event in events if event.seq > known.get(id_, 0)] for id_, events in taken.items()}
                blocks = {id_: await asyncio.to_thread(packed, events, most) for id_, events in new.items()}
                await self._write(changed, blocks, known)
            except BaseException:
                for id_, record in changed.items():
                    record.events[:0] = taken[id_]
                self._changed = changed | self._changed
                raise
            self.problem = None
            self._waiting -= sum(map(len, taken.values()))
            for user_id in {record.row["user_id"] for record in changed.values() if record.id not in self._open}:
                await self._forget_old(user_id)

    async def _write(self, changed: Mapping[str, _Record], blocks: Mapping[str, list[Block]], known: Container[str]) -> None:
        sealed = {id_: await asyncio.to_thread(self._seal, changed[id_].submission) for id_ in changed if id_ not in known}
        async with self._storage.transaction():
            for id_, record in changed.items():
                row = storable(record.row | {"complete": record.complete})
                if blocks[id_]:
                    row["last_seq"] = blocks[id_][-1].last_seq
                if id_ in known:
                    await ExecutionRow.filter(id=id_).update(**row)
                else:
                    await ExecutionRow.create(id=id_, payload=sealed[id_], **row)
                for block in blocks[id_]:
                    await EventBlock.create(
                        execution_id=id_, first_seq=block.first_seq, last_seq=block.last_seq, lines=block.lines, inexact=block.inexact
                    )
        for id_, record in changed.items():
            record.size += sum(block.size for block in blocks[id_])

    def _seal(self, submission: Submission) -> str:
        return self._secrets.seal(_encode(submission.payload).decode())

    async def _forget_old(self, user_id: str) -> None:
        old = await ExecutionRow.filter(user_id=user_id).offset(self._config.max_executions).limit(1000).values_list("id", flat=True)
        if old:
            await ExecutionRow.filter(id__in=old, completed_at__isnull=False).delete()


def user_of(row: ExecutionRow) -> UserContext:
    """Who ran an execution."""
    return UserContext(row.user_id, row.user["username"], row.user["isAdmin"], frozenset(row.user["scopes"]))
