"""Who is next: a queue that is fair between users."""

import heapq
import itertools
from typing import Generic, TypeVar

import attrs

T = TypeVar("T")


@attrs.define(eq=False)
class _Line(Generic[T]):
    """One user's: what waits, by rank, priority and number, how much of it runs, and when something last began."""

    waiting: list[tuple[bool, int, int, T]] = attrs.field(factory=list)
    running: int = 0
    last_turn: int = 0


@attrs.define(eq=False)
class FairQueue(Generic[T]):
    """Things that wait, each of a user.

    Args:
        most_each: How many of one user's may run at once.
    """

    most_each: int
    _lines: dict[str, _Line[T]] = attrs.field(factory=dict)
    _numbers: "itertools.count[int]" = attrs.field(factory=itertools.count)

    def add(self, uid: str, priority: int, item: T, *, first: bool = False) -> None:
        """Let something wait; a higher priority goes before what else the same user has waiting, and what is `first` before all of it."""
        heapq.heappush(self._lines.setdefault(uid, _Line()).waiting, (not first, -priority, next(self._numbers), item))

    def begin(self, uid: str) -> None:
        """Something of a user's runs that has not waited here."""
        self._lines.setdefault(uid, _Line()).running += 1

    def take(self) -> T | None:
        """What is to run next, which counts as running from now on; `None` when nothing may."""
        able = [line for line in self._lines.values() if line.waiting and line.running < self.most_each]
        if not able:
            return None
        line = min(able, key=lambda line: (line.running, line.last_turn, line.waiting[0][2]))
        line.running += 1
        line.last_turn = next(self._numbers)
        return heapq.heappop(line.waiting)[3]

    def done(self, uid: str) -> None:
        """Something of a user's runs no more."""
        self._lines[uid].running -= 1
        self._tidy(uid)

    def remove(self, uid: str, item: T) -> None:
        """Something is not to wait any more."""
        line = self._lines[uid]
        line.waiting = [entry for entry in line.waiting if entry[3] is not item]
        heapq.heapify(line.waiting)
        self._tidy(uid)

    def waiting(self, uid: str) -> int:
        """How much of a user's waits."""
        return len(self._lines[uid].waiting) if uid in self._lines else 0

    def users(self) -> set[str]:
        """Those of whom something waits."""
        return {uid for uid, line in self._lines.items() if line.waiting}

    def has_room(self, uid: str) -> bool:
        """Whether one more of a user's may run."""
        return uid not in self._lines or self._lines[uid].running < self.most_each

    def _tidy(self, uid: str) -> None:
        line = self._lines[uid]
        if not line.waiting and not line.running:
            del self._lines[uid]
