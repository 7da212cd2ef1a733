"""The journal of executions: what happens is written, and then told.

What has come together while the last commit ran is the next one; it begins when the event loop had nothing more to add for a turn, so that
a small workflow costs one commit for its acceptance and its end. Nothing here waits for a clock but the pause after a failure.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Final

import attrs
import structlog

from tavernkeep import UserContext
from tavernkeep.contracts.bus import EventBus
from tavernkeep.contracts.events import Event, InterfaceYield, NodeProgress, NodeYield, Notice, StatusUpdate
from tavernkeep.contracts.execution import SHUTDOWN, ExecutionStatus, JournalStats, Opening, RefusalReason, Refused, Unfinished
from tavernkeep.contracts.storage import Storage, Unavailable
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep_history.config import HistoryConfig
from tavernkeep_history.durability import Durability
from tavernkeep_history.forgetting import Forgetting
from tavernkeep_history.joining import Joining
from tavernkeep_history.models import ExecutionRow
from tavernkeep_history.record import Record, now_ms
from tavernkeep_history.taking_up import TakingUp
from tavernkeep_history.writing import Entry, Overtaken, Writer, payload_of
from tavernkeep_secrets.contracts import Secrets

_log = structlog.get_logger(__name__)

_TURNS: Final = 12  # of the event loop that a commit waits for more at most
_SLICE: Final = 500  # events that are delivered before others on the event loop get their turn
_RELAXED_S: Final = 0.1
_RETRY_S: Final = 1.0
_TRIES: Final = 3  # of what concerns one execution alone
_DAY_MS: Final = 24 * 60 * 60 * 1000
_RESERVED: Final = 2000  # event numbers at once
_EVENT: Final = 400  # bytes of an event beside what it carries, roughly
_MINOR: Final = (NodeYield, InterfaceYield, NodeProgress)
_NAME: Final = 300  # characters
_EVERYTHING: Final = (Unavailable, OSError, MemoryError, RuntimeError)  # what these say concerns more than one execution


@attrs.define(eq=False)
class RecordingUpdate(Notice):
    """Executions can no longer be recorded, or can again."""

    type: ClassVar = "SYSTEM_RECORDING_UPDATE"
    recording: bool
    message: str | None = None


class Journal:
    """See `tavernkeep.contracts.execution.ExecutionJournal`."""

    def __init__(self, storage: Storage, secrets: Secrets, events: EventBus, config: HistoryConfig, taking_up: TakingUp) -> None:
        self.problem: str | None = None
        self._storage = storage
        self._secrets = secrets
        self._events = events
        self._config = config
        self._strict = config.durability is Durability.STRICT
        self._taking_up = taking_up
        self._number = 0  # of the last that was accepted
        self._open: dict[str, Record] = {}
        self._changed: dict[str, Record] = {}
        self._refused: set[str] = set()
        self._forgetting = Forgetting(config.max_executions)
        self._notices: list[Event] = []
        self._committing = False
        self._in_turn = 0
        self._noted = 0
        self._written = 0
        self._commits = 0
        self._failed = 0
        self._news = asyncio.Event()
        self._urgent = asyncio.Event()
        self._flushed: list[asyncio.Future[None]] = []
        self._closing = False
        self._tasks: list[asyncio.Task[None]] = []
        # Its own: what nodes do in threads may take all of the others.
        self._began_ms = now_ms() - int(time.monotonic() * 1000)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")
        self._writer = Writer(storage, secrets, config.max_output_bytes, self._thread)
        self._joining = Joining(storage, self._thread)

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
        self._open[record.id] = record
        self._change(record, urgent=True)

    def note(self, event: Event) -> None:
        """Keep an event, then have it delivered; a notice behind the events that were published before it."""
        if not event.execution_id:
            if self._changed or self._committing:
                self._notices.append(event)
                self._news.set()
            else:
                self._events.deliver(event)
            return
        record = self._open.get(event.execution_id)
        if record is None:
            self._events.deliver(event)
            return
        if record.broken is not None and not _is_final(event):
            return
        record.last_seq = event.seq
        if isinstance(event, _MINOR) and self._is_too_much(record, event):
            self._leave_out(record, [event])
            record.left_out.add(event.seq)
        else:
            record.last_kept = event.seq
        record.events.append(event)
        record.bytes_waiting += _EVENT
        self._noted += 1
        if isinstance(event, StatusUpdate):
            self._note_status(record, event)
        if not self._strict:
            if event.seq > record.wanted - _RESERVED // 2:
                self._reserve(record)
            if not record.holding and event.seq <= record.reserved:
                self._deliver(record, event)
            else:
                record.holding = True
        self._change(record, urgent=record.holding)

    def _is_too_much(self, record: Record, event: Event) -> bool:
        record.chunks += 1
        return record.chunks > self._config.max_chunks or record.size > self._config.max_event_bytes

    def _note_status(self, record: Record, event: StatusUpdate) -> None:
        status, info = event.status, event.error_info
        record.last = status.is_final
        record.row["duration_ms"] = record.opening.ran_ms()
        if info and info.get("type") == SHUTDOWN and self._config.resume:
            record.row["paused"] = True  # it stays where it stood, to be gone on with
            return
        times = record.opening.times()
        record.row |= {"status": status.value, "error_info": info, "started_at": times.started_at, "completed_at": times.completed_at}

    def _leave_out(self, record: Record, events: Iterable[Event]) -> None:
        record.cut.update(event.source_node_id for event in events if isinstance(event, NodeYield))
        record.row |= {"complete": False, "cut": sorted(record.cut)}

    def _reserve(self, record: Record) -> None:
        record.wanted = max(record.wanted, record.last_seq) + _RESERVED
        record.row["reserved_seq"] = record.wanted

    def _change(self, record: Record, *, urgent: bool) -> None:
        if not record.resting and (urgent or record.id not in self._changed):
            self._changed[record.id] = record
            self._news.set()
            if urgent:
                self._urgent.set()

    def unfinished(self) -> AsyncIterator[Unfinished]:
        """See `ExecutionJournal`."""
        return self._taking_up.unfinished()

    async def give_up(self, unfinished: Unfinished, error_info: Mapping[str, Any]) -> None:
        """See `ExecutionJournal`."""
        await self._taking_up.give_up(unfinished, error_info)

    async def earlier(self, user: UserContext, request_id: str) -> tuple[str, WorkflowPayload] | None:
        """See `ExecutionJournal`."""
        # A day by both clocks: where one was set, who asks again at once is not to be given another execution.
        since = min(now_ms(), self._began_ms + int(time.monotonic() * 1000)) - _DAY_MS
        row = await ExecutionRow.get_or_none(user_id=user.uid, request_id=request_id, submitted_at__gt=since)
        if row is None:
            return None
        return row.id, await asyncio.to_thread(payload_of, row, self._secrets)

    async def written(self, execution_id: str) -> None:
        """See `ExecutionJournal`."""
        record = self._open.get(execution_id)
        if record is None or (record.known and record.last_written >= record.last_kept):
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        record.waiters.append((record.last_kept, future))
        self._change(record, urgent=True)
        await future

    async def flush(self) -> None:
        """See `ExecutionJournal`."""
        if not self._tasks or self._tasks[0].done():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._flushed.append(future)
        self._news.set()
        self._urgent.set()
        await future

    def stats(self) -> JournalStats:
        """See `ExecutionJournal`."""
        return JournalStats(self._noted - self._written, sum(r.bytes_waiting for r in self._open.values()), self._commits, self._failed)

    # Its tasks

    async def start(self) -> None:
        """Begin to write."""
        last = await ExecutionRow.all().first().only("number")
        self._number = last.number if last else 0
        self._thread.submit(lambda: None)  # there is a thread from now on, also when there are none left for anybody
        self._tasks = [
            asyncio.create_task(self._write_always(), name="history writes"),
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
        self._closing = True
        self._news.set()
        self._urgent.set()
        writes, *others = self._tasks
        await asyncio.wait([writes])
        for task in others:
            task.cancel()
        await asyncio.wait(others)
        self._thread.shutdown(wait=False)
        if self._changed:
            raise RuntimeError(f"what happened last to executions cannot be written: {', '.join(self._changed)[:_NAME]}")

    async def _write_always(self) -> None:
        while True:
            await self._news.wait()
            if not self._closing:
                await self._gather()
            self._news.clear()
            self._urgent.clear()
            if not (self._changed or self._notices or self._flushed or self._refused or self._closing or self.problem):
                continue  # it was told with the commit before
            flushed, self._flushed = self._flushed, []
            well = await self._commit()
            for future in flushed:
                if not future.done():
                    future.set_result(None)
            if self._closing and (not well or not self._changed):
                return
            if not well:
                await asyncio.sleep(_RETRY_S)
                self._news.set()

    async def _gather(self) -> None:
        if not self._strict and not self._urgent.is_set():
            try:
                async with asyncio.timeout(_RELAXED_S):
                    await self._urgent.wait()
            except TimeoutError:
                return
        for _ in range(_TURNS):
            noted = self._noted
            await asyncio.sleep(0)
            if self._noted == noted:
                return

    async def _commit(self) -> bool:
        """Write what waits, and tell it; `False` where nothing can be written at present."""
        changed, self._changed = list(self._changed.values()), {}
        notices, self._notices = self._notices, []
        self._committing = True
        entries = [self._taken(record) for record in changed]
        written: set[str] = set()
        trouble: Exception | None = None
        try:
            if self.problem is not None and not entries:
                await self._storage.check()
            if entries:
                await self._leave_out_written(changed, entries)
                await self._writer.make_ready(entries)
            await self._write(entries, written)
        except Exception as error:
            if not isinstance(error, _EVERYTHING):
                _log.exception("the journal of executions failed")
            trouble = error
        for record, entry in zip(changed, entries, strict=True):
            try:
                if record.id in written:
                    await self._is_written(record, entry)
                else:
                    self._put_back(record, entry)
            except Exception:
                _log.exception("the journal failed on an execution", execution=record.id)
        self._committing = False
        if not self._changed:  # what these stand behind is told
            notices += self._notices
            self._notices = []
        for notice in notices:
            self._events.deliver(notice)
        if trouble is not None:
            self._cannot(trouble)
            return False
        self._can()
        return True

    async def _write(self, entries: Sequence[Entry], written: set[str]) -> None:
        if refused := list(self._refused):
            await self._writer.forget(refused)
            self._refused.difference_update(refused)
        sound = [entry for entry in entries if entry.error is None]
        together = [entry for entry in sound if not self._open[entry.execution_id].tries]
        alone = [entry for entry in sound if self._open[entry.execution_id].tries]
        while together:
            try:
                await self._writer.write(together)
                self._commits += 1
                written.update(entry.execution_id for entry in together)
                break
            except _EVERYTHING:
                raise
            except Overtaken as overtaken:
                overtaken.entry.error = overtaken
                together.remove(overtaken.entry)
            except Exception as error:
                if len(together) == 1:
                    together[0].error = error
                else:
                    alone = together + alone
                break
        for entry in alone:
            try:
                await self._writer.write([entry])
                self._commits += 1
                written.add(entry.execution_id)
            except _EVERYTHING:
                raise
            except Exception as error:
                entry.error = error

    async def _leave_out_written(self, records: Sequence[Record], entries: Sequence[Entry]) -> None:
        """What failed may have happened all the same, when it was the end of a transaction: it is not written twice."""
        if doubtful := [record.id for record in records if record.doubtful and record.known]:
            known = dict(await ExecutionRow.filter(id__in=doubtful).values_list("id", "last_seq"))
            for entry in entries:
                written = known.get(entry.execution_id, 0)
                entry.events = [event for event in entry.events if event.seq > written]

    def _taken(self, record: Record) -> Entry:
        told = record.events
        events = [event for event in told if event.seq not in record.left_out] if record.left_out else told
        row = record.row | ({"last_seq": told[-1].seq} if told else {})
        entry = Entry(record.id, record.epoch, row, None if record.known else record.opening.submission, events, told, sealed=record.sealed)
        record.row, record.events = {}, []
        return entry

    # What came of it

    async def _is_written(self, record: Record, entry: Entry) -> None:
        self._written += len(entry.told)
        record.bytes_waiting = _EVENT * len(record.events)
        if record.left_out:
            record.left_out.difference_update(event.seq for event in entry.told)
        record.doubtful = False
        if entry.told:
            record.last_written = entry.told[-1].seq
        record.size += entry.size
        self._joining.count_written(record, len(entry.blocks))
        record.reserved = max(record.reserved, entry.row.get("reserved_seq", 0))
        record.tries = 0
        if not record.known:
            record.known, record.sealed = True, None
            record.opening.accepted()
        for event in entry.told:
            if event.seq > record.last_told:
                self._deliver(record, event)
                self._in_turn += 1
                if self._in_turn >= _SLICE:
                    self._in_turn = 0
                    await asyncio.sleep(0)
        if not self._strict and not record.events:
            record.holding = False
        record.hear()
        if record.last and not record.events:
            del self._open[record.id]
            self._changed.pop(record.id, None)
            self._forgetting.count_ended(record.opening.submission.user.uid)

    def _deliver(self, record: Record, event: Event) -> None:
        record.last_told = event.seq
        self._events.deliver(event)

    def _put_back(self, record: Record, entry: Entry) -> None:
        record.doubtful = True
        record.events[:0] = entry.told
        record.row = entry.row | record.row
        record.sealed = entry.sealed
        record.bytes_waiting = max(entry.size, _EVENT * len(record.events)) + len(entry.sealed or "")
        if entry.error is None:
            self._changed[record.id] = record
            return
        if isinstance(entry.error, Overtaken):
            self._drop(record)
            return
        record.tries += 1
        self._failed += 1
        _log.error("an execution cannot be recorded", execution=record.id, attempt=record.tries, exc_info=entry.error)
        if record.tries >= _TRIES:
            self._give_up(record, f"The execution cannot be recorded: {type(entry.error).__name__}.")
            return
        record.resting = True
        self._changed.pop(record.id, None)
        asyncio.get_running_loop().call_later(0 if self._closing else _RETRY_S * record.tries / _TRIES, self._wake, record)

    def _drop(self, record: Record) -> None:
        """It is not this process's any more."""
        del self._open[record.id]
        self._changed.pop(record.id, None)
        self._written += len(record.events)
        record.hear(Unavailable("gone", "The execution was taken over, or forgotten."))
        record.opening.overtaken()

    def _wake(self, record: Record) -> None:
        record.resting = False
        if record.id in self._open:
            self._change(record, urgent=True)

    def _give_up(self, record: Record, why: str) -> None:
        if not record.known:
            self._refuse(record, why)
            return
        self._written += len(record.events)
        record.tries = 0
        if record.broken is not None:  # not even its end
            for event in record.events:
                self._deliver(record, event)
            record.hear(Unavailable("gone", why))
            del self._open[record.id]
            self._changed.pop(record.id, None)
            return
        record.broken = why
        record.events, record.left_out, record.bytes_waiting, record.row = [], set(), 0, {"complete": False}
        if record.last:  # it has ended, and that could not be told
            record.last = False
            end = StatusUpdate(ExecutionStatus.ERROR, {"message": why}).of(record.id, record.last_seq)
            self.note(end)
        else:
            record.opening.broken(why)
        record.hear(Unavailable("gone", why))

    def _refuse(self, record: Record, why: str) -> None:
        del self._open[record.id]
        self._changed.pop(record.id, None)
        self._written += len(record.events)
        self._refused.add(record.id)  # a commit of which it is said that it failed may yet be found done
        record.opening.refused(Refused(why, RefusalReason.UNRECORDED))

    def _cannot(self, error: Exception) -> None:
        self._failed += 1
        said = str(error) or type(error).__name__
        if self.problem is None:
            _log.error("executions cannot be recorded at present", error=said)
        problem = f"Executions cannot be recorded: {said}"
        if problem != self.problem:
            self.problem = problem
            self._events.deliver(RecordingUpdate(recording=False, message=problem))
        unavailable = error if isinstance(error, Unavailable) else Unavailable("gone", said)
        for record in list(self._open.values()):
            record.hear(unavailable)
            if not record.known:
                self._refuse(record, problem)
        self._make_room()

    def _can(self) -> None:
        if self.problem is not None:
            _log.info("executions are recorded again")
            self.problem = None
            self._events.deliver(RecordingUpdate(recording=True))

    def _make_room(self) -> None:
        """Let no more wait than may: first without chunks and progress, then without the executions that have most."""
        most = self._config.max_waiting_bytes
        waiting = sum(record.bytes_waiting for record in self._open.values())
        for record in sorted(self._open.values(), key=lambda record: -record.bytes_waiting):
            if waiting <= most:
                return
            waiting -= record.bytes_waiting
            major = [event for event in record.events if not isinstance(event, _MINOR)]
            if len(major) < len(record.events):
                self._written += len(record.events) - len(major)
                record.bytes_waiting = record.bytes_waiting * len(major) // len(record.events)
                self._leave_out(record, record.events)
                record.events = major
                waiting += record.bytes_waiting
        for record in sorted(self._open.values(), key=lambda record: -record.bytes_waiting):
            if waiting <= most:
                return
            waiting -= record.bytes_waiting
            if record.broken is None:
                self._give_up(record, "Too much of the execution waits to be recorded.")


def _is_final(event: Event) -> bool:
    return isinstance(event, StatusUpdate) and event.status.is_final
