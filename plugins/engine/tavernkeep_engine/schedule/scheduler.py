"""The embedded scheduler: runs executions in the server's own process, so many at a time, and remembers the last ones."""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import anyio
import structlog

from tavernkeep.contracts.auth import UserContext
from tavernkeep.contracts.bus import EventBus
from tavernkeep.contracts.events import Event, QueueUpdate
from tavernkeep.contracts.execution import (
    SHUTDOWN,
    Continuation,
    ExecutionArchive,
    ExecutionDetail,
    ExecutionInfo,
    ExecutionJournal,
    ExecutionStatus,
    Interrupted,
    PayloadReport,
    RefusalReason,
    Refused,
    Submission,
    SystemStats,
)
from tavernkeep.contracts.nodes import NodeRegistry
from tavernkeep.contracts.services import Services
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep.ids import nanoid
from tavernkeep.wire import Problem
from tavernkeep_engine.config import EngineConfig
from tavernkeep_engine.plan.prepare import Preparer
from tavernkeep_engine.run.allowance import Allowance
from tavernkeep_engine.run.cache import OutputCache
from tavernkeep_engine.run.loop import Run
from tavernkeep_engine.run.setting import Limits, Setting
from tavernkeep_engine.run.telling import Teller
from tavernkeep_engine.schedule.accepting import opening_of
from tavernkeep_engine.schedule.execution import Execution
from tavernkeep_engine.schedule.fair import FairQueue
from tavernkeep_engine.schedule.knowledge import Knowledge
from tavernkeep_engine.schedule.log import EventLog
from tavernkeep_engine.schedule.memory import Memory
from tavernkeep_engine.schedule.requests import Requests

_log = structlog.get_logger(__name__)

_FAILED: Final = "One or more nodes failed during execution."


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
        events: EventBus,
        nodes: NodeRegistry,
        services: Services,
        config: EngineConfig,
        max_concurrent: int,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._events = events
        self._nodes = nodes
        self._services = services
        self._config = config
        self._max_concurrent = max_concurrent
        self._clock = clock
        self._wall_clock = wall_clock
        self._executions: dict[str, Execution] = {}
        self._retained = Allowance(config.max_retained_bytes, "bytes of all executions in memory (engine.maxRetainedBytes)")
        self._memory = Memory(config.remembered_executions, self._retained)
        self._retained.make_room = self._memory.make_room
        self._knowledge = Knowledge(self._executions, self._memory, lambda: services.find(ExecutionArchive))
        self._queue: FairQueue[Execution] = FairQueue(config.max_running_per_user or max_concurrent)
        self._tasks: set[asyncio.Task[None]] = set()
        self._trims: set[asyncio.Task[None]] = set()
        self._running = 0
        self._pending = 0
        self._by_type: dict[tuple[str, int], asyncio.Semaphore] = {}
        self._cache = OutputCache(config.cache_bytes)
        self._cached = nodes.snapshot()
        self._processes = anyio.CapacityLimiter(config.max_concurrent_processes or max(1, (os.cpu_count() or 2) // 2))
        self._closing = False
        self._requests = Requests(self._take, clock)

    # The contract

    async def submit(self, submission: Submission) -> str:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        if submission.payload.request_id is None or submission.continues is not None:
            return await self._take(submission)
        return await self._requests.once(submission, self._journal)

    @property
    def _journal(self) -> ExecutionJournal | None:
        return self._services.find(ExecutionJournal)

    async def _take(self, submission: Submission) -> str:
        journal, earlier, uid = self._journal, submission.continues, submission.user.uid
        self._check_journal(journal, earlier)
        preparer = self._preparer(submission.payload, submission.user)
        self._check_size(submission.payload)
        plan = await preparer.prepare()
        self._check_journal(journal, earlier)
        self._check_room(uid)
        for warning in plan.warnings:
            _log.warning("workflow", problem=str(warning), workflow=submission.payload.name)
        bound = "bytes of values that an execution may hold (engine.maxExecutionBytes)"
        allowance = Allowance(self._config.max_execution_bytes, bound, self._retained)
        execution = Execution(
            id=earlier.execution_id if earlier else nanoid(),
            plan=plan,
            preparer=preparer,
            payload=submission.payload,
            user=submission.user,
            submitted_at=earlier.submitted_at if earlier else self._now(),
            log=EventLog(self._config.remembered_events, allowance),
            publish=self._events.publish,
            allowance=allowance,
            on_told=self._remember,
            taken=asyncio.get_running_loop().create_future(),
            last_seq=earlier.last_seq if earlier else 0,
            recorded=submission.recorded,
            answers=submission.answers,
        )
        if journal is None or earlier is not None:
            submission.on_accepted(execution.id)  # may raise: nothing is taken yet
            execution.taken.set_result(None)
        self._events.watch(execution.id, execution.told)  # the first that is told
        self._executions[execution.id] = execution
        if journal is not None:
            journal.open(opening_of(execution, submission, self._stop, self._forget))
        self._pending += 1
        at_once = self._starts_at_once(uid)
        self._queue.add(uid, submission.payload.priority, execution)
        if not at_once:
            execution.set_status(ExecutionStatus.QUEUED, self._now())
            self._tell_queue()
        else:
            self._start_waiting()
        await asyncio.shield(execution.taken)
        return execution.id

    def _check_journal(self, journal: ExecutionJournal | None, earlier: Continuation | None) -> None:
        if journal is not None and earlier is None and journal.problem is not None:
            raise Refused(journal.problem, RefusalReason.UNRECORDED)

    def _check_room(self, uid: str) -> None:
        if self._closing:
            raise Refused("The server is shutting down.", RefusalReason.CLOSING)
        if self._running >= self._max_concurrent and self._pending >= self._config.max_queued:
            raise Refused(f"{self._pending} executions are waiting already; try again later.", RefusalReason.FULL)
        if not self._starts_at_once(uid) and self._queue.waiting(uid) >= self._config.max_queued_per_user:
            raise Refused(f"{self._queue.waiting(uid)} executions of yours are waiting already; try again later.", RefusalReason.USER_LIMIT)

    async def check(self, payload: WorkflowPayload, user: UserContext) -> PayloadReport:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        try:
            self._check_size(payload)
            return (await self._preparer(payload, user).prepare()).report()
        except Refused as refused:
            return PayloadReport(False, refused.problems, [], [])

    async def interrupt(self, execution_id: str, user: UserContext) -> Interrupted:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        execution = self._knowledge.find(execution_id, user)
        if execution is None:
            return Interrupted.UNKNOWN
        ended_before = execution.status.is_final
        if not ended_before:
            self._stop(execution)
        await execution.ended.wait()
        if (journal := self._journal) is not None:
            await journal.written(execution_id)
        return Interrupted.FINISHED if ended_before else Interrupted.DONE

    async def answer(self, execution_id: str, node_id: str, value: Any, user: UserContext) -> bool | None:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        execution = self._knowledge.find(execution_id, user)
        if execution is None:
            return None
        if execution.run is None or not execution.run.answer(node_id, value):
            return False
        if (journal := self._journal) is not None:
            await journal.written(execution_id)
        return True

    async def executions(self, user: UserContext) -> list[ExecutionInfo]:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        return self._knowledge.executions(user)

    async def recent(self, user: UserContext) -> list[ExecutionInfo]:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        return await self._knowledge.recent(user)

    async def info(self, execution_id: str, user: UserContext) -> ExecutionInfo | None:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        return await self._knowledge.info(execution_id, user)

    async def detail(self, execution_id: str, user: UserContext) -> ExecutionDetail | None:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        return await self._knowledge.detail(execution_id, user)

    async def events_after(self, execution_id: str, user: UserContext, seq: int | None) -> list[Event] | None:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        return await self._knowledge.events_after(execution_id, user, seq)

    async def stats(self) -> SystemStats:
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
            if not execution.status.is_final:
                self._shut_down(execution)
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._trims:
            await asyncio.wait(self._trims)
        if (journal := self._journal) is not None:
            await journal.flush()

    def _cache_of(self, nodes: NodeRegistry) -> OutputCache:
        """What is remembered of the outputs of these node types: of others of the same names nothing is."""
        if nodes is not self._cached:
            self._cached, self._cache = nodes, OutputCache(self._config.cache_bytes)
        return self._cache

    def _preparer(self, payload: WorkflowPayload, user: UserContext) -> Preparer:
        nodes = self._nodes.snapshot()
        # What runs is told of the node types that it began with, also where it asks for others by name.
        return Preparer(nodes, self._services.instead(NodeRegistry, nodes, owner="engine"), user, payload)

    def _check_size(self, payload: WorkflowPayload) -> None:
        count, most = len(payload.nodes), self._config.max_nodes
        if count > most:
            problem = Problem("nodes", f"has {count} nodes; at most {most} are taken (engine.maxNodes)")
            raise Refused("The workflow is too large.", RefusalReason.INVALID, [problem])

    def _now(self) -> int:
        return int(self._wall_clock() * 1000)

    def _starts_at_once(self, uid: str) -> bool:
        return self._running < self._max_concurrent and self._queue.has_room(uid)

    def _tell_queue(self) -> None:
        self._events.publish(QueueUpdate(self._running, self._pending))

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
        try:
            self._end(execution, status)
        finally:
            self._start_waiting()  # whatever became of this one, others wait for its place

    async def _run(self, execution: Execution) -> ExecutionStatus:
        limits = Limits(
            self._config.max_concurrent_nodes, self._config.stream_buffer, self._type_limits(execution.preparer.nodes), self._processes
        )
        setting = Setting(
            execution_id=execution.id,
            user=execution.user,
            services=execution.preparer.services,
            metadata=execution.payload.metadata,
            clock=self._clock,
            limits=limits,
            preparer=execution.preparer,
            cache=self._cache_of(execution.preparer.nodes),
            allowance=execution.allowance,
            most=self._config.max_value_bytes,
            preview=execution.payload.preview,
            recorded=execution.recorded,
            answers={node_id: deque(answers) for node_id, answers in execution.answers.items()},
        )
        teller = Teller(execution.emit, setting.secrets)
        run = Run(execution.plan, execution.plan.interface_inputs, setting, teller, execution.preparer.chain)
        execution.begin(run)
        timeout_s = execution.payload.timeout_s or self._config.execution_timeout_s
        timer = asyncio.get_running_loop().call_later(timeout_s, self._time_out, execution) if timeout_s else None
        try:
            status = await run.execute()
        finally:
            if timer is not None:
                timer.cancel()
        if execution.broken is not None:
            execution.error_info = {"message": execution.broken}
            return ExecutionStatus.ERROR
        if execution.timed_out and status is ExecutionStatus.INTERRUPTED:
            execution.error_info = {"message": f"The execution took longer than {timeout_s:g} s and was stopped."}
            return ExecutionStatus.ERROR
        if status is ExecutionStatus.ERROR:
            execution.error_info = {"message": _FAILED, "nodes": run.failures}
        return status

    def _type_limits(self, nodes: NodeRegistry) -> dict[str, asyncio.Semaphore]:
        """The places of these node types; a type that has come again with another limit has places of its own."""
        limited = {definition.full_type: definition.max_concurrent for definition in nodes if definition.max_concurrent}
        return {type_: self._by_type.setdefault((type_, most), asyncio.Semaphore(most)) for type_, most in limited.items()}

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
            if execution.broken is not None:
                execution.error_info = {"message": execution.broken}
            self._end(execution, ExecutionStatus.INTERRUPTED if execution.broken is None else ExecutionStatus.ERROR)
            self._tell_queue()
        else:
            execution.stop()

    def _end(self, execution: Execution, status: ExecutionStatus) -> None:
        execution.set_status(status, self._now())
        execution.ended.set()
        if execution.taken.done() and not execution.is_accepted:
            self._forget(execution)
            return
        if execution.run is not None:
            execution.run.let_go()

    def _remember(self, execution: Execution) -> None:
        """Everybody has been told of its end."""
        self._events.unwatch(execution.id, execution.told)
        del self._executions[execution.id]
        self._memory.add(execution)
        # Of one that takes less there is nothing that is too large to be kept.
        if execution.run is not None and execution.allowance.used > self._config.kept_output_bytes // 2:
            self._trims.add(task := asyncio.get_running_loop().create_task(self._trim(execution, execution.run)))
            task.add_done_callback(self._trims.discard)

    def _forget(self, execution: Execution) -> None:
        """Nobody has been told of it, and nobody will be."""
        self._events.unwatch(execution.id, execution.told)
        del self._executions[execution.id]
        execution.allowance.release()

    async def _trim(self, execution: Execution, run: Run) -> None:
        most = self._config.kept_output_bytes
        left = await asyncio.to_thread(run.trim, most)
        large = await asyncio.to_thread(execution.log.last_larger, most)
        run.count(left)
        execution.log.forget_until(large)
