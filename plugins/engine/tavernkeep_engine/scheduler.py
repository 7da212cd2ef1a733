"""The embedded scheduler: runs executions in the server's own process, so many at a time, and remembers the last ones."""

import asyncio
import itertools
import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import anyio
import attrs
import structlog

from tavernkeep.contracts import events
from tavernkeep.contracts.auth import UserContext
from tavernkeep.contracts.events import Event, EventBus
from tavernkeep.contracts.execution import (
    SHUTDOWN,
    EventsLost,
    ExecutionDetail,
    ExecutionInfo,
    ExecutionStatus,
    Interrupted,
    PayloadReport,
    Recorded,
    Refused,
    Submission,
    SystemStats,
)
from tavernkeep.contracts.nodes import NodeRegistry
from tavernkeep.contracts.running import ExecutionContext
from tavernkeep.contracts.services import Services
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep.ids import nanoid
from tavernkeep.wire import Problem
from tavernkeep_engine.cache import OutputCache
from tavernkeep_engine.fair import FairQueue
from tavernkeep_engine.plan import Plan
from tavernkeep_engine.prepare import Preparer
from tavernkeep_engine.run import FAILED_MESSAGE, Limits, Run, Setting

_log = structlog.get_logger(__name__)

_RECENT: Final = 20
_REMEMBERED_NODES: Final = 200_000  # over all ended executions; a node with its results is about a kilobyte


@attrs.frozen
class EngineConfig:
    """The embedded engine.

    Attributes:
        max_concurrent_nodes: How many nodes of one execution may be at work at once.
        stream_buffer: How many chunks a stream holds for a consumer before its producer waits.
        max_nodes: How many nodes a workflow may have.
        max_queued: How many executions may wait; more are refused.
        max_queued_per_user: How many of one user's may wait; more are refused.
        max_running_per_user: How many of one user's may run at once; as many as run at all when not set.
        execution_timeout_s: After so many seconds an execution is stopped and ends in `error`; never when not set.
        max_concurrent_processes: How many nodes may compute in processes of their own at once; half the processors when not set.
        cache_bytes: How much is kept of the outputs of deterministic nodes, in bytes; 0 keeps none.
        remembered_executions: How many ended executions can still be asked for.
        kept_output_bytes: How much of a node's output is kept once its execution has ended, in bytes; larger values are left out.
        remembered_events: How many of its last events are kept of each execution, for viewers that come late or come back.
        shutdown_grace_s: How long running executions may go on when the server stops, in seconds.
    """

    max_concurrent_nodes: int = attrs.field(default=64, validator=attrs.validators.ge(1))
    max_concurrent_processes: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))
    cache_bytes: int = attrs.field(default=64 * 1024 * 1024, validator=attrs.validators.ge(0))
    stream_buffer: int = attrs.field(default=64, validator=attrs.validators.ge(1))
    max_nodes: int = attrs.field(default=200_000, validator=attrs.validators.ge(1))
    max_queued: int = attrs.field(default=1000, validator=attrs.validators.ge(0))
    max_queued_per_user: int = attrs.field(default=1000, validator=attrs.validators.ge(0))
    max_running_per_user: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))
    execution_timeout_s: float | None = attrs.field(default=None, metadata={"wire_name": "executionTimeoutS"})
    remembered_executions: int = attrs.field(default=200, validator=attrs.validators.ge(1))
    kept_output_bytes: int = attrs.field(default=8 * 1024 * 1024, validator=attrs.validators.ge(1024))
    remembered_events: int = attrs.field(default=2000, validator=attrs.validators.ge(0))
    shutdown_grace_s: float = attrs.field(default=5.0, metadata={"wire_name": "shutdownGraceS"})


@attrs.define(eq=False)
class Execution:
    """One execution, from its submission until it is forgotten. Times are milliseconds since 1970, UTC."""

    id: str
    plan: Plan
    preparer: Preparer
    payload: WorkflowPayload
    user: UserContext
    submitted_at: int
    log: deque[Event]
    publish: Callable[[Event], None]
    status: ExecutionStatus = ExecutionStatus.QUEUED
    started_at: int | None = None
    completed_at: int | None = None
    error_info: dict[str, Any] | None = None
    recorded: Mapping[str, Recorded] = attrs.field(factory=dict)
    run: Run | None = None
    timed_out: bool = False
    last_seq: int = 0
    ended: asyncio.Event = attrs.field(factory=asyncio.Event)

    def emit(self, type_: str, payload: dict[str, Any]) -> None:
        """Number an event, keep it, and publish it. The payload becomes the event's own."""
        self.last_seq += 1
        payload["promptId"] = self.id
        payload["seq"] = self.last_seq
        event = Event(type_, payload, self.id, self.last_seq)
        self.log.append(event)
        self.publish(event)

    def set_status(self, status: ExecutionStatus, now: int) -> None:
        """Change the status and tell of it."""
        self.status = status
        if status is ExecutionStatus.RUNNING:
            self.started_at = now
        elif status.is_final:
            self.completed_at = now
        payload: dict[str, Any] = {"status": status.value}
        if self.error_info is not None:
            payload["errorInfo"] = self.error_info
        self.emit(events.STATUS_UPDATE, payload)

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


class EmbeddedScheduler:
    """Runs up to `max_concurrent` executions at once; the others wait.

    When one may start it is of the user who has the fewest running, and of these of who has waited longest since their last: whoever
    submits much waits behind themselves. Of one user's, the higher priority is first and then the earlier.

    Args:
        clock: Seconds, monotonic.
        wall_clock: Seconds since 1970.
    """

    name = "embedded"

    def __init__(
        self,
        bus: EventBus,
        nodes: NodeRegistry,
        services: Services,
        config: EngineConfig,
        max_concurrent: int,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._bus = bus
        self._nodes = nodes
        self._services = services
        self._config = config
        self._max_concurrent = max_concurrent
        self._clock = clock
        self._wall_clock = wall_clock
        self._executions: dict[str, Execution] = {}
        self._ended: OrderedDict[str, Execution] = OrderedDict()
        self._ended_nodes = 0
        self._queue: FairQueue[Execution] = FairQueue(config.max_running_per_user or max_concurrent)
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = 0
        self._pending = 0
        self._by_type: dict[str, asyncio.Semaphore] = {}
        self._cache = OutputCache(config.cache_bytes)
        self._processes = anyio.CapacityLimiter(config.max_concurrent_processes or max(1, (os.cpu_count() or 2) // 2))
        self._closing = False

    # The contract

    async def submit(self, submission: Submission) -> str:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        preparer = self._preparer(submission.payload, submission.user)
        self._check_size(submission.payload)
        plan = await preparer.prepare()
        if self._closing:
            raise Refused("The server is shutting down.", status=503)
        if self._running >= self._max_concurrent and self._pending >= self._config.max_queued:
            raise Refused(f"{self._pending} executions are waiting already; try again later.", status=503)
        uid = submission.user.uid
        if not self._starts_at_once(uid) and self._queue.waiting(uid) >= self._config.max_queued_per_user:
            raise Refused(f"{self._queue.waiting(uid)} executions of yours are waiting already; try again later.", status=429)
        for warning in plan.warnings:
            _log.warning("workflow", problem=str(warning), workflow=submission.payload.name)
        earlier = submission.continues
        execution = Execution(
            id=earlier.execution_id if earlier else nanoid(),
            plan=plan,
            preparer=preparer,
            payload=submission.payload,
            user=submission.user,
            submitted_at=earlier.submitted_at if earlier else self._now(),
            log=deque(maxlen=self._config.remembered_events),
            publish=self._bus.publish,
            last_seq=earlier.last_seq if earlier else 0,
            recorded=submission.recorded,
        )
        self._executions[execution.id] = execution
        submission.on_accepted(execution.id)
        self._pending += 1
        at_once = self._starts_at_once(uid)
        self._queue.add(uid, submission.payload.priority, execution)
        if not at_once:
            execution.set_status(ExecutionStatus.QUEUED, self._now())
            self._tell_queue()
        else:
            self._start_waiting()
        return execution.id

    async def check(self, payload: WorkflowPayload, user: UserContext) -> PayloadReport:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        try:
            self._check_size(payload)
            return (await self._preparer(payload, user).prepare()).report()
        except Refused as refused:
            return PayloadReport(False, refused.problems, [], [])

    async def interrupt(self, execution_id: str, user: UserContext) -> Interrupted:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        execution = self._find(execution_id, user)
        if execution is None:
            return Interrupted.UNKNOWN
        if execution.status.is_final:
            return Interrupted.FINISHED
        self._stop(execution)
        await execution.ended.wait()
        return Interrupted.DONE

    def answer(self, execution_id: str, node_id: str, value: Any, user: UserContext) -> bool | None:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        execution = self._find(execution_id, user)
        if execution is None:
            return None
        return execution.run is not None and execution.run.answer(node_id, value)

    def executions(self, user: UserContext) -> list[ExecutionInfo]:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        return [execution.info() for execution in self._executions.values() if _may_see(user, execution)]

    def recent(self, user: UserContext) -> list[ExecutionInfo]:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        ended = (execution.info() for execution in reversed(self._ended.values()) if _may_see(user, execution))
        return list(itertools.islice(ended, _RECENT))

    def detail(self, execution_id: str, user: UserContext) -> ExecutionDetail | None:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        execution = self._find(execution_id, user)
        return execution.detail() if execution else None

    def events_after(self, execution_id: str, user: UserContext, seq: int | None) -> list[Event] | None:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        execution = self._find(execution_id, user)
        if execution is None:
            return None
        if seq is None:
            return []
        first = execution.log[0].seq if execution.log else execution.last_seq + 1
        if seq + 1 < first:
            raise EventsLost(f"the events before number {first} of execution {execution_id} are no longer remembered")
        return [event for event in execution.log if event.seq > seq]

    def submission(self, execution_id: str) -> Submission | None:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        execution = self._remembered(execution_id)
        return Submission(execution.payload, execution.user, recorded=execution.recorded) if execution else None

    def info(self, execution_id: str) -> ExecutionInfo | None:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        execution = self._remembered(execution_id)
        return execution.info() if execution else None

    def stats(self) -> SystemStats:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        return SystemStats(self._max_concurrent, self._running, self._pending)

    # The life of an execution

    async def close(self) -> None:
        """Take nothing more, let what runs go on for the configured time, then stop it."""
        self._closing = True
        for execution in list(self._executions.values()):
            if execution.status is ExecutionStatus.QUEUED:
                self._shut_down(execution)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._config.shutdown_grace_s)
        for execution in list(self._executions.values()):
            self._shut_down(execution)
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _preparer(self, payload: WorkflowPayload, user: UserContext) -> Preparer:
        return Preparer(self._nodes, self._services, user, payload)

    def _check_size(self, payload: WorkflowPayload) -> None:
        count, most = len(payload.nodes), self._config.max_nodes
        if count > most:
            raise Refused(
                "The workflow is too large.", [Problem("nodes", f"has {count} nodes; at most {most} are taken (engine.maxNodes)")]
            )

    def _find(self, execution_id: str, user: UserContext) -> Execution | None:
        execution = self._remembered(execution_id)
        return execution if execution and _may_see(user, execution) else None

    def _remembered(self, execution_id: str) -> Execution | None:
        return self._executions.get(execution_id) or self._ended.get(execution_id)

    def _now(self) -> int:
        return int(self._wall_clock() * 1000)

    def _starts_at_once(self, uid: str) -> bool:
        return self._running < self._max_concurrent and self._queue.has_room(uid)

    def _tell_queue(self) -> None:
        payload = {"runningExecutions": self._running, "pendingExecutions": self._pending}
        self._bus.publish(Event(events.QUEUE_UPDATE, payload))

    def _start_waiting(self) -> None:
        while self._running < self._max_concurrent and (execution := self._queue.take()) is not None:
            self._pending -= 1
            self._running += 1
            execution.set_status(ExecutionStatus.RUNNING, self._now())
            task = asyncio.get_running_loop().create_task(self._execute(execution), name=f"execution {execution.id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._tell_queue()

    async def _execute(self, execution: Execution) -> None:
        status = ExecutionStatus.ERROR
        try:
            if execution.plan.fatal is not None:
                execution.error_info = {"message": execution.plan.fatal}
            else:
                status = await self._run(execution)
        except Exception as error:
            _log.exception("the engine failed on an execution", execution=execution.id)
            execution.error_info = {"message": f"The engine failed: {type(error).__name__}"}
        self._running -= 1
        self._queue.done(execution.user.uid)
        self._end(execution, status)
        self._start_waiting()

    async def _run(self, execution: Execution) -> ExecutionStatus:
        limits = Limits(self._config.max_concurrent_nodes, self._config.stream_buffer, self._type_limits(), self._processes)
        setting = Setting(self._clock, limits, execution.preparer, self._cache, execution.payload.preview, execution.recorded)
        context = ExecutionContext(
            execution_id=execution.id,
            user=execution.user,
            services=self._services,
            metadata=execution.payload.metadata,
            interface_inputs=execution.plan.interface_inputs,
        )
        run = execution.run = Run(execution.plan, context, execution.emit, setting, execution.preparer.chain)
        timeout_s = execution.payload.timeout_s or self._config.execution_timeout_s
        timer = asyncio.get_running_loop().call_later(timeout_s, self._time_out, execution) if timeout_s else None
        try:
            status = await run.execute()
        finally:
            if timer is not None:
                timer.cancel()
        if execution.timed_out and status is ExecutionStatus.INTERRUPTED:
            execution.error_info = {"message": f"The execution took longer than {timeout_s:g} s and was stopped."}
            return ExecutionStatus.ERROR
        if status is ExecutionStatus.ERROR:
            execution.error_info = {"message": FAILED_MESSAGE, "nodes": run.failures}
        return status

    def _type_limits(self) -> dict[str, asyncio.Semaphore]:
        for definition in self._nodes:
            if definition.max_concurrent and definition.full_type not in self._by_type:
                self._by_type[definition.full_type] = asyncio.Semaphore(definition.max_concurrent)
        return self._by_type

    def _time_out(self, execution: Execution) -> None:
        execution.timed_out = True
        self._stop(execution)

    def _shut_down(self, execution: Execution) -> None:
        execution.error_info = {"message": "The server is shutting down.", "type": SHUTDOWN}
        self._stop(execution)

    def _stop(self, execution: Execution) -> None:
        if execution.status is ExecutionStatus.QUEUED:
            self._pending -= 1
            self._queue.remove(execution.user.uid, execution)
            self._end(execution, ExecutionStatus.INTERRUPTED)
            self._tell_queue()
        elif execution.run is not None:
            execution.run.stop()

    def _end(self, execution: Execution, status: ExecutionStatus) -> None:
        execution.set_status(status, self._now())
        execution.ended.set()
        del self._executions[execution.id]
        self._ended[execution.id] = execution
        self._ended_nodes += len(execution.plan.nodes)
        if execution.run is not None:
            asyncio.get_running_loop().run_in_executor(None, execution.run.trim, self._config.kept_output_bytes)
        while self._ended and (len(self._ended) > self._config.remembered_executions or self._ended_nodes > _REMEMBERED_NODES):
            _, forgotten = self._ended.popitem(last=False)
            self._ended_nodes -= len(forgotten.plan.nodes)


def _may_see(user: UserContext, execution: Execution) -> bool:
    return user.is_admin or user.uid == execution.user.uid
