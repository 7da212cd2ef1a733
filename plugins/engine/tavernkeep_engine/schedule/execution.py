"""One execution: where it stands, its events, and what came of it.

It has two sides. What has happened is what the engine goes by; what is shown is what was told, which where there is a journal is a little
less: nobody sees what is not kept yet.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import attrs

from tavernkeep.contracts.auth import UserContext
from tavernkeep.contracts.events import (
    INTERFACE_OUTPUTS,
    Event,
    InterfaceYield,
    NodeBypassed,
    NodeComplete,
    NodeError,
    NodeExecuting,
    NodeProgress,
    NodeSkipped,
    NodeYield,
    StatusUpdate,
)
from tavernkeep.contracts.execution import ExecutionDetail, ExecutionInfo, ExecutionStatus, NodeStatus, Remember
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep_engine.plan.prepare import Preparer
from tavernkeep_engine.plan.types import Plan
from tavernkeep_engine.run.allowance import Allowance
from tavernkeep_engine.run.loop import Run
from tavernkeep_engine.run.resting import Rest
from tavernkeep_engine.run.results import Results
from tavernkeep_engine.schedule.log import EventLog

_PASSING: Final = (NodeYield, InterfaceYield, NodeProgress)  # they change nothing that is shown, so the journal alone holds them


@attrs.define(eq=False)
class Execution:
    """One execution, from its submission until it is forgotten. Times are milliseconds since 1970, UTC.

    Attributes:
        publish: Takes each event as it happens; it comes back to `told` before anybody else is told.
        on_told: Called when its end has been told.
        taken: Done when it is accepted; it fails with `Refused` when it is not.
        clock: Seconds, monotonic.
        ran_before_ms: How long it ran in processes that have ended.
        recall: Reads what need not run again, when the run begins.
        attempts: How often a process ended in the middle of it.
        began_before: It ran in another process, which has ended.
        disowned: It is not this process's, or nobody's: it ends, and nobody is told.
        run: What executes it, for as long as it does.
        results: What has come of its nodes, from its start on.
        rest: Whether all of it waits for people, while it runs.
        broken: Why it is stopped although nobody asked for it and it did nothing wrong.
        ended: Set when it has ended, whether or not that has been told.
    """

    id: str
    plan: Plan
    preparer: Preparer
    payload: WorkflowPayload
    user: UserContext
    submitted_at: int
    log: EventLog
    publish: Callable[[Event], None]
    allowance: Allowance
    on_told: Callable[["Execution"], None]
    taken: asyncio.Future[None]
    clock: Callable[[], float]
    ran_before_ms: int = 0
    status: ExecutionStatus = ExecutionStatus.QUEUED
    started_at: int | None = None
    completed_at: int | None = None
    error_info: dict[str, Any] | None = None
    recall: Remember | None = None
    attempts: int = 0
    began_before: bool = False
    run: Run | None = None
    rest: Rest | None = None
    results: Results | None = None
    stopping: bool = False
    timed_out: bool = False
    broken: str | None = None
    disowned: bool = False
    last_seq: int = 0
    last_told: int = 0
    ended: asyncio.Event = attrs.field(factory=asyncio.Event)
    _ran_from: float | None = None
    _ran_until: float | None = None
    _shown: ExecutionStatus = ExecutionStatus.QUEUED
    _shown_error: dict[str, Any] | None = None
    _untold: deque[tuple[int, Event | None, int]] = attrs.field(factory=deque)

    def __attrs_post_init__(self) -> None:
        self.last_told = self.last_seq

    @property
    def is_accepted(self) -> bool:
        """Whether anybody may know of it."""
        return self.taken.done() and self.taken.exception() is None and not self.disowned

    def emit(self, event: Event, size: int = 0) -> None:
        """Number an event, and publish it.

        Args:
            size: How many bytes its values take that nothing else holds.
        """
        self.last_seq = seq = self.last_seq + 1
        self._untold.append((seq, None if isinstance(event, _PASSING) else event, size))
        event.of(self.id, seq)
        self.publish(event)

    def told(self, event: Event) -> None:
        """An event is told now, or one in the place of all that were not: keep it for viewers that come late."""
        size = 0
        while self._untold and self._untold[0][0] <= event.seq:
            size = self._untold.popleft()[2]
        self.last_told = event.seq
        self.log.events.append(event)
        if size:
            self.log.hold(event.seq, size)
        if isinstance(event, StatusUpdate):
            self._shown, self._shown_error = event.status, None if event.error_info is None else dict(event.error_info)
            if event.status.is_final:
                self.on_told(self)

    def disown(self, why: Exception) -> None:
        """Let nobody learn of what happens to it from now on, nor of itself."""
        self.disowned, self.publish = True, _unheard
        if not self.taken.done():
            self.taken.set_exception(why)
            self.taken.exception()  # whoever submitted it may have hung up

    def begin(self, run: Run) -> None:
        """It is executed by this run; where it was stopped already, the run starts nothing."""
        self.run, self.results = run, run.results
        if self.stopping:
            run.stop()

    def stop(self) -> None:
        """End its run, or what run it gets."""
        self.stopping = True
        if self.run is not None:
            self.run.stop()
        if self.rest is not None:
            self.rest.end()

    def let_go(self) -> None:
        """It has ended: of its run there is nothing left but the results, and in these no live value."""
        self.run = None
        if self.results is not None:
            self.results.forget_live()

    def set_status(self, status: ExecutionStatus, now: int) -> None:
        """Change the status and tell of it."""
        self.status = status
        if status is ExecutionStatus.RUNNING:
            self.started_at = self.started_at or now
            self._ran_from = self.clock()
        elif status.is_final:
            self.completed_at = now
            self._ran_until = self.clock()
        self.emit(StatusUpdate(status, self.error_info))

    def ran_ms(self) -> int | None:
        """How long it has run; `None` where it has not begun."""
        if self._ran_from is None:
            return self.ran_before_ms or None
        until = self.clock() if self._ran_until is None else self._ran_until
        return self.ran_before_ms + round((until - self._ran_from) * 1000)

    def now(self) -> ExecutionInfo:
        """The execution as it stands."""
        return ExecutionInfo(self.id, self.status, self.submitted_at, self.payload.name, self.started_at, self.completed_at)

    def info(self) -> ExecutionInfo:
        """The execution as lists show it."""
        started_at = None if self._shown is ExecutionStatus.QUEUED else self.started_at
        completed_at = self.completed_at if self._shown.is_final else None
        return ExecutionInfo(self.id, self._shown, self.submitted_at, self.payload.name, started_at, completed_at)

    def detail(self) -> ExecutionDetail:
        """The execution with its results so far."""
        info, results, before = self.info(), self.results, self._before_untold()
        return ExecutionDetail(
            prompt_id=self.id,
            status=info.status,
            submitted_at=self.submitted_at,
            node_status={node.id: before.get(node.id) or results.status_of(node.index) for node in self.plan.nodes} if results else {},
            outputs=results.outcome if results and INTERFACE_OUTPUTS not in before else {},
            warnings=[str(warning) for warning in self.plan.warnings],
            metadata=self.payload.metadata,
            workflow_name=self.payload.name,
            started_at=info.started_at,
            completed_at=info.completed_at,
            duration_ms=None if info.completed_at is None else self.ran_ms(),
            error_info=self._shown_error,
        )

    def _before_untold(self) -> dict[str, NodeStatus]:
        """Where the nodes stood of which something has happened that is not told yet."""
        before: dict[str, NodeStatus] = {}
        for _, event, _ in self._untold:
            match event:
                case NodeExecuting() | NodeSkipped() | NodeBypassed():
                    before.setdefault(event.node_id, NodeStatus("pending"))
                case NodeComplete() | NodeError():
                    before.setdefault(event.node_id, NodeStatus("executing"))
        return before

    def may_be_seen_by(self, user: UserContext) -> bool:
        """Whether it is the user's own, or the user an administrator."""
        return user.is_admin or user.uid == self.user.uid


def _unheard(event: Event) -> None:
    """Nobody learns of it."""
