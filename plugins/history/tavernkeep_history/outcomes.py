"""What becomes of an execution once something of it was written, or could not be."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from tavernkeep.contracts.bus import EventBus
from tavernkeep.contracts.events import Event, StatusUpdate
from tavernkeep.contracts.execution import ExecutionStatus, RefusalReason, Refused
from tavernkeep.contracts.storage import Unavailable
from tavernkeep_history.book import Book, leave_out
from tavernkeep_history.config import HistoryConfig
from tavernkeep_history.durability import Durability
from tavernkeep_history.forgetting import Forgetting
from tavernkeep_history.joining import Joining
from tavernkeep_history.record import EVENT, MINOR, Record
from tavernkeep_history.writing import Entry, Overtaken

_log = structlog.get_logger(__name__)

_SLICE: Final = 500  # events that are delivered before others on the event loop get their turn
_REST_S: Final = 1.0
_TRIES: Final = 3  # of what concerns one execution alone


class Outcomes:
    """Tells what is written, tries again what is not, and gives up what cannot be.

    Args:
        note: Takes an event of the journal's own.
    """

    def __init__(
        self, book: Book, events: EventBus, config: HistoryConfig, forgetting: Forgetting, joining: Joining, note: Callable[[Event], None]
    ) -> None:
        self._book = book
        self._events = events
        self._config = config
        self._strict = config.durability is Durability.STRICT
        self._forgetting = forgetting
        self._joining = joining
        self._note = note
        self._in_turn = 0

    async def written(self, record: Record, entry: Entry) -> None:
        """What was to be written of it is: it is told."""
        self._book.written += len(entry.told)
        record.bytes_waiting = EVENT * len(record.events)
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
                self.deliver(record, event)
                self._in_turn += 1
                if self._in_turn >= _SLICE:
                    self._in_turn = 0
                    await asyncio.sleep(0)
        if not self._strict and not record.events:
            record.holding = False
        record.hear()
        if record.last and not record.events:
            self._book.remove(record)
            self._forgetting.count_ended(record.opening.submission.user.uid)

    def deliver(self, record: Record, event: Event) -> None:
        """Tell of an event."""
        record.last_told = event.seq
        self._events.deliver(event)

    def failed(self, record: Record, entry: Entry) -> None:
        """It could not be written, for everybody's reason or (`entry.error`) for its own: it is tried again, or given up."""
        record.doubtful = True
        record.events[:0] = entry.told
        record.row = entry.row | record.row
        record.sealed = entry.sealed
        record.bytes_waiting = max(entry.size, EVENT * len(record.events)) + len(entry.sealed or "")
        if entry.error is None:
            self._book.changed[record.id] = record
            return
        if isinstance(entry.error, Overtaken):
            self._drop(record)
            return
        record.tries += 1
        self._book.failed += 1
        if record.tries <= _TRIES:  # its end may be tried for ever
            _log.error("an execution cannot be recorded", execution=record.id, attempt=record.tries, exc_info=entry.error)
        if record.tries >= _TRIES:
            self._give_up(record, f"The execution cannot be recorded: {type(entry.error).__name__}.")
            return
        self._rest(record)

    def _rest(self, record: Record) -> None:
        record.resting = True
        self._book.changed.pop(record.id, None)
        asyncio.get_running_loop().call_later(0 if self._book.closing else _REST_S * record.tries / _TRIES, self._wake, record)

    def let_go(self) -> None:
        """Of all that other processes have taken up."""
        overtaken, self._book.overtaken = self._book.overtaken, set()
        for execution_id in overtaken & self._book.open.keys():
            try:
                self._drop(self._book.open[execution_id])
            except Exception:
                _log.exception("an execution that was taken over could not be stopped", execution=execution_id)

    def _drop(self, record: Record) -> None:
        """It is not this process's any more."""
        self._book.remove(record)
        self._book.written += len(record.events)
        record.hear(Unavailable("gone", "The execution was taken over, or forgotten."))
        record.opening.overtaken()

    def _wake(self, record: Record) -> None:
        record.resting = False
        if record.id in self._book.open:
            self._book.change(record, urgent=True)

    def _give_up(self, record: Record, why: str) -> None:
        if not record.known:
            self.refuse(record, why)
            return
        if record.broken is not None:  # not even its end; who was told of it all the same would see it run again after the next start
            record.tries = _TRIES
            record.left_out.update(event.seq for event in record.events)  # the bare row may be possible
            record.hear(Unavailable("gone", why))
            self._rest(record)
            return
        self._book.written += len(record.events)
        record.tries = 0
        record.broken = why
        record.events, record.left_out, record.bytes_waiting, record.row = [], set(), 0, {"complete": False}
        if record.last:  # it has ended, and that could not be told
            record.last = False
            end = StatusUpdate(ExecutionStatus.ERROR, {"message": why}).of(record.id, record.last_seq)
            self._note(end)
        else:
            record.opening.broken(why)
        record.hear(Unavailable("gone", why))

    def refuse(self, record: Record, why: str) -> None:
        """It is not accepted after all."""
        self._book.remove(record)
        self._book.written += len(record.events)
        self._book.refused.add(record.id)  # a commit of which it is said that it failed may yet be found done
        record.opening.refused(Refused(why, RefusalReason.UNRECORDED))

    def make_room(self) -> None:
        """Let no more wait than may: first without chunks and progress, then without the executions that have most."""
        most = self._config.max_waiting_bytes
        waiting = sum(record.bytes_waiting for record in self._book.open.values())
        for record in sorted(self._book.open.values(), key=lambda record: -record.bytes_waiting):
            if waiting <= most:
                return
            waiting -= record.bytes_waiting
            major = [event for event in record.events if not isinstance(event, MINOR)]
            if len(major) < len(record.events):
                self._book.written += len(record.events) - len(major)
                record.bytes_waiting = record.bytes_waiting * len(major) // len(record.events)
                leave_out(record, record.events)
                record.events = major
                waiting += record.bytes_waiting
        for record in sorted(self._book.open.values(), key=lambda record: -record.bytes_waiting):
            if waiting <= most:
                return
            waiting -= record.bytes_waiting
            if record.broken is None:
                self._give_up(record, "Too much of the execution waits to be recorded.")
