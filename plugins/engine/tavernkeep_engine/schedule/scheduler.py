"""The embedded scheduler: runs executions in the server's own process, so many at a time, and remembers the last ones."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

import structlog

from tavernkeep.contracts.auth import AuthProvider, UserContext
from tavernkeep.contracts.bus import EventBus
from tavernkeep.contracts.events import Event, QueueUpdate
from tavernkeep.contracts.execution import (
    SHUTDOWN,
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
    Unfinished,
)
from tavernkeep.contracts.nodes import NodeRegistry
from tavernkeep.contracts.services import Services
from tavernkeep.contracts.storage import WANTING, Unavailable
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep.ids import nanoid
from tavernkeep.wire import Problem
from tavernkeep_engine.config import EngineConfig
from tavernkeep_engine.contracts import LeftOpen
from tavernkeep_engine.plan.prepare import Preparer
from tavernkeep_engine.plan.types import Plan
from tavernkeep_engine.run.allowance import Allowance
from tavernkeep_engine.run.pulse import Pulse
from tavernkeep_engine.schedule.accepting import opening_of
from tavernkeep_engine.schedule.admission import Admission
from tavernkeep_engine.schedule.executing import Executing
from tavernkeep_engine.schedule.execution import Execution
from tavernkeep_engine.schedule.knowledge import Knowledge
from tavernkeep_engine.schedule.log import EventLog
from tavernkeep_engine.schedule.memory import Memory
from tavernkeep_engine.schedule.requests import Requests
from tavernkeep_engine.schedule.resuming import renewed, why_given_up
from tavernkeep_engine.schedule.settling import Settling

_log = structlog.get_logger(__name__)

Grace = Callable[[Collection["asyncio.Task[Any]"], float], Awaitable[float]]

_RETRY_S: Final = 1.0


class EmbeddedScheduler:
    """Runs up to `max_concurrent` executions at once; the others wait, see `Admission`.

    Args:
        why_unrecorded: Tells why there is no journal where there should be one.
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
        why_unrecorded: Callable[[], str | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._events = events
        self._nodes = nodes
        self._services = services
        self._config = config
        self._why_unrecorded = why_unrecorded
        self._clock = clock
        self._wall_clock = wall_clock
        self._executions: dict[str, Execution] = {}
        self._retained = Allowance(config.max_retained_bytes, "bytes of all executions in memory (engine.maxRetainedBytes)")
        self._memory = Memory(config.remembered_executions, self._retained)
        self._retained.make_room = self._memory.make_room
        self._settling = Settling(self._memory, services, config.kept_output_bytes)
        self._knowledge = Knowledge(self._executions, self._memory, lambda: services.find(ExecutionArchive))
        self._admission = Admission(
            max_concurrent, config.max_running_per_user or max_concurrent, config.max_queued, config.max_queued_per_user
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._requests = Requests(self._take, clock)
        self.pulse = Pulse(clock, self._confirm)
        self._executing = Executing(config, clock, lambda: self._journal, self.pulse, self._rest, self._come_back, self._time_out)

    # The contract

    async def submit(self, submission: Submission) -> str:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        if submission.payload.request_id is None:
            return await self._take(submission)
        return await self._requests.once(submission, self._journal)

    @property
    def _journal(self) -> ExecutionJournal | None:
        return self._services.find(ExecutionJournal)

    async def _confirm(self) -> None:
        if (journal := self._journal) is not None:
            await journal.confirm()

    async def take_up(self) -> None:
        """Go on with what processes before this one left open, in its order and whatever the limits say; call it before anything is served.

        Raises:
            tavernkeep.contracts.storage.Unavailable: That is not possible at present; call it again for the rest.
        """
        if (journal := self._journal) is None:
            return
        wanting: Exception | None = None
        try:
            async for unfinished in journal.unfinished():
                try:
                    await self._go_on(unfinished, journal)
                except WANTING as error:  # others may need less
                    wanting = error
        finally:  # those that have been taken up wait for no others
            if self._admission.pending:  # else there is nothing to tell
                self._start_waiting()
        if wanting is not None:
            raise Unavailable("busy", f"Not all that was left open can be taken up: {wanting or type(wanting).__name__}")

    async def take_up_later(self) -> None:
        """Take up what is left open once that is possible again."""
        said = ""
        while True:
            await asyncio.sleep(_RETRY_S)
            if self._closing:
                return
            try:
                await self.take_up()
                return
            except Exception as error:
                if (now := str(error) or type(error).__name__) != said:
                    _log.warning("what was left open still cannot be taken up", error=now)
                said = now

    async def _go_on(self, unfinished: Unfinished, journal: ExecutionJournal) -> None:
        try:
            user = await renewed(unfinished, self._services.get(AuthProvider))
            preparer = self._preparer(unfinished.payload, user)
            plan = await preparer.prepare()
        except (Unavailable, *WANTING):
            raise
        except Exception as error:
            await journal.give_up(unfinished, why_given_up(unfinished, error))
            return
        submission = Submission(unfinished.payload, user, recall=unfinished.recall)
        execution = self._execution(submission, preparer, plan, unfinished)
        execution.taken.set_result(None)
        self._enter(execution, submission, journal, unfinished)
        self._admission.add(execution, first=unfinished.started_at is not None)
        execution.set_status(ExecutionStatus.QUEUED, self._now())

    async def _take(self, submission: Submission) -> str:
        journal, uid = self._journal, submission.user.uid
        self._check_journal(journal)
        self._check_size(submission.payload)
        preparer = self._preparer(submission.payload, submission.user)
        plan = await preparer.prepare()
        self._check_journal(journal)
        if self._closing:
            raise Refused("The server is shutting down.", RefusalReason.CLOSING)
        self._admission.check_room(uid)
        for warning in plan.warnings:
            _log.warning("workflow", problem=str(warning), workflow=submission.payload.name)
        execution = self._execution(submission, preparer, plan)
        if journal is None:
            submission.on_accepted(execution.id)  # may raise: nothing is taken yet
            execution.taken.set_result(None)
        self._enter(execution, submission, journal)
        at_once = self._admission.starts_at_once(uid)
        self._admission.add(execution)
        if not at_once:
            execution.set_status(ExecutionStatus.QUEUED, self._now())
            self._tell_queue()
        else:
            self._start_waiting()
        try:
            await asyncio.shield(execution.taken)
            return execution.id
        finally:
            del execution  # a refusal, which it holds, leads here

    def _execution(self, submission: Submission, preparer: Preparer, plan: Plan, unfinished: Unfinished | None = None) -> Execution:
        bound = "bytes of values that an execution may hold (engine.maxExecutionBytes)"
        allowance = Allowance(self._config.max_execution_bytes, bound, self._retained)
        return Execution(
            id=unfinished.execution_id if unfinished else nanoid(),
            plan=plan,
            preparer=preparer,
            payload=submission.payload,
            user=submission.user,
            submitted_at=unfinished.submitted_at if unfinished else self._now(),
            log=EventLog(self._config.remembered_events, allowance),
            publish=self._events.publish,
            allowance=allowance,
            on_told=self._remember,
            taken=asyncio.get_running_loop().create_future(),
            clock=self._clock,
            ran_before_ms=unfinished.ran_ms if unfinished else 0,
            started_at=unfinished.started_at if unfinished else None,
            began_before=unfinished is not None and unfinished.started_at is not None,
            last_seq=unfinished.last_seq if unfinished else 0,
            recall=submission.recall,
            attempts=unfinished.attempts if unfinished else 0,
        )

    def _enter(
        self, execution: Execution, submission: Submission, journal: ExecutionJournal | None, unfinished: Unfinished | None = None
    ) -> None:
        self._events.watch(execution.id, execution.told)  # the first that is told
        self._executions[execution.id] = execution
        if journal is not None:
            journal.open(opening_of(execution, submission, self._stop, self._forget, unfinished))

    def _check_journal(self, journal: ExecutionJournal | None) -> None:
        if (problem := self._why_unrecorded() if journal is None else journal.problem) is not None:
            raise Refused(problem, RefusalReason.UNRECORDED)

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
        if not isinstance(execution, Execution):
            return await self._interrupt_left_open(execution_id, user)
        ended_before = execution.status.is_final
        if not ended_before:
            self._stop(execution)
        await execution.ended.wait()
        await self._kept(execution)
        return Interrupted.FINISHED if ended_before else Interrupted.DONE

    async def _interrupt_left_open(self, execution_id: str, user: UserContext) -> Interrupted:
        info, left_open = await self._knowledge.info(execution_id, user), self._services.find(LeftOpen)
        if info is not None and not info.status.is_final and left_open is not None and await left_open.interrupt(execution_id):
            return Interrupted.DONE
        return Interrupted.FINISHED if await self._has_ended(execution_id, user) else Interrupted.UNKNOWN

    async def _has_ended(self, execution_id: str, user: UserContext) -> bool:
        """Whether one that does not run here has ended; `False` for an unknown one."""
        info = await self._knowledge.info(execution_id, user)
        if info is not None and not info.status.is_final:
            raise _elsewhere()
        return info is not None

    async def answer(self, execution_id: str, node_id: str, value: Any, user: UserContext) -> bool | None:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        execution = self._knowledge.find(execution_id, user)
        if not isinstance(execution, Execution):
            return False if await self._has_ended(execution_id, user) else None
        if execution.run is None or not execution.run.answer(node_id, value):
            return False
        await self._kept(execution)
        return True

    async def _kept(self, execution: Execution) -> None:
        """Return when all that has happened to one is kept."""
        if (journal := self._journal) is not None:
            await journal.written(execution.id)
        if execution.disowned:
            raise _elsewhere()

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

    async def events_after(self, execution_id: str, user: UserContext, seq: int | None, limit: int | None = None) -> list[Event] | None:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        return await self._knowledge.events_after(execution_id, user, seq, limit)

    async def stats(self) -> SystemStats:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        return SystemStats(self._admission.most, self._admission.running, self._admission.pending)

    # The life of an execution

    async def close(self, grace: Grace) -> None:
        """Take nothing more, let what runs go on for the configured time, then stop it.

        Args:
            grace: Lets work go on for so many seconds; see `tavernkeep.contracts.app.App`.
        """
        self._closing = True
        for execution in list(self._executions.values()):
            if execution.status is ExecutionStatus.QUEUED or self._admission.rests(execution):
                self._shut_down(execution)
        if self._tasks:
            await self._end_running(await grace(self._tasks, self._config.shutdown_grace_s) / 2)
        if (journal := self._journal) is not None:
            await journal.flush()
        await self._settling.close()

    async def _end_running(self, patience_s: float) -> None:
        for execution in list(self._executions.values()):
            if not execution.status.is_final:
                self._shut_down(execution)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience_s)
        if self._tasks:
            for task in self._tasks:
                task.cancel()  # which leaves what does not end
            await asyncio.wait(self._tasks)

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

    def _tell_queue(self) -> None:
        self._events.publish(QueueUpdate(self._admission.running, self._admission.pending))

    def _start_waiting(self) -> None:
        while (execution := self._admission.next()) is not None:
            if execution.rest is not None:  # it has run before
                execution.rest.end()
                continue
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
                status = await self._executing.run(execution)
        except asyncio.CancelledError:  # the server ends, and has no more patience with its nodes
            status = ExecutionStatus.INTERRUPTED
        except Exception as error:
            _log.exception("the engine failed on an execution", execution=execution.id)
            execution.error_info = {"message": f"The engine failed: {type(error).__name__}"}
        self._admission.leave(execution)
        try:
            self._end(execution, status)
        finally:
            self._start_waiting()  # whatever became of this one, others wait for its place

    def _rest(self, execution: Execution) -> None:
        self._admission.rest(execution)
        if self._closing:
            self._shut_down(execution)
        else:
            self._start_waiting()

    def _come_back(self, execution: Execution) -> None:
        self._admission.add(execution, first=True)
        self._start_waiting()

    def _time_out(self, execution: Execution) -> None:
        execution.timed_out = True
        self._stop(execution)

    def _shut_down(self, execution: Execution) -> None:
        execution.error_info = {"message": "The server is shutting down.", "type": SHUTDOWN}
        self._stop(execution)

    def _stop(self, execution: Execution) -> None:
        if execution.status is ExecutionStatus.QUEUED:
            self._admission.leave(execution)
            if execution.broken is not None:
                execution.error_info = {"message": execution.broken}
            self._end(execution, ExecutionStatus.INTERRUPTED if execution.broken is None else ExecutionStatus.ERROR)
            self._tell_queue()
        else:
            execution.stop()

    def _end(self, execution: Execution, status: ExecutionStatus) -> None:
        execution.set_status(status, self._now())
        execution.ended.set()
        execution.let_go()
        if execution.taken.done() and not execution.is_accepted:
            self._forget(execution)

    def _remember(self, execution: Execution) -> None:
        """Everybody has been told of its end."""
        self._events.unwatch(execution.id, execution.told)
        del self._executions[execution.id]
        self._settling.begin(execution)

    def _forget(self, execution: Execution) -> None:
        """Nobody has been told of it, and nobody will be."""
        self._events.unwatch(execution.id, execution.told)
        del self._executions[execution.id]
        execution.allowance.release()


def _elsewhere() -> Unavailable:
    # Or what it runs could not be opened when this one started: then it can be interrupted all the same, and nothing else.
    return Unavailable("gone", "The execution does not run here: another process goes on with it, or it could not be taken up (see log).")
