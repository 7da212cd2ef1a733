"""Executing: what a run is given, and what has become of it."""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

import anyio
import attrs
import structlog

from tavernkeep.contracts.execution import ExecutionJournal, ExecutionStatus, Recall
from tavernkeep.contracts.nodes import NodeRegistry
from tavernkeep.contracts.storage import WANTING, Unavailable
from tavernkeep_engine.config import EngineConfig
from tavernkeep_engine.run.cache import OutputCache
from tavernkeep_engine.run.loop import Run
from tavernkeep_engine.run.pulse import Pulse
from tavernkeep_engine.run.resting import Rest
from tavernkeep_engine.run.setting import Limits, Setting
from tavernkeep_engine.run.telling import Teller
from tavernkeep_engine.schedule.execution import Execution

_log = structlog.get_logger(__name__)

_RETRY_S: Final = 1.0
_FAILED: Final = "One or more nodes failed during execution."


@attrs.define(eq=False)
class Executing:
    """Runs executions, with what all of them share.

    Attributes:
        clock: Seconds, monotonic.
        find_journal: The journal, where there is one.
        rest: Called when all of an execution waits for people.
        come_back: Called when it does not any more, and wants a place.
        time_out: Called when it takes too long.
    """

    config: EngineConfig
    clock: Callable[[], float]
    find_journal: Callable[[], ExecutionJournal | None]
    pulse: Pulse
    rest: Callable[[Execution], None]
    come_back: Callable[[Execution], None]
    time_out: Callable[[Execution], None]
    _by_type: dict[tuple[str, int], asyncio.Semaphore] = attrs.field(factory=dict)
    _nodes: NodeRegistry | None = None  # those that the cache is of
    _cache: OutputCache = attrs.field(init=False)
    _processes: anyio.CapacityLimiter = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._cache = OutputCache(self.config.cache_bytes)
        self._processes = anyio.CapacityLimiter(self.config.max_concurrent_processes or max(1, (os.cpu_count() or 2) // 2))

    async def run(self, execution: Execution) -> ExecutionStatus:
        """Run it to its end; gives its status, with its `error_info` where that is `error`."""
        try:
            recall = await self._recall(execution)
        except Exception as error:
            _log.exception("what is recorded of an execution cannot be read", execution=execution.id)
            execution.error_info = {"message": f"What is recorded of the execution cannot be read: {type(error).__name__}."}
            return ExecutionStatus.ERROR
        limits = Limits(
            self.config.max_concurrent_nodes, self.config.stream_buffer, self._type_limits(execution.preparer.nodes), self._processes
        )
        execution.rest = Rest(partial(self.rest, execution), partial(self.come_back, execution))
        setting = Setting(
            execution_id=execution.id,
            user=execution.user,
            services=execution.preparer.services,
            metadata=execution.payload.metadata,
            clock=self.clock,
            limits=limits,
            preparer=execution.preparer,
            cache=self._cache_of(execution.preparer.nodes),
            allowance=execution.allowance,
            most=self.config.max_value_bytes,
            pulse=self.pulse,
            rest=execution.rest,
            preview=execution.payload.preview,
            recorded=recall.nodes,
            answers={node_id: deque(answers) for node_id, answers in recall.answers.items()},
            announced=partial(self._announce, execution) if execution.began_before else None,
        )
        teller = Teller(execution.emit, setting.secrets)
        run = Run(execution.plan, execution.plan.interface_inputs, setting, teller, execution.preparer.chain)
        execution.rest.all_waits = run.waits
        execution.begin(run)
        timeout_s = execution.payload.timeout_s or self.config.execution_timeout_s
        timer = asyncio.get_running_loop().call_later(timeout_s, self.time_out, execution) if timeout_s else None
        try:
            status = await run.execute()
        finally:
            execution.rest.close()
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

    def _cache_of(self, nodes: NodeRegistry) -> OutputCache:
        """What is remembered of the outputs of these node types: of others of the same names nothing is."""
        if nodes is not self._nodes:
            self._nodes, self._cache = nodes, OutputCache(self.config.cache_bytes)
        return self._cache

    async def _recall(self, execution: Execution) -> Recall:
        while execution.recall is not None and not execution.stopping:
            try:
                recall = await execution.recall()
                if (journal := self.find_journal()) is not None:
                    await journal.written(execution.id)  # that it runs: should it end the process, that is not forgotten
                execution.recall = None
                return recall
            except (Unavailable, *WANTING) as error:
                _log.error("an execution waits for what is recorded of it", execution=execution.id, error=str(error))
                await asyncio.sleep(_RETRY_S)
        return Recall()

    async def _announce(self, execution: Execution) -> None:
        """Return when it is kept which nodes are at work: should one end the process, it is known which."""
        if (journal := self.find_journal()) is not None:
            with suppress(Unavailable):
                await journal.written(execution.id)

    def _type_limits(self, nodes: NodeRegistry) -> dict[str, asyncio.Semaphore]:
        """The places of these node types; a type that has come again with another limit has places of its own."""
        limited = {definition.full_type: definition.max_concurrent for definition in nodes if definition.max_concurrent}
        return {type_: self._by_type.setdefault((type_, most), asyncio.Semaphore(most)) for type_, most in limited.items()}
