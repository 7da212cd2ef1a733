"""Who may run: so many executions at once, in a fair order."""

import bisect

import attrs

from tavernkeep.contracts.execution import RefusalReason, Refused
from tavernkeep_engine.schedule.execution import Execution
from tavernkeep_engine.schedule.fair import FairQueue


@attrs.define(eq=False)
class Admission:
    """Gives executions their places.

    When one may start it is of the user who has the fewest running, and of these of who has waited longest since their last: whoever
    submits much waits behind themselves. Of one user's, the higher priority is first and then the earlier.

    In whose midst a process has ended may have been what ended it. Of these one at a time runs, the least often suspected first, so that
    what is innocent ends before what is not has its next turn.

    Attributes:
        most: How many may run at once.
        most_each: How many of one user's.
        most_waiting: How many more may wait.
        most_waiting_each: How many of one user's.
        running: How many run.
        pending: How many wait.
    """

    most: int
    most_each: int
    most_waiting: int
    most_waiting_each: int
    running: int = 0
    pending: int = 0
    _queue: FairQueue[Execution] = attrs.field(init=False)
    _suspects: list[Execution] = attrs.field(factory=list)
    _tried: Execution | None = None

    def __attrs_post_init__(self) -> None:
        self._queue = FairQueue(self.most_each)

    def check_room(self, uid: str) -> None:
        """Look whether one more of a user's may come.

        Raises:
            Refused: Too many wait.
        """
        if self.running >= self.most and self.pending >= self.most_waiting:
            raise Refused(f"{self.pending} executions are waiting already; try again later.", RefusalReason.FULL)
        if not self.starts_at_once(uid) and self._queue.waiting(uid) >= self.most_waiting_each:
            raise Refused(f"{self._queue.waiting(uid)} executions of yours are waiting already; try again later.", RefusalReason.USER_LIMIT)

    def starts_at_once(self, uid: str) -> bool:
        """Whether one more of a user's would."""
        return self.running < self.most and self._queue.has_room(uid)

    def add(self, execution: Execution, *, first: bool = False) -> None:
        """Let one wait for its place.

        Args:
            first: It has had one before.
        """
        self.pending += 1
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
        self.pending -= 1
        self.running += 1
        return execution

    def remove(self, execution: Execution) -> None:
        """One is not to wait any more."""
        self.pending -= 1
        if execution in self._suspects:
            self._suspects.remove(execution)
        else:
            self._queue.remove(execution.user.uid, execution)

    def leave(self, execution: Execution) -> None:
        """One gives its place back."""
        self.running -= 1
        self._queue.done(execution.user.uid)
        if execution is self._tried:
            self._tried = None
