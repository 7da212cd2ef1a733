"""The last events of an execution, for viewers that come late or come back."""

import itertools
from collections import deque

from tavernkeep.contracts.events import Event
from tavernkeep.contracts.execution import EventsLost
from tavernkeep_engine.run.allowance import Allowance
from tavernkeep_engine.run.plain import ValueRefused


class EventLog:
    """Keeps the last events, as many as there may be and as there is room for.

    Attributes:
        events: The oldest first, without gaps; new ones are put at its end.

    Args:
        most: How many.
        allowance: What they may take with the other values of the execution.
    """

    def __init__(self, most: int, allowance: Allowance) -> None:
        self.events: deque[Event] = deque(maxlen=most)
        self._allowance = allowance
        self._held: deque[tuple[int, int]] = deque()  # numbers and sizes of the events that are counted
        allowance.make_room = self._make_room

    def hold(self, seq: int, size: int) -> None:
        """Count what the last event keeps; where there is no room for it, forget it and those before it.

        Args:
            size: How many bytes its values take that nothing else holds.
        """
        try:
            self._allowance.take(size)
        except ValueRefused:
            self.forget_until(seq)
            return
        self._held.append((seq, size))
        self._give_back()

    def after(self, seq: int | None, last_told: int, limit: int | None = None) -> list[Event]:
        """The events with a higher number than one; none for no number.

        Args:
            last_told: The number of the last that there was, kept or not.
            limit: How many at most.

        Raises:
            EventsLost: Some of them are no longer kept.
        """
        if seq is None:
            return []
        first = self.events[0].seq if self.events else last_told + 1
        if seq + 1 < first:
            raise EventsLost(f"the events before number {first} are no longer remembered", first)
        newer = list(itertools.takewhile(lambda event: event.seq > seq, reversed(self.events)))  # mostly few of many
        newer.reverse()
        return newer[:limit]

    def forget_until(self, seq: int) -> None:
        """Keep no event with that number or a lower one."""
        while self.events and self.events[0].seq <= seq:
            self.events.popleft()
        self._give_back()

    def _give_back(self) -> None:
        while self._held and (not self.events or self._held[0][0] < self.events[0].seq):
            self._allowance.give_back(self._held.popleft()[1])

    def _make_room(self) -> None:
        while self._held and self._allowance.used > self._allowance.most:
            self.forget_until(self._held[0][0])
