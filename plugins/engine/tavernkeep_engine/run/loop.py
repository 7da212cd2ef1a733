"""One execution of a plan, as dataflow: a node starts the moment its inputs are there."""

import asyncio
import inspect
from collections import deque
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

import structlog

from tavernkeep.contracts.execution import ExecutionStatus, Recorded
from tavernkeep.contracts.nodes import Kind
from tavernkeep.contracts.running import NodeContext, NodeFailure, Routed, Subflow
from tavernkeep_engine.plan.prepare import Chain
from tavernkeep_engine.plan.types import Plan, PlanNode, missing_input
from tavernkeep_engine.run.attempts import AT_ONCE, Attempts, Performer
from tavernkeep_engine.run.bypass import pseudo_outputs
from tavernkeep_engine.run.failures import details_of, forget_trace
from tavernkeep_engine.run.gather import Gatherer
from tavernkeep_engine.run.host import NodeHost
from tavernkeep_engine.run.outlets import Outlets
from tavernkeep_engine.run.places import Places
from tavernkeep_engine.run.plain import TooLarge
from tavernkeep_engine.run.results import Results
from tavernkeep_engine.run.setting import Setting
from tavernkeep_engine.run.state import NodeState, State
from tavernkeep_engine.run.streaming import SLICE_S, Streaming
from tavernkeep_engine.run.streams import StreamNetwork, StreamReader
from tavernkeep_engine.run.tasks import Tasks
from tavernkeep_engine.run.telling import Teller, shown
from tavernkeep_engine.run.values import Given, own
from tavernkeep_engine.run.waiting import Waiting

_log = structlog.get_logger(__name__)

_UNENDED: Final = (NodeState.PENDING, NodeState.EXECUTING)


class Run:
    """Executes one plan once.

    Args:
        interface_inputs: The values of the workflow's own inputs.
        teller: Tells viewers of it. Where its prefix is not empty the run is on behalf of a node: its streamed outputs are read through
            `outlets.readers`.
        chain: What the workflow, and those that contain it, are called.
    """

    def __init__(self, plan: Plan, interface_inputs: Mapping[str, Any], setting: Setting, teller: Teller, chain: Chain = ()) -> None:
        self.plan = plan
        self._state = State.of(len(plan.nodes))
        self.failures = self._state.failures
        self._setting = setting
        self._clock = setting.clock
        self._limits = setting.limits
        self._teller = teller
        self._waits = [len(node.sources) for node in plan.nodes]
        self._ready: deque[int] = deque()
        self._held: deque[int] = deque()
        self._tasks = Tasks()
        self._wake = asyncio.Event()
        self._at_once = min(AT_ONCE, setting.most)
        self._allowance = setting.allowance.part()
        self._places = Places(setting.limits.by_type)
        self._limited = bool(setting.limits.by_type)
        self._in_line = setting.announced is None
        nest = partial(_nested, setting, teller, chain)
        self._host = NodeHost(teller, setting.preparer, chain, self._places, nest, setting.most, setting.rest, setting.answers)
        self._context = setting.context(interface_inputs, self._host)
        waiting = Waiting(plan, self._state, self._places, self._tasks, self._held)
        self._network = StreamNetwork(waiting.waits_for, self._allowance, setting.limits.room, waiting.place_of, setting.rest.look)
        self._gatherer = Gatherer(plan, self._network, setting.secrets)
        self.results = Results(plan, self._state, self._gatherer.outputs, setting.secrets)
        self.outlets = Outlets(plan, self._network, self._gatherer, teller, nested=bool(teller.prefix))
        self._performer = Performer(self._context, setting.limits.processes, setting.most)
        self._attempts = Attempts(self._state, teller, self._places, setting.rest)
        self._streaming = Streaming(
            setting.clock,
            self._context,
            self._network,
            self._gatherer,
            self.outlets,
            teller,
            self._attempts,
            self._allowance,
            setting.most,
        )

    def answer(self, node_id: str, value: Any) -> bool:
        """Give a node the answer that it waits for; tells whether any such node waits."""
        return self._host.answer(node_id, value)

    def waits(self) -> bool:
        """Whether all of it that is at work waits for people, or for what does."""
        return bool(self._tasks) and not self._ready and all(map(self._waits_itself, self._tasks.nodes))

    def _waits_itself(self, index: int) -> bool:
        return self._network.waits(index) or self._host.waits(self.plan.nodes[index].id)

    # The whole of it

    async def execute(self) -> ExecutionStatus:
        """Run to the end; gives the final status. `results` then has the workflow's own outputs, `failures` what went wrong."""
        self._ready.extend(node.index for node in self.plan.nodes if not node.sources)
        slice_end = self._clock() + SLICE_S
        try:
            while self._state.open and not self._state.stopping:
                index = self._next()
                if index is None:
                    assert self._tasks, "open nodes, none ready and none at work: the plan's waits do not add up"
                    self._wake.clear()
                    self._setting.rest.look()
                    await self._wake.wait()
                    await self._setting.rest.over()
                    slice_end = self._clock() + SLICE_S
                    continue
                self._start(self.plan.nodes[index])
                if self._clock() > slice_end:
                    await asyncio.sleep(0)
                    slice_end = self._clock() + SLICE_S
        except asyncio.CancelledError:
            self._state.stopping = True
            raise
        finally:
            try:
                await self._tasks.end()
            finally:  # also where who waits for it has no more patience
                self._name_left()
                self.outlets.close()
                self._network.close()
        if self._state.stopping:
            self._teller.close()
            return ExecutionStatus.INTERRUPTED
        if self.plan.has_outputs:
            outcome = self.outlets.outcome(lambda index: self._state.nodes[index] is NodeState.ERROR)
            if not self.outlets.nested:
                outcome = self._teller.hidden(outcome)
                self._teller.outcome(outcome)
            self.results.outcome = outcome
        self._teller.close()
        return ExecutionStatus.ERROR if self._state.failures else ExecutionStatus.COMPLETE

    def _name_left(self) -> None:
        for index in self._tasks.nodes:
            node_id = self._teller.prefix + self.plan.nodes[index].id
            _log.error("a node ignores that it is cancelled and is left behind", execution=self._setting.execution_id, node=node_id)

    def _next(self) -> int | None:
        if self._held and self._tasks.busy < self._limits.nodes:
            return self._held.popleft()
        return self._ready.popleft() if self._ready else None

    def stop(self) -> None:
        """Cancel what is at work and start nothing more; `execute` returns when it has all stopped."""
        self._state.stopping = True
        self._setting.cancelled.set()
        self._wake.set()

    @property
    def outcome(self) -> dict[str, Any]:
        """The workflow's own outputs, once it has ended."""
        return self.results.outcome

    def release(self) -> None:
        """Count nothing of it as held any more."""
        self._allowance.release()

    # Starting

    def _start(self, node: PlanNode) -> None:
        if self._state.nodes[node.index] is not NodeState.PENDING:
            return
        if self._gatherer.is_left_out(node):
            self._leave_out(node, "depends on a way that is not taken")
            return
        if node.problem is not None:
            self._fail(node, NodeFailure(node.problem))
            return
        kind = node.kind
        if self._setting.preview and kind is not None and node.definition is not None and node.definition.is_preview_unsafe:
            self._leave_out(node, "does not run in a preview")
            return
        if kind is None:
            self._bypass(node)
        elif (
            kind is Kind.INLINE
            and self._in_line
            and node.policy is None
            and not (self._limited and self._places.limits(node.full_type))
            and not self._setting.pulse.has_missed()
        ):
            self._start_inline(node)
        elif node.streamed_by:
            self._spawn(node, takes_place=False)
        elif self._tasks.busy >= self._limits.nodes:
            self._held.append(node.index)
            self._network.relieve()
        else:
            self._spawn(node, takes_place=True)

    def _start_inline(self, node: PlanNode) -> None:
        try:
            inputs = self._gatherer.inputs(node)
            _check_inputs(node, inputs)
            self._state.nodes[node.index] = NodeState.EXECUTING
            self._teller.executing(node)
            key = self._setting.cache.key_of(node, inputs)
            given = self._remembered(node, key) if key is not None or self._setting.recorded else None
            cached = given is not None
            if given is None:
                result = node.shape.mode.execute(inputs, NodeContext(self._context, node.id, node.full_type, node.config))  # type: ignore[misc]
                if type(result) is not dict and inspect.isawaitable(result):
                    self._finish_later(node, result, key)
                    return
                try:
                    given = Given.of(result, self._at_once, node.shape.live_outputs)
                except TooLarge:
                    if self._setting.most <= self._at_once:
                        raise
                    self._finish_later(node, result, key)  # it is read in a thread
                    return
            self._allowance.take(given.size)
        except BaseException as error:
            self._fail(node, error)
        else:
            self._finish(node, given, key, cached=cached)

    def _finish_later(self, node: PlanNode, result: Any, key: bytes | None) -> None:
        task = asyncio.get_running_loop().create_task(self._finish_with(node, result, key), name=self._name_of(node))
        self._tasks.add(task, node.index, self._task_ended, takes_place=True)

    def _name_of(self, node: PlanNode) -> str:
        return f"execution {self._setting.execution_id}, node {self._teller.prefix}{node.id}"

    def _spawn(self, node: PlanNode, *, takes_place: bool) -> None:
        # What waits for its start may start once the task exists: whatever it sends before they read is kept for them.
        task = asyncio.get_running_loop().create_task(self._work(node), name=self._name_of(node))
        self._tasks.add(task, node.index, self._task_ended, takes_place=takes_place)

    def _task_ended(self, index: int, error: BaseException | None) -> None:
        if error is not None and not self._state.stopping and self._state.nodes[index] in _UNENDED:
            self._fail(self.plan.nodes[index], error)  # not of the node's own doing: what came of it could not be told
        self._wake.set()

    async def _work(self, node: PlanNode) -> None:
        if self._places.limits(node.full_type) and not node.bypassed:
            async with self._places.new(node.id, node.full_type):
                await self._execute(node)
        else:
            await self._execute(node)

    async def _execute(self, node: PlanNode) -> None:
        if self._setting.pulse.has_missed():
            await self._setting.pulse.come_to()
            if self._setting.cancelled.is_set():
                return
        if self._state.nodes[node.index] is not NodeState.PENDING:
            return  # skipped while it waited for its turn
        key = None
        try:
            inputs = self._gatherer.inputs(node)
            if node.bypassed:
                await self._relay(node, inputs)
                return
            _check_inputs(node, inputs)
            self._state.nodes[node.index] = NodeState.EXECUTING
            self._teller.executing(node)
            cached = False
            if node.kind is Kind.STREAM:
                given, cached = await self._stream(node, inputs), self._recorded(node) is not None
            else:
                key = self._setting.cache.key_of(node, inputs)
                if (remembered := self._remembered(node, key)) is not None:
                    given, cached = remembered, True
                else:
                    if self._setting.announced is not None:
                        await self._setting.announced()
                    perform, repeatable = lambda: self._performer.perform(node, inputs), lambda: not node.shape.stream_inputs
                    given = await self._attempts.at(node, perform, repeatable)
            self._allowance.take(given.size)
        except BaseException as error:
            if self._state.stopping:
                forget_trace(error)
                raise
            self._fail(node, error)
        else:
            self._finish(node, given, key, cached=cached)

    async def _finish_with(self, node: PlanNode, result: Any, key: bytes | None) -> None:
        try:
            given = await self._performer.given(node, result)
            self._allowance.take(given.size)
        except BaseException as error:
            if self._state.stopping:
                forget_trace(error)
                raise
            self._fail(node, error)
        else:
            self._finish(node, given, key)

    def _remembered(self, node: PlanNode, key: bytes | None) -> Given | None:
        """What a node gave before, where it need not run again."""
        if (recorded := self._recorded(node)) is not None:
            outputs = Routed(recorded.outputs, recorded.not_taken) if recorded.not_taken else recorded.outputs
            return Given.of(outputs, self._setting.most)
        return self._setting.cache.get(key) if key is not None else None

    def _recorded(self, node: PlanNode) -> Recorded | None:
        recorded = self._setting.recorded
        return recorded.get(self._teller.prefix + node.id) if recorded else None

    # Streams

    async def _stream(self, node: PlanNode, inputs: dict[str, Any]) -> Given:
        self._released(node.after_start)
        if (recorded := self._recorded(node)) is not None:
            return await self._streaming.replay(node, recorded)
        if self._setting.announced is not None:
            await self._setting.announced()
        return await self._streaming.run(node, inputs)

    # Bypassing

    def _bypass(self, node: PlanNode) -> None:
        try:
            assert node.definition is not None, "an unknown type is noted as a problem"
            pseudo = pseudo_outputs(node.definition, node.shape.mode, self._gatherer.inputs(node))
            outputs, size = own(pseudo, self._setting.most, node.shape.live_outputs)
            self._allowance.take(size)
        except Exception as error:
            self._fail(node, error)
            return
        self._gatherer.outputs[node.index] = outputs
        self._state.end(node.index, NodeState.BYPASSED)
        self._teller.bypassed(node, shown(node, outputs, streams=True))
        self._end_bypass(node, outputs)

    async def _relay(self, node: PlanNode, inputs: dict[str, Any]) -> None:
        """A bypassed node with a stream going in: what fits goes out again, chunk by chunk."""
        assert node.definition is not None, "an unknown type is noted as a problem"
        pseudo = pseudo_outputs(node.definition, node.shape.mode, inputs)
        streams = {slot: value for slot, value in pseudo.items() if isinstance(value, StreamReader)}
        values = {slot: value for slot, value in pseudo.items() if slot not in streams}
        plain, size = own(values, self._setting.most, node.shape.live_outputs)
        self._allowance.take(size)
        self._gatherer.outputs[node.index] = plain
        self._state.nodes[node.index] = NodeState.EXECUTING
        self._teller.bypassed(node, shown(node, plain, streams=True))
        self._streaming.lift(node, plain)
        self._released(node.after_start)
        await self._streaming.relay(node, streams)
        self._state.end(node.index, NodeState.BYPASSED)
        self._end_bypass(node, {})

    def _end_bypass(self, node: PlanNode, outputs: dict[str, Any]) -> None:
        self._streaming.lift(node, outputs)
        self._streaming.end(node)
        self.outlets.end(node)
        self._released(node.after_finish)

    # Ending

    def _finish(self, node: PlanNode, given: Given, key: bytes | None, *, cached: bool = False) -> None:
        index, outputs = node.index, given.outputs
        self._gatherer.outputs[index] = outputs
        if given.not_taken is not None:
            self._gatherer.turn_off(index, given.not_taken)
        self._state.end(node.index, NodeState.COMPLETE)
        if key is not None and not cached:
            self._setting.cache.put(key, given)
        self._teller.complete(node, shown(node, outputs), given, cached=cached)
        if node.shape.stream_outputs or node.shape.stream_inputs or index in self.outlets:
            self._streaming.lift(node, outputs)
            self._streaming.end(node)
            self.outlets.end(node)
        self._released(node.after_finish)

    def _released(self, followers: Iterable[int]) -> None:
        waits = self._waits
        for index in followers:
            waits[index] -= 1
            if not waits[index]:
                self._ready.append(index)
        self._wake.set()

    def _leave_out(self, node: PlanNode, reason: str) -> None:
        """A node that is not to run, which is no failure; what only depends on it is left out as well when its turn comes."""
        self._gatherer.turn_off(node.index, None)
        self._state.end(node.index, NodeState.SKIPPED)
        self._teller.skipped(node, reason)
        self._network.end(node.index)
        self._network.leave(node.index)
        self._released(node.after_start)
        self._released(node.after_finish)

    def _fail(self, node: PlanNode, error: BaseException) -> None:
        if not issubclass(type(error), NodeFailure):
            self._teller.log_failure(self._setting.execution_id, node, error)
        details = self._teller.hidden(details_of(node, error))
        forget_trace(error)
        began = self._state.nodes[node.index] is NodeState.EXECUTING
        self._state.errors[node.index] = details
        self._gatherer.outputs[node.index] = {}  # a bypassed node has had some before its stream broke
        self._state.failures.append(details)
        self._state.end(node.index, NodeState.ERROR)
        self._teller.error(node, details)
        self._streaming.end(node, details["message"])
        if began:
            self.outlets.end(node)
        self._skip_below(node)
        self._wake.set()

    def _skip_below(self, failed: PlanNode) -> None:
        """What depends on a failed node and has not started never does."""
        reason = f"depends on node {failed.id}, which failed"
        # Who only waited for its start is reading already, or as good as: it gets the failure from the stream.
        waiting = [*(index for index in failed.after_start if self._waits[index]), *failed.after_finish]
        while waiting:
            node = self.plan.nodes[waiting.pop()]
            if self._state.nodes[node.index] is NodeState.PENDING:
                self._state.end(node.index, NodeState.SKIPPED)
                self._teller.skipped(node, reason)
                self._network.leave(node.index)
                waiting += [*node.after_start, *node.after_finish]


def _nested(setting: Setting, teller: Teller, chain: Chain, subflow: Subflow, inputs: Mapping[str, Any], prefix: str) -> Run:
    return Run(subflow.plan, inputs, setting, teller.inside(prefix), (*chain, subflow.reference))


def _check_inputs(node: PlanNode, inputs: Mapping[str, Any]) -> None:
    for slot in node.required:
        if slot not in inputs:
            raise NodeFailure(missing_input(slot, node), slot=slot)
