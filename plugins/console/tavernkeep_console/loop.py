"""How long the event loop is held: while something holds it nobody is served, and nothing else tells of that."""

import asyncio
import time
from bisect import bisect_left
from typing import Final

import attrs

_EVERY_S: Final = 0.02
_RECENT_S: Final = 60.0
BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


@attrs.frozen
class Held:
    """One time that the loop came late.

    Attributes:
        lag_s: How late it was, in seconds.
        worked_s: The processor time that the loop's thread had until then. Where this is much less something blocked, or the machine was
            busy with something else.
    """

    lag_s: float = 0.0
    worked_s: float = 0.0


class LoopLag:
    """Asks to be called fifty times in a second, and looks how late that was.

    Attributes:
        counts: How often it was late by so much, by `BUCKETS_S`, the last without a bound.
        total_s: How late, all told.
    """

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.total_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._due = self._worked = 0.0
        self._since = 0.0
        self._before, self._now = Held(), Held()

    def start(self) -> None:
        """Begin, in the loop that is running."""
        self._since = time.monotonic()
        self._ask()

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def longest(self) -> Held:
        """The longest time of the last minute, or of up to two."""
        return max(self._before, self._now, key=lambda held: held.lag_s)

    def _ask(self) -> None:
        self._due = time.monotonic() + _EVERY_S
        self._worked = time.thread_time()
        self._timer = asyncio.get_running_loop().call_later(_EVERY_S, self._look)

    def _look(self) -> None:
        found = time.monotonic()
        lag = max(0.0, found - self._due)
        self.counts[bisect_left(BUCKETS_S, lag)] += 1
        self.total_s += lag
        if found - self._since > _RECENT_S:
            self._since, self._before, self._now = found, self._now, Held()
        if lag > self._now.lag_s:
            self._now = Held(lag, time.thread_time() - self._worked)
        self._ask()
