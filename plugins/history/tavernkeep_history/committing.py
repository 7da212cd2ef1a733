"""Commits: what has come together while the last one ran is the next.

A commit begins when the event loop had nothing more to add for a turn, so that a small workflow costs one for its acceptance and its end.
Nothing here waits for a clock but the pause after a failure.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, Final

import attrs
import structlog

from tavernkeep.contracts.bus import EventBus
from tavernkeep.contracts.events import Notice
from tavernkeep.contracts.storage import WANTING, Storage, Unavailable
from tavernkeep_history.book import Book
from tavernkeep_history.life import Replaced
from tavernkeep_history.models import ExecutionRow
from tavernkeep_history.outcomes import Outcomes
from tavernkeep_history.record import Record
from tavernkeep_history.writing import Entry, Overtaken, Writer

_log = structlog.get_logger(__name__)

_TURNS: Final = 12  # of the event loop that a commit waits for more at most
_RELAXED_S: Final = 0.1
_RETRY_S: Final = 1.0
_EVERYTHING: Final = (Unavailable, *WANTING)  # what these say concerns more than one execution


@attrs.define(eq=False)
class RecordingUpdate(Notice):
    """Executions can no longer be recorded, or can again."""

    type: ClassVar = "SYSTEM_RECORDING_UPDATE"
    recording: bool
    message: str | None = None


class Committing:
    """Writes what is in the book.

    Args:
        begin: Called before each commit: reads what has to be known for it, and is not yet.
        strict: Everything is told when it is written; else only what must be is, and the rest has time.

    Attributes:
        problem: Why nothing can be written at present.
        flushed: Who waits until all that had come is written, or could not be.
        is_replaced: Another server has begun on the database, and nothing is written here any more.
    """

    def __init__(
        self,
        book: Book,
        storage: Storage,
        writer: Writer,
        events: EventBus,
        outcomes: Outcomes,
        begin: Callable[[], Awaitable[None]],
        *,
        strict: bool,
    ) -> None:
        self.problem: str | None = None
        self.flushed: list[asyncio.Future[None]] = []
        self.is_replaced = False
        self._book = book
        self._storage = storage
        self._writer = writer
        self._events = events
        self._outcomes = outcomes
        self._begin = begin
        self._strict = strict

    def stand(self, error: Exception) -> None:
        """Write nothing until what was in the way is gone, which is looked at from now on."""
        self._cannot(error)
        self._book.hurry()

    async def commit_always(self) -> None:
        """Commit whenever there is something to commit; until all is written at the end."""
        while True:
            await self._book.news.wait()
            if not self._book.closing:
                await self._gather()
            self._book.news.clear()
            self._book.urgent.clear()
            if not (self._book.changed or self._book.notices or self.flushed or self._book.refused or self._book.closing or self.problem):
                continue  # it was told with the commit before
            flushed, self.flushed = self.flushed, []
            try:
                well = await self.commit()
            except Exception:  # what is called of others' is guarded where that is; should something be left, it goes on all the same
                _log.exception("the journal of executions failed")
                well = False
            ends = self._book.closing and (not well or not self._book.changed)
            for future in (*flushed, *self.flushed) if ends else flushed:
                if not future.done():
                    future.set_result(None)
            if ends:
                return
            if not well:
                await asyncio.sleep(_RETRY_S)
                self._book.news.set()

    async def _gather(self) -> None:
        if not self._strict and not self._book.urgent.is_set():
            try:
                async with asyncio.timeout(_RELAXED_S):
                    await self._book.urgent.wait()
            except TimeoutError:
                return
        for _ in range(_TURNS):
            noted = self._book.noted
            await asyncio.sleep(0)
            if self._book.noted == noted:
                return

    async def commit(self) -> bool:
        """Write what waits, and tell it; `False` where nothing can be written at present."""
        self._outcomes.let_go()
        changed, self._book.changed = list(self._book.changed.values()), {}
        notices, self._book.notices = self._book.notices, []
        self._book.committing = True
        entries = [_taken(record) for record in changed]
        written: set[str] = set()
        trouble: Exception | None = None
        try:
            if self.is_replaced:
                raise Replaced
            await self._begin()
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
                    await self._outcomes.written(record, entry)
                else:
                    self._outcomes.failed(record, entry)
            except Exception:
                _log.exception("the journal failed on an execution", execution=record.id)
        self._book.committing = False
        if not self._book.changed:  # what these stand behind is told
            notices += self._book.notices
            self._book.notices = []
        for notice in notices:
            self._events.deliver(notice)
        if trouble is not None:
            self._cannot(trouble)
            trouble = None  # it holds this frame, and with it all that could not be written
            return False
        self._can()
        return True

    async def _write(self, entries: Sequence[Entry], written: set[str]) -> None:
        if refused := list(self._book.refused):
            await self._writer.forget(refused)
            self._book.refused.difference_update(refused)
        sound = [entry for entry in entries if entry.error is None]
        together = [entry for entry in sound if not self._book.open[entry.execution_id].tries]
        alone = [entry for entry in sound if self._book.open[entry.execution_id].tries]
        while together:
            try:
                await self._writer.write(together)
                self._book.commits += 1
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
                self._book.commits += 1
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

    def _cannot(self, error: Exception) -> None:
        self._book.failed += 1
        said = str(error) or type(error).__name__
        if self.problem is None:
            _log.error("executions cannot be recorded at present", error=said)
        problem = f"Executions cannot be recorded: {said}"
        if problem != self.problem:
            self.problem = problem
            self._events.deliver(RecordingUpdate(recording=False, message=problem))
        unavailable = error if isinstance(error, Unavailable) else Unavailable("gone", said)
        for record in list(self._book.open.values()):
            record.hear(unavailable)
            if not record.known:
                self._outcomes.refuse(record, problem)
        self._outcomes.make_room()
        if isinstance(error, Replaced):  # for good, and all that is open is the other server's
            self.is_replaced = True
            self._book.overtaken.update(self._book.open)
            self._outcomes.let_go()

    def _can(self) -> None:
        if self.problem is not None:
            _log.info("executions are recorded again")
            self.problem = None
            self._events.deliver(RecordingUpdate(recording=True))


def _taken(record: Record) -> Entry:
    told = record.events
    events = [event for event in told if event.seq not in record.left_out] if record.left_out else told
    row = record.row | ({"last_seq": told[-1].seq, "duration_ms": record.opening.ran_ms()} if told else {})
    entry = Entry(record.id, record.epoch, row, None if record.known else record.opening.submission, events, told, sealed=record.sealed)
    record.row, record.events = {}, []
    return entry
