"""One execution: where it stands, its events, and what came of it."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from tavernkeep.contracts.auth import UserContext
from tavernkeep.contracts.events import Event, StatusUpdate
from tavernkeep.contracts.execution import ExecutionDetail, ExecutionInfo, ExecutionStatus, Recorded
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep_engine.plan.prepare import Preparer
from tavernkeep_engine.plan.types import Plan
from tavernkeep_engine.run.allowance import Allowance
from tavernkeep_engine.run.loop import Run
from tavernkeep_engine.schedule.log import EventLog


@attrs.define(eq=False)
class Execution:
    """One execution, from its submission until it is forgotten. Times are milliseconds since 1970, UTC."""

    id: str
    plan: Plan
    preparer: Preparer
    payload: WorkflowPayload
    user: UserContext
    submitted_at: int
    log: EventLog
    publish: Callable[[Event], None]
    allowance: Allowance
    status: ExecutionStatus = ExecutionStatus.QUEUED
    started_at: int | None = None
    completed_at: int | None = None
    error_info: dict[str, Any] | None = None
    recorded: Mapping[str, Recorded] = attrs.field(factory=dict)
    run: Run | None = None
    stopping: bool = False
    timed_out: bool = False
    last_seq: int = 0
    ended: asyncio.Event = attrs.field(factory=asyncio.Event)

    def emit(self, event: Event, size: int = 0) -> None:
        """Number an event, keep it, and publish it.

        Args:
            size: How many bytes its values take that nothing else holds.
        """
        self.last_seq = seq = self.last_seq + 1
        self.log.events.append(event.of(self.id, seq))
        if size:
            self.log.hold(seq, size)
        self.publish(event)

    def begin(self, run: Run) -> None:
        """It is executed by this run; where it was stopped already, the run starts nothing."""
        self.run = run
        if self.stopping:
            run.stop()

    def stop(self) -> None:
        """End its run, or what run it gets."""
        self.stopping = True
        if self.run is not None:
            self.run.stop()

    def set_status(self, status: ExecutionStatus, now: int) -> None:
        """Change the status and tell of it."""
        self.status = status
        if status is ExecutionStatus.RUNNING:
            self.started_at = now
        elif status.is_final:
            self.completed_at = now
        self.emit(StatusUpdate(status, self.error_info))

    def info(self) -> ExecutionInfo:
        """The execution as lists show it."""
        return ExecutionInfo(self.id, self.status, self.submitted_at, self.payload.name, self.started_at, self.completed_at)

    def detail(self) -> ExecutionDetail:
        """The execution with its results so far."""
        run = self.run
        return ExecutionDetail(
            prompt_id=self.id,
            status=self.status,
            submitted_at=self.submitted_at,
            node_status={node.id: run.status_of(node.index) for node in self.plan.nodes} if run else {},
            outputs=run.outcome if run else {},
            warnings=[str(warning) for warning in self.plan.warnings],
            metadata=self.payload.metadata,
            workflow_name=self.payload.name,
            started_at=self.started_at,
            completed_at=self.completed_at,
            duration_ms=None if self.started_at is None or self.completed_at is None else self.completed_at - self.started_at,
            error_info=self.error_info,
        )

    def may_be_seen_by(self, user: UserContext) -> bool:
        """Whether it is the user's own, or the user an administrator."""
        return user.is_admin or user.uid == self.user.uid
