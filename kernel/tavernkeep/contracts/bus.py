"""The bus that carries events to who wants to see them."""

from asyncio import CancelledError
from collections.abc import Callable

import attrs
import structlog

from tavernkeep.contracts.events import Event

_log = structlog.get_logger(__name__)

Sink = Callable[[Event], None]


@attrs.define
class EventBus:
    """Carries each event to every sink, to those who watch its execution, and notices to everyone who listens.

    A sink is called on the event loop for every single event, so it only takes note and returns. One that raises is logged and left
    out from then on: it must not cost the others theirs.

    Where somebody keeps what happens to executions, everything goes there first, and to everybody else when it is kept. Where executions
    run in other processes, whoever carries their events here is told whose are wanted.
    """

    _sinks: tuple[Sink, ...] = ()
    _failed: dict[Sink, Callable[[BaseException], object]] = attrs.field(factory=dict)
    _watchers: dict[str, tuple[Sink, ...]] = attrs.field(factory=dict)
    _listeners: tuple[Sink, ...] = ()
    _keeper: Sink | None = None
    _carrier: Callable[[str], Callable[[], object]] | None = None
    _carried: dict[str, Callable[[], object]] = attrs.field(factory=dict)

    def keep(self, keeper: Sink | None) -> None:
        """Hand what is published to a keeper first, which gives it back to `deliver`, in order, when others may know of it."""
        self._keeper = keeper

    def carry(self, carrier: Callable[[str], Callable[[], object]] | None) -> None:
        """Have the events of executions that run elsewhere brought to `deliver` while somebody here watches them.

        Args:
            carrier: Called with the id of an execution when its first watcher comes, and delivers nothing before it returns; what it gives
                is called when the last has gone.
        """
        self._carrier = carrier

    def add_sink(self, sink: Sink, failed: Callable[[BaseException], object] | None = None) -> Callable[[], None]:
        """Let a sink see every event and every notice; the returned function ends that.

        Args:
            failed: Told when it raises.
        """
        self._sinks += (sink,)
        if failed is not None:
            self._failed[sink] = failed
        return lambda: self._remove_sink(sink)

    def _remove_sink(self, sink: Sink) -> None:
        self._sinks = tuple(other for other in self._sinks if other != sink)
        self._failed.pop(sink, None)

    def watch(self, execution_id: str, sink: Sink) -> Callable[[], None]:
        """Let a sink see the events of one execution; the returned function ends that."""
        watchers = self._watchers.get(execution_id, ())
        self._watchers[execution_id] = (*watchers, sink)
        if not watchers and self._carrier is not None:
            self._carried[execution_id] = self._carrier(execution_id)
        return lambda: self.unwatch(execution_id, sink)

    def listen(self, sink: Sink) -> Callable[[], None]:
        """Let a sink see the notices to everyone; the returned function ends that."""
        self._listeners += (sink,)
        return lambda: self._unlisten(sink)

    def publish(self, event: Event) -> None:
        """Carry an event, or (without an execution) a notice, to all who should see it; to the keeper first, where there is one."""
        (self._keeper or self.deliver)(event)

    def deliver(self, event: Event) -> None:
        """Carry an event, or a notice, to all who should see it, now."""
        self._deliver(self._sinks, event)
        if watching := self._watchers.get(event.execution_id) if event.execution_id else self._listeners:
            self._deliver(watching, event)
            event.let_go()

    def _deliver(self, sinks: tuple[Sink, ...], event: Event) -> None:
        for sink in sinks:
            try:
                sink(event)
            except (Exception, SystemExit, CancelledError) as error:  # the latter would end whoever publishes
                _log.exception("event sink failed and is left out from now on", sink=repr(sink), event_type=event.type)
                tell = self._failed.get(sink)
                self._remove_sink(sink)
                self._unlisten(sink)
                self.unwatch(event.execution_id, sink)
                if tell is not None:
                    tell(error)

    def _unlisten(self, sink: Sink) -> None:
        self._listeners = tuple(other for other in self._listeners if other != sink)

    def unwatch(self, execution_id: str, sink: Sink) -> None:
        """Let a sink see no more of one execution."""
        left = tuple(other for other in self._watchers.get(execution_id, ()) if other != sink)
        if left:
            self._watchers[execution_id] = left
        else:
            self._watchers.pop(execution_id, None)
            if (end := self._carried.pop(execution_id, None)) is not None:
                end()
