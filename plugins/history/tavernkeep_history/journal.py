"""The journal of executions: what happens is written, and then told."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from tavernkeep import UserContext
from tavernkeep.contracts.bus import EventBus
from tavernkeep.contracts.events import Event, StatusUpdate
from tavernkeep.contracts.execution import SHUTDOWN, ExecutionStatus, JournalStats, Opening, Unfinished
from tavernkeep.contracts.storage import WANTING, Storage, Unavailable
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep_history.book import Book, leave_out
from tavernkeep_history.committing import Committing
from tavernkeep_history.config import HistoryConfig
from tavernkeep_history.durability import Durability
from tavernkeep_history.forgetting import Forgetting
from tavernkeep_history.joining import Joining
from tavernkeep_history.life import Replaced
from tavernkeep_history.models import ExecutionRow
from tavernkeep_history.outcomes import Outcomes
from tavernkeep_history.record import EVENT, MINOR, Record, now_ms
from tavernkeep_history.taking_up import TakingUp
from tavernkeep_history.writing import Writer, payload_of
from tavernkeep_secrets.contracts import Secrets

_DAY_MS: Final = 24 * 60 * 60 * 1000
_RESERVED: Final = 2000  # event numbers at once
_LOOKED_UP: Final = 500  # executions at once
_NAME: Final = 300  # characters


class Journal:
    """See `tavernkeep.contracts.execution.ExecutionJournal`; it is the engine's `LeftOpen`, too."""

    def __init__(self, storage: Storage, secrets: Secrets, events: EventBus, config: HistoryConfig, taking_up: TakingUp) -> None:
        self._secrets = secrets
        self._events = events
        self._config = config
        self._life = taking_up.life
        self._strict = config.durability is Durability.STRICT
        self._taking_up = taking_up
        self._number = 0  # of the last that was accepted
        self._counted = False  # before, nothing new is taken: that is a problem
        self._began_ms = now_ms() - int(time.monotonic() * 1000)
        self._book = Book()
        # Its own: what nodes do in threads may take all of the others.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")
        self._forgetting = Forgetting(config.max_executions)
        self._joining = Joining(storage, self._thread)
        self._outcomes = Outcomes(self._book, events, config, self._forgetting, self._joining, self.note)
        writer = Writer(storage, secrets, config.max_output_bytes, self._thread, self._life)
        self._committing = Committing(self._book, storage, writer, events, self._outcomes, self._count, strict=self._strict)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def problem(self) -> str | None:
        """See `ExecutionJournal`."""
        return self._committing.problem

    # What the scheduler and the bus give

    def open(self, opening: Opening) -> None:
        """See `ExecutionJournal`."""
        submission, unfinished = opening.submission, opening.unfinished
        payload, user = submission.payload, submission.user
        self._number += unfinished is None
        row: dict[str, Any] = {
            "number": self._number,
            "user_id": user.uid,
            "user": {"username": user.username, "isAdmin": user.is_admin, "scopes": sorted(user.scopes), "credential": user.credential},
            "status": ExecutionStatus.QUEUED.value,
            "workflow_name": payload.name and payload.name[:_NAME],
            "project_id": payload.project_id and payload.project_id[:_NAME],
            "submitted_at": opening.submitted_at,
            "warnings": opening.warnings,
            "request_id": payload.request_id,
        }
        if unfinished is None:
            record = Record(opening, 1, row, False, 0, 0, 0, 0)
        else:
            last = unfinished.last_seq
            record = Record(opening, unfinished.epoch, {}, True, last, last, last, last)
        if not self._strict:
            self._reserve(record)
        self._book.open[record.id] = record
        self._book.change(record, urgent=True)

    def note(self, event: Event) -> None:
        """Keep an event, then have it delivered; a notice behind the events that were published before it."""
        if not event.execution_id:
            if self._book.changed or self._book.committing:
                self._book.notices.append(event)
                self._book.news.set()
            else:
                self._events.deliver(event)
            return
        record = self._book.open.get(event.execution_id)
        if record is None:
            self._events.deliver(event)
            return
        if record.broken is not None and not (isinstance(event, StatusUpdate) and event.status.is_final):
            return
        if isinstance(event, StatusUpdate) and self._config.resume and (event.error_info or {}).get("type") == SHUTDOWN:
            self._pause(record, event)
            return
        record.last_seq = event.seq
        if isinstance(event, MINOR) and self._is_too_much(record, event):
            leave_out(record, [event])
            record.left_out.add(event.seq)
        else:
            record.last_kept = event.seq
        record.events.append(event)
        record.bytes_waiting += EVENT
        self._book.noted += 1
        if isinstance(event, StatusUpdate):
            self._note_status(record, event)
        if not self._strict:
            if event.seq > record.wanted - _RESERVED // 2:
                self._reserve(record)
            if not record.holding and event.seq <= record.reserved:
                self._outcomes.deliver(record, event)
            else:
                record.holding = True
        self._book.change(record, urgent=record.holding)

    def _is_too_much(self, record: Record, event: Event) -> bool:
        record.chunks += 1
        return record.chunks > self._config.max_chunks or record.size > self._config.max_event_bytes

    def _note_status(self, record: Record, event: StatusUpdate) -> None:
        status, info, times = event.status, event.error_info, record.opening.times()
        record.last = status.is_final
        record.row |= {"status": status.value, "error_info": info, "started_at": times.started_at, "completed_at": times.completed_at}
        record.row["duration_ms"] = record.opening.ran_ms()

    def _pause(self, record: Record, event: StatusUpdate) -> None:
        """It stays where it stood, to be gone on with: that is no end, and nobody is told of one."""
        record.last, record.last_seq = True, event.seq
        # What was told is written with this, so no number is reserved any more.
        record.row |= {"paused": True, "duration_ms": record.opening.ran_ms(), "reserved_seq": 0}
        self._book.change(record, urgent=True)

    def _reserve(self, record: Record) -> None:
        record.wanted = max(record.wanted, record.last_seq) + _RESERVED
        record.row["reserved_seq"] = record.wanted

    def unfinished(self) -> AsyncIterator[Unfinished]:
        """See `ExecutionJournal`."""
        return self._taking_up.unfinished(self._book.open)

    async def interrupt(self, execution_id: str) -> bool:
        """See `tavernkeep_engine.contracts.LeftOpen`."""
        end = await self._taking_up.interrupt_unopened(execution_id)
        if end is not None:
            self._events.deliver(end)
        return end is not None

    async def give_up(self, unfinished: Unfinished, error_info: Mapping[str, Any]) -> None:
        """See `ExecutionJournal`."""
        await self._taking_up.give_up(unfinished, error_info)

    async def earlier(self, user: UserContext, request_id: str) -> tuple[str, WorkflowPayload] | None:
        """See `ExecutionJournal`."""
        # A day by both clocks: where one was set, who asks again at once is not to be given another execution.
        since = min(now_ms(), self._began_ms + int(time.monotonic() * 1000)) - _DAY_MS
        row = await ExecutionRow.get_or_none(user_id=user.uid, request_id=request_id, submitted_at__gt=since)
        if row is None or row.id in self._book.refused:
            return None
        return row.id, await asyncio.to_thread(payload_of, row, self._secrets)

    async def written(self, execution_id: str) -> None:
        """See `ExecutionJournal`."""
        record = self._book.open.get(execution_id)
        if record is None or (record.known and record.last_written >= record.last_kept):
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        record.waiters.append((record.last_kept, future))
        self._book.change(record, urgent=True)
        await future

    async def confirm(self) -> None:
        """See `ExecutionJournal`."""
        if self._life is not None:
            try:
                await self._life.confirm()
            except Replaced:
                self._committing.is_replaced = True
                await self.flush()
                return
        known = [record for record in self._book.open.values() if record.known and not record.last]
        epochs: dict[str, int] = {}
        for start in range(0, len(known), _LOOKED_UP):
            ids = [record.id for record in known[start : start + _LOOKED_UP]]
            epochs |= dict(await ExecutionRow.filter(id__in=ids).values_list("id", "epoch"))
        self._book.overtaken.update(record.id for record in known if epochs.get(record.id) != record.epoch)
        if self._book.overtaken:
            await self.flush()

    async def flush(self) -> None:
        """See `ExecutionJournal`."""
        if not self._tasks or self._tasks[0].done():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._committing.flushed.append(future)
        self._book.hurry()
        await future

    def stats(self) -> JournalStats:
        """See `ExecutionJournal`."""
        book = self._book
        return JournalStats(book.noted - book.written, sum(r.bytes_waiting for r in book.open.values()), book.commits, book.failed)

    # Its tasks

    async def _count(self) -> None:
        if self._life is not None:
            await self._life.begin()
        if not self._counted:
            last = await ExecutionRow.all().first().only("number")
            self._number, self._counted = last.number if last else 0, True

    async def start(self) -> None:
        """Begin to write; what is to be known for that and cannot be read at present is a `problem`, like any other."""
        try:
            await self._count()
        except (Unavailable, *WANTING) as error:
            self._committing.stand(error)
        self._thread.submit(lambda: None)  # there is a thread from now on, also when there are none left for anybody
        self._tasks = [
            asyncio.create_task(self._committing.commit_always(), name="history writes"),
            asyncio.create_task(self._forgetting.forget_always(), name="history forgets"),
            asyncio.create_task(self._joining.join_always(), name="history joins"),
        ]

    async def close(self) -> None:
        """Write what waits, and end.

        Raises:
            RuntimeError: Not all of it can be written; the executions are named.
        """
        if not self._tasks:
            return
        self._book.closing = True
        self._book.hurry()
        writes, *others = self._tasks
        await asyncio.wait([writes])
        for task in others:
            task.cancel()
        await asyncio.wait(others)
        self._thread.shutdown(wait=False)
        if self._book.changed:
            raise RuntimeError(f"what happened last to executions cannot be written: {', '.join(self._book.changed)[:_NAME]}")
