"""Who may run: so many executions at once, in a fair order."""

import bisect
import enum
from collections import Counter
from collections.abc import Collection

import attrs

from tavernkeep.contracts.execution import RefusalReason, Refused
from tavernkeep_engine.schedule.execution import Execution
from tavernkeep_engine.schedule.fair import FairQueue


class _Stand(enum.Enum):
    WAITS = enum.auto()
    RUNS = enum.auto()
    RESTS = enum.auto()


@attrs.define(eq=False)
class Admission:
    """Gives executions their places.

    When one may start it is of the user who has the fewest running, and of these of who has waited longest since their last: whoever
    submits much waits behind themselves. Of one user's, the higher priority is first and then the earlier.

    Who fills the line closes it for themselves: a user who has less than an equal part of it may come all the same. So more than
    `most_waiting` may wait: half as many again for a second user who fills it, a third for the next, and so on.

    One that waits for people has no place meanwhile. In whose midst a process has ended may have been what ended it: of these one at a
    time runs, the least often suspected first, so that what is innocent ends before what is not has its next turn.

    Attributes:
        most: How many may run at once.
        most_each: How many of one user's.
        most_waiting: How many more may wait, for a place or for people, of users who have their part of it.
        most_waiting_each: How many of one user's.
    """

    most: int
    most_each: int
    most_waiting: int
    most_waiting_each: int
    _queue: FairQueue[Execution] = attrs.field(init=False)
    _suspects: list[Execution] = attrs.field(factory=list)
    _tried: Execution | None = None
    _stands: dict[Execution, _Stand] = attrs.field(factory=dict)
    _count: Counter[_Stand] = attrs.field(factory=Counter)
    _resting: Counter[str] = attrs.field(factory=Counter)  # by user

    def __attrs_post_init__(self) -> None:
        self._queue = FairQueue(self.most_each)

    @property
    def running(self) -> int:
        """How many run."""
        return self._count[_Stand.RUNS]

    @property
    def pending(self) -> int:
        """How many wait for a place."""
        return self._count[_Stand.WAITS]

    def check_room(self, uid: str) -> None:
        """Look whether one more of a user's may come.

        Raises:
            Refused: Too many wait.
        """
        if self._count[_Stand.RESTS] >= self.most_waiting and self._has_their_part(self._resting[uid], self._resting.keys() | {uid}):
            raise Refused(f"{self._count[_Stand.RESTS]} executions wait for people; try again later.", RefusalReason.FULL)
        if self._resting[uid] >= self.most_waiting_each:
            raise Refused(f"{self._resting[uid]} executions of yours wait for people; answer or stop some.", RefusalReason.USER_LIMIT)
        waiting, is_full = self._queue.waiting(uid), self.running >= self.most and self.pending >= self.most_waiting
        if is_full and self._has_their_part(waiting, self._queue.users() | {uid}):
            raise Refused(f"{self.pending} executions are waiting already; try again later.", RefusalReason.FULL)
        if not self.starts_at_once(uid) and waiting >= self.most_waiting_each:
            raise Refused(f"{waiting} executions of yours are waiting already; try again later.", RefusalReason.USER_LIMIT)

    def _has_their_part(self, waiting: int, users: Collection[str]) -> bool:
        """Whether a user has so much waiting as there would be of each, were it of all in equal parts."""
        return waiting * len(users) >= self.most_waiting

    def starts_at_once(self, uid: str) -> bool:
        """Whether one more of a user's would."""
        return self.running < self.most and self._queue.has_room(uid)

    def add(self, execution: Execution, *, first: bool = False) -> None:
        """Let one wait for its place.

        Args:
            first: It has had one before.
        """
        self._stand(execution, _Stand.WAITS)
        if execution.attempts:
            bisect.insort(self._suspects, execution, key=lambda suspect: suspect.attempts)
        else:
            self._queue.add(execution.user.uid, execution.payload.priority, execution, first=first)

    def next(self) -> Execution | None:
        """One that has its place from now on; `None` while there is none."""
        if self.running >= self.most:
            return None
        if self._suspects and self._tried is None:
            execution = self._tried = self._suspects.pop(0)
            self._queue.begin(execution.user.uid)
        elif (waiting := self._queue.take()) is not None:
            execution = waiting
        else:
            return None
        self._stand(execution, _Stand.RUNS)
        return execution

    def rest(self, execution: Execution) -> None:
        """One gives its place back until what it waits for is there; then it is added again."""
        self._stand(execution, _Stand.RESTS)

    def rests(self, execution: Execution) -> bool:
        """Whether one has no place because it waits for people."""
        return self._stands.get(execution) is _Stand.RESTS

    def leave(self, execution: Execution) -> None:
        """One has ended."""
        self._stand(execution, None)

    def _stand(self, execution: Execution, now: _Stand | None) -> None:
        before, uid = self._stands.pop(execution, None), execution.user.uid
        match before:
            case _Stand.WAITS if now is not _Stand.RUNS:  # else it was taken from where it waited
                if execution in self._suspects:
                    self._suspects.remove(execution)
                else:
                    self._queue.remove(uid, execution)
            case _Stand.RUNS:
                self._queue.done(uid)
                if execution is self._tried:
                    self._tried = None
            case _Stand.RESTS:
                self._resting -= Counter([uid])
        if before is not None:
            self._count[before] -= 1
        if now is not None:
            self._stands[execution] = now
            self._count[now] += 1
        if now is _Stand.RESTS:
            self._resting[uid] += 1
