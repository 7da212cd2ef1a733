"""One execution of a plan, as dataflow: a node starts the moment its inputs are there."""

import asyncio
import enum
import inspect
import random
import threading
import traceback
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, Final

import anyio
import attrs
import structlog

from tavernkeep.contracts import events
from tavernkeep.contracts.execution import ExecutionStatus, NodeStatus, Recorded
from tavernkeep.contracts.nodes import Kind
from tavernkeep.contracts.running import Chunk, ExecutionContext, NodeContext, NodeFailure, Outputs, Routed, Subflow
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep.logs import HIDDEN, hide
from tavernkeep_engine.attempts import Performer, as_outputs, may_retry, wait_before, within
from tavernkeep_engine.bypass import pseudo_outputs
from tavernkeep_engine.cache import OutputCache
from tavernkeep_engine.gather import Gatherer
from tavernkeep_engine.keeping import trimmed
from tavernkeep_engine.nested import NestedRun
from tavernkeep_engine.outlets import STREAM_ENDED, Emit, Outlets
from tavernkeep_engine.plan import Plan, PlanNode, missing_input
from tavernkeep_engine.prepare import Chain, Preparer
from tavernkeep_engine.streams import StreamNetwork, StreamReader

_log = structlog.get_logger(__name__)

_SLICE_S: Final = 0.005  # how long nodes may run in line before others on the event loop get their turn
_CANCEL_ROUNDS: Final = 3  # how often a node that ignores its cancellation is cancelled again
_CANCEL_WAIT_S: Final = 2.0
FAILED_MESSAGE: Final = "One or more nodes failed during execution."


class NodeState(enum.Enum):
    """Where a node stands; the values are those of `nodeStatus`."""

    PENDING = "pending"
    EXECUTING = "executing"
    COMPLETE = "complete"
    ERROR = "error"
    SKIPPED = "skipped"
    BYPASSED = "bypassed"


@attrs.frozen
class Limits:
    """What bounds a run.

    Attributes:
        nodes: How many nodes of one run may be at work at once, apart from those in line.
        room: How many chunks a stream holds unread before its producer waits.
        by_type: Shared by all executions: how many of a type may run at once.
        processes: Shared by all executions: how many may compute in processes of their own at once.
    """

    nodes: int = 64
    room: int = 64
    by_type: Mapping[str, asyncio.Semaphore] = attrs.field(factory=dict)
    processes: anyio.CapacityLimiter = attrs.field(factory=lambda: anyio.CapacityLimiter(2))


@attrs.frozen(eq=False)
class Setting:
    """What runs are given from outside, the same for an execution and all that is nested in it.

    Attributes:
        clock: Seconds, monotonic; only for taking turns on the event loop.
        preview: What must not run in a preview is skipped.
        recorded: What nodes gave that need not run again, by id, with that of the groups around them.
    """

    clock: Callable[[], float]
    limits: Limits
    preparer: Preparer
    cache: OutputCache
    preview: bool = False
    recorded: Mapping[str, Recorded] = attrs.field(factory=dict)


class Run:
    """Executes one plan once.

    Args:
        emit: Called with each event's type and payload, in order.
        chain: What the workflow, and those that contain it, are called.
        prefix: What the ids of its nodes begin with in messages. Where there is one it runs on behalf of a node: its streamed outputs are
            read through `outlets.readers`.
    """

    def __init__(self, plan: Plan, context: ExecutionContext, emit: Emit, setting: Setting, chain: Chain = (), *, prefix: str = "") -> None:
        self.plan = plan
        self.outcome: dict[str, Any] = {}
        self.failures: list[dict[str, Any]] = []
        count = len(plan.nodes)
        self.states: list[NodeState] = [NodeState.PENDING] * count
        self._context = context
        self._emit_raw = emit
        self._setting = setting
        self._clock = setting.clock
        self._limits = setting.limits
        self._chain = chain
        self._prefix = prefix
        self._prompt_id = context.execution_id
        self._waits = [len(node.sources) for node in plan.nodes]
        self._open = count
        self._ready: deque[int] = deque()
        self._held: deque[int] = deque()
        self._tasks: dict[asyncio.Task[None], int] = {}
        self._busy = 0  # tasks that take one of the places
        self._wake = asyncio.Event()
        self._stopping = False
        self._closed = False
        self._network = StreamNetwork(self._waits_for, setting.limits.room)
        self._gatherer = Gatherer(plan, self._network, context.secrets)
        self.outputs = self._gatherer.outputs
        self.outlets = Outlets(plan, self._network, self._gatherer, self._emit, nested=bool(prefix))
        self._performer = Performer(context, setting.limits.processes)
        self._errors: dict[int, dict[str, Any]] = {}
        self._questions: dict[str, asyncio.Future[Any]] = {}
        self._nested: dict[str, Run] = {}  # by what the ids of their nodes begin with
        self._thread = threading.get_ident()
        self._loop = asyncio.get_running_loop()
        context.host = self

    # The whole of it

    async def execute(self) -> ExecutionStatus:
        """Run to the end; gives the final status. `outcome` then holds the workflow's own outputs, `failures` what went wrong."""
        self._ready.extend(node.index for node in self.plan.nodes if not node.sources)
        slice_end = self._clock() + _SLICE_S
        try:
            while self._open and not self._stopping:
                index = self._next()
                if index is None:
                    assert self._tasks, "open nodes, none ready and none at work: the plan's waits do not add up"
                    self._wake.clear()
                    await self._wake.wait()
                    slice_end = self._clock() + _SLICE_S
                    continue
                self._start(self.plan.nodes[index])
                if self._clock() > slice_end:
                    await asyncio.sleep(0)
                    slice_end = self._clock() + _SLICE_S
        except asyncio.CancelledError:
            self._stopping = True
            raise
        finally:
            await self._end_tasks()
            self.outlets.close()
        if self._stopping:
            self._closed = True
            return ExecutionStatus.INTERRUPTED
        if self.plan.has_outputs:
            self.outcome = self.outlets.outcome(lambda index: self.states[index] is NodeState.ERROR)
            if not self.outlets.nested:
                self._emit(events.NODE_COMPLETE, {"nodeId": events.INTERFACE_OUTPUTS, "output": self.outcome})
        self._closed = True
        return ExecutionStatus.ERROR if self.failures else ExecutionStatus.COMPLETE

    def _next(self) -> int | None:
        if self._held and self._busy < self._limits.nodes:
            return self._held.popleft()
        return self._ready.popleft() if self._ready else None

    def stop(self) -> None:
        """Cancel what is at work and start nothing more; `execute` returns when it has all stopped."""
        self._stopping = True
        self._context.cancelled.set()
        self._wake.set()

    async def _end_tasks(self) -> None:
        for _ in range(_CANCEL_ROUNDS):
            if not self._tasks:
                return
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=_CANCEL_WAIT_S)
        for index in self._tasks.values():
            _log.error(
                "a node ignores that it is cancelled and is left behind",
                execution=self._prompt_id,
                node=self.plan.nodes[index].id,
            )

    def status_of(self, index: int) -> NodeStatus:
        """What became of a node so far."""
        state = self.states[index]
        output = None
        if state in (NodeState.COMPLETE, NodeState.BYPASSED):
            output = self._shown(self.plan.nodes[index], self.outputs[index], streams=state is NodeState.BYPASSED)
        return NodeStatus(state.value, hide(output, self._context.secrets), self._errors.get(index))

    def trim(self, most: int) -> None:
        """Keep no more of each output than so many bytes; for a run that has ended, from any thread."""
        for index, output in enumerate(self.outputs):
            if output:
                self.outputs[index] = trimmed(output, most)
        self.outcome = trimmed(self.outcome, most)

    # Starting

    def _start(self, node: PlanNode) -> None:
        if self.states[node.index] is not NodeState.PENDING:
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
        if (kind is Kind.INLINE and node.policy is None) or kind is None:
            self._start_inline(node, kind)
        elif node.streamed_by:
            self._spawn(node, takes_place=False)
        elif self._busy >= self._limits.nodes:
            self._held.append(node.index)
            self._network.relieve()
        else:
            self._busy += 1
            self._spawn(node, takes_place=True)

    def _start_inline(self, node: PlanNode, kind: Kind | None) -> None:
        inputs = self._gatherer.inputs(node)
        if kind is None:
            self._bypass(node, inputs)
            return
        if not self._complete_inputs(node, inputs):
            return
        self.states[node.index] = NodeState.EXECUTING
        self._emit(events.NODE_EXECUTING, {"nodeId": node.id})
        if self._finish_from_memory(node, key := self._setting.cache.key_of(node, inputs)):
            return
        context = NodeContext(self._context, node.id, node.full_type, node.config)
        try:
            result = node.shape.mode.execute(inputs, context)  # type: ignore[misc]
            if type(result) is not dict and inspect.isawaitable(result):
                self._busy += 1
                self._track(asyncio.ensure_future(self._finish_awaitable(node, result)), node, takes_place=True)
                return
            outputs = as_outputs(result)
        except BaseException as error:
            self._fail(node, error)
        else:
            self._finish(node, outputs, key)

    def _spawn(self, node: PlanNode, *, takes_place: bool) -> None:
        # What waits for its start may start once the task exists: whatever it sends before they read is kept for them.
        task = asyncio.get_running_loop().create_task(self._work(node), name=f"node {node.id}")
        self._track(task, node, takes_place=takes_place)

    def _track(self, task: "asyncio.Task[None]", node: PlanNode, *, takes_place: bool) -> None:
        self._tasks[task] = node.index

        def done(task: "asyncio.Task[None]") -> None:
            del self._tasks[task]
            self._busy -= takes_place
            if not task.cancelled():
                task.exception()  # a node's failure is told already; asyncio would report it as forgotten
            self._wake.set()

        task.add_done_callback(done)

    async def _work(self, node: PlanNode) -> None:
        limiter = self._limits.by_type.get(node.full_type)
        if limiter is not None and not node.bypassed:
            async with limiter:
                await self._execute(node)
        else:
            await self._execute(node)

    async def _execute(self, node: PlanNode) -> None:
        if self.states[node.index] is not NodeState.PENDING:
            return  # skipped while it waited for its turn
        inputs = self._gatherer.inputs(node)
        key = None
        try:
            if node.bypassed:
                await self._relay(node, inputs)
                return
            if not self._complete_inputs(node, inputs):
                return
            self.states[node.index] = NodeState.EXECUTING
            self._emit(events.NODE_EXECUTING, {"nodeId": node.id})
            if node.kind is Kind.STREAM:
                outputs = await self._streamed(node, inputs)
            else:
                if self._finish_from_memory(node, key := self._setting.cache.key_of(node, inputs)):
                    return
                outputs = await self._attempted(node, lambda: self._performer.perform(node, inputs), lambda: not node.shape.stream_inputs)
        except BaseException as error:
            if self._stopping:
                raise
            self._fail(node, error)
        else:
            self._finish(node, outputs, key, cached=node.kind is Kind.STREAM and self._recorded(node) is not None)

    async def _attempted(
        self, node: PlanNode, attempt: Callable[[], Coroutine[Any, Any, dict[str, Any]]], repeatable: Callable[[], bool]
    ) -> dict[str, Any]:
        """Make attempts until one succeeds or there is no use in another."""
        policy = node.policy
        if policy is None:
            return await attempt()
        number = 1
        while True:
            try:
                outputs: dict[str, Any] = await within(policy, attempt())
                return outputs
            except Exception as error:
                if self._stopping or not repeatable() or not may_retry(policy, error, number):
                    raise
                wait_s = wait_before(policy, number, random.random)
                number += 1
                details = hide(self._details(node, error), self._context.secrets)
                retrying = {"nodeId": node.id, "attempt": number, "attempts": policy.attempts, "waitS": wait_s, "errorDetails": details}
                self._emit(events.NODE_RETRYING, retrying)
                await asyncio.sleep(wait_s)

    async def _finish_awaitable(self, node: PlanNode, awaitable: Awaitable[Any]) -> None:
        try:
            outputs = as_outputs(await awaitable)
        except BaseException as error:
            if self._stopping:
                raise
            self._fail(node, error)
        else:
            self._finish(node, outputs)

    def _complete_inputs(self, node: PlanNode, inputs: dict[str, Any]) -> bool:
        for slot in node.required:
            if slot not in inputs:
                self._fail(node, NodeFailure(missing_input(slot, node), slot=slot))
                return False
        return True

    def _finish_from_memory(self, node: PlanNode, key: bytes | None) -> bool:
        outputs = self._setting.cache.get(key) if key is not None else None
        if (recorded := self._recorded(node)) is not None:
            outputs = Routed(recorded.outputs, recorded.not_taken) if recorded.not_taken else dict(recorded.outputs)
        if outputs is None:
            return False
        self._finish(node, outputs, cached=True)
        return True

    def _recorded(self, node: PlanNode) -> Recorded | None:
        recorded = self._setting.recorded
        return recorded.get(self._prefix + node.id) if recorded else None

    # Streams

    def _waits_for(self, index: int) -> Iterable[int]:
        """For the deadlock rule: whom a node that is not at work waits for."""
        if index < 0 or self.states[index] is not NodeState.PENDING:
            return ()
        if index in self._held:
            return self._tasks.values()
        node = self.plan.nodes[index]
        return [
            source
            for source in node.sources
            if self.states[source] is NodeState.PENDING or (self.states[source] is NodeState.EXECUTING and source not in node.streamed_by)
        ]

    async def _streamed(self, node: PlanNode, inputs: dict[str, Any]) -> dict[str, Any]:
        execute = node.shape.mode.execute
        assert execute is not None, "the compiler notes a node without a function as a problem"
        self._released(node.after_start)
        shown = [0]
        if (recorded := self._recorded(node)) is not None:
            return await self._stream(node, _replayed(recorded), shown)

        async def attempt() -> dict[str, Any]:
            context = NodeContext(self._context, node.id, node.full_type, node.config)
            return await self._stream(node, execute(inputs, context), shown)

        try:
            return await self._attempted(node, attempt, lambda: not shown[0] and not node.shape.stream_inputs)
        except _ErrorChunk:
            raise
        except BaseException as error:
            if not self._stopping:
                self._show(node, Chunk("error_chunk", str(error) or type(error).__name__))
            raise

    async def _stream(self, node: PlanNode, pieces: Any, shown: list[int]) -> dict[str, Any]:
        """Run an async generator: send each chunk to viewers and consumers; gives the batch outputs.

        Args:
            shown: Its first item counts the chunks.
        """
        outputs: dict[str, Any] = {}
        index, consumed = node.index, self._network.has_readers(node.index)
        slice_end = self._clock() + _SLICE_S
        try:
            async for piece in pieces:
                if isinstance(piece, Outputs):
                    outputs.update(piece)
                    continue
                chunk = Chunk.of(piece)
                shown[0] += 1
                self._show(node, chunk)
                if chunk.type == "error_chunk":
                    raise _ErrorChunk(_chunk_message(chunk))
                if consumed:
                    await self._network.send(index, chunk)
                if self._clock() > slice_end:
                    await asyncio.sleep(0)
                    slice_end = self._clock() + _SLICE_S
        finally:
            await pieces.aclose()
        return outputs

    def _show(self, node: PlanNode, chunk: Chunk) -> None:
        wire = chunk.to_wire()
        self._emit(events.NODE_YIELD, {"sourceNodeId": node.id, "yieldedContent": wire, "isLastChunk": chunk.is_last})
        self.outlets.note(node, chunk, wire)
        self._gatherer.note_text(node, chunk)

    def _end_streams(self, node: PlanNode, failure: str | None = None) -> None:
        self._network.end(node.index, failure)
        self._network.leave(node.index)
        if failure is None and node.streams:
            self._gatherer.end_texts(node)

    # Bypassing

    def _bypass(self, node: PlanNode, inputs: dict[str, Any]) -> None:
        try:
            assert node.definition is not None, "an unknown type is noted as a problem"
            outputs = pseudo_outputs(node.definition, node.shape.mode, inputs)
        except Exception as error:
            self._fail(node, error)
            return
        self.outputs[node.index] = outputs
        self._set_done(node, NodeState.BYPASSED)
        self._emit(events.NODE_BYPASSED, {"nodeId": node.id, "pseudoOutputs": self._shown(node, outputs, streams=True)})
        self._end_bypass(node, outputs)

    async def _relay(self, node: PlanNode, inputs: dict[str, Any]) -> None:
        """A bypassed node with a stream going in: what fits goes out again, chunk by chunk."""
        assert node.definition is not None, "an unknown type is noted as a problem"
        outputs = pseudo_outputs(node.definition, node.shape.mode, inputs)
        streams = {slot: value for slot, value in outputs.items() if isinstance(value, StreamReader)}
        plain = {slot: value for slot, value in outputs.items() if slot not in streams}
        self.outputs[node.index] = plain
        self.states[node.index] = NodeState.EXECUTING
        self._emit(events.NODE_BYPASSED, {"nodeId": node.id, "pseudoOutputs": self._shown(node, plain, streams=True)})
        self._lift(node, plain)
        self._released(node.after_start)
        async with asyncio.TaskGroup() as group:
            for slot, reader in streams.items():
                group.create_task(self._pump(node, slot, reader))
        self._set_done(node, NodeState.BYPASSED)
        self._end_bypass(node, {})

    def _end_bypass(self, node: PlanNode, outputs: dict[str, Any]) -> None:
        self._lift(node, outputs)
        self._end_streams(node)
        self.outlets.end(node)
        self._released(node.after_finish)

    async def _pump(self, node: PlanNode, slot: str, reader: StreamReader) -> None:
        async for chunk in reader:
            passed = attrs.evolve(chunk, slot=slot)
            self.outlets.note(node, passed, chunk.to_wire())
            self._gatherer.note_text(node, passed)
            await self._network.send(node.index, passed)

    # Ending

    def _finish(self, node: PlanNode, outputs: dict[str, Any], key: bytes | None = None, *, cached: bool = False) -> None:
        index = node.index
        self.outputs[index] = outputs
        complete: dict[str, Any] = {"nodeId": node.id, "output": self._shown(node, outputs)}
        if type(outputs) is not dict and isinstance(outputs, Routed):
            self._gatherer.turn_off(index, outputs.not_taken)
            complete["notTaken"] = sorted(outputs.not_taken)
        self._set_done(node, NodeState.COMPLETE)
        if cached:
            complete["cached"] = True
        elif key is not None:
            self._setting.cache.put(key, outputs)
        self._emit(events.NODE_COMPLETE, complete)
        if not node.shape.stream_outputs:
            self._emit(events.NODE_YIELD, {"sourceNodeId": node.id, "yieldedContent": STREAM_ENDED, "isLastChunk": True})
        if node.shape.stream_outputs or node.shape.stream_inputs or index in self.outlets:
            self._lift(node, outputs)
            self._end_streams(node)
            self.outlets.end(node)
        self._released(node.after_finish)

    def _lift(self, node: PlanNode, outputs: Mapping[str, Any]) -> None:
        """Plain values where streams were expected go as one chunk."""
        for slot in node.shape.stream_outputs:
            if slot in outputs:
                self._network.send_value(node.index, slot, outputs[slot])
        self.outlets.lift(node, outputs)

    def _set_done(self, node: PlanNode, state: NodeState) -> None:
        self.states[node.index] = state
        self._open -= 1

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
        self._set_done(node, NodeState.SKIPPED)
        self._emit(events.NODE_SKIPPED, {"nodeId": node.id, "reason": reason})
        self._network.end(node.index)
        self._network.leave(node.index)
        self._released(node.after_start)
        self._released(node.after_finish)

    def _details(self, node: PlanNode, error: BaseException) -> dict[str, Any]:
        details: dict[str, Any] = {
            "message": _message_of(error),
            "type": "NodeFailure" if isinstance(error, _ErrorChunk) else type(error).__name__,
            "nodeId": node.id,
            "nodeType": node.full_type,
        }
        if isinstance(error, NodeFailure):
            details["retryable"] = error.retryable
            if error.slot is not None:
                details["slot"] = error.slot
        return details

    def _fail(self, node: PlanNode, error: BaseException) -> None:
        if not isinstance(error, NodeFailure):
            self._log_failure(node, error)
        details = hide(self._details(node, error), self._context.secrets)
        began = self.states[node.index] is NodeState.EXECUTING
        self._errors[node.index] = details
        self.outputs[node.index] = {}  # a bypassed node has had some before its stream broke
        self.failures.append(details)
        self._set_done(node, NodeState.ERROR)
        self._emit(events.NODE_ERROR, {"nodeId": node.id, "errorDetails": details})
        self._end_streams(node, details["message"])
        if began:
            self.outlets.end(node)
        self._skip_below(node)
        self._wake.set()

    def _log_failure(self, node: PlanNode, error: BaseException) -> None:
        trace = hide("".join(traceback.format_exception(error)), self._context.secrets)
        _log.info("node failed", execution=self._prompt_id, node=node.id, node_type=node.full_type, exception=trace)

    def _skip_below(self, failed: PlanNode) -> None:
        """What depends on a failed node and has not started never does."""
        reason = f"depends on node {failed.id}, which failed"
        # Who only waited for its start is reading already, or as good as: it gets the failure from the stream.
        waiting = [*(index for index in failed.after_start if self._waits[index]), *failed.after_finish]
        while waiting:
            node = self.plan.nodes[waiting.pop()]
            if self.states[node.index] is NodeState.PENDING:
                self._set_done(node, NodeState.SKIPPED)
                self._emit(events.NODE_SKIPPED, {"nodeId": node.id, "reason": reason})
                self._network.leave(node.index)
                waiting += [*node.after_start, *node.after_finish]

    # Telling

    def _emit(self, type_: str, payload: dict[str, Any]) -> None:
        if not self._closed:
            if self._context.secrets:
                payload = hide(payload, self._context.secrets)
            self._emit_raw(type_, payload)

    def _shown(self, node: PlanNode, outputs: dict[str, Any], *, streams: bool = False) -> dict[str, Any]:
        """Outputs as viewers may see them: secret ones hidden, streams left out unless a bypassed node has a plain value there."""
        if not node.shape.secret_outputs and (streams or not node.shape.stream_outputs):
            return outputs
        return {
            slot: HIDDEN if slot in node.shape.secret_outputs else value
            for slot, value in outputs.items()
            if streams or slot not in node.shape.stream_outputs
        }

    # What nodes may ask of it; see `tavernkeep.contracts.running.Host`

    def progress(self, node_id: str, value: float, max_: float) -> None:
        """Tell how far a node is; may be called from a node's thread."""
        payload = {"nodeId": node_id, "value": value, "max": max_}
        if threading.get_ident() == self._thread:
            self._emit(events.NODE_PROGRESS, payload)
        else:
            self._loop.call_soon_threadsafe(self._emit, events.NODE_PROGRESS, payload)

    async def ask(self, node_id: str, question: Mapping[str, Any]) -> Any:
        """Wait for a person's answer."""
        answer = self._questions[node_id] = self._loop.create_future()
        self._emit(events.NODE_WAITING, {**question, "nodeId": node_id})
        try:
            return await answer
        finally:
            del self._questions[node_id]

    def answer(self, node_id: str, value: Any) -> bool:
        """Give a node the answer that it waits for; tells whether any such node waits."""
        question = self._questions.get(node_id)
        if question is not None and not question.done():
            question.set_result(value)
            return True
        return any(run.answer(node_id.removeprefix(prefix), value) for prefix, run in self._nested.items() if node_id.startswith(prefix))

    async def load(self, reference: str) -> Subflow:
        """A workflow, ready to run."""
        return await self._setting.preparer.load(reference, self._chain)

    async def build(self, payload: WorkflowPayload, name: str) -> Subflow:
        """A workflow that is given as it is, ready to run."""
        return await self._setting.preparer.build(payload, name, self._chain)

    def launch(self, node_id: str, subflow: Subflow, inputs: Mapping[str, Any], name: str) -> NestedRun:
        """Run a subflow on behalf of a node."""
        prefix = f"{node_id}/{name}/" if name else f"{node_id}/"
        if prefix in self._nested:
            raise ValueError(f"{prefix} is running already; give each of several its own name")
        context = attrs.evolve(self._context, interface_inputs={**subflow.plan.interface_inputs, **inputs})

        def emit(type_: str, payload: dict[str, Any]) -> None:
            key = "sourceNodeId" if type_ is events.NODE_YIELD else "nodeId"
            payload[key] = prefix + payload[key]
            if "errorDetails" in payload:
                payload["errorDetails"] = {**payload["errorDetails"], "nodeId": payload[key]}
            self._emit(type_, payload)

        chain = (*self._chain, subflow.reference)
        inner = self._nested[prefix] = Run(subflow.plan, context, emit, self._setting, chain, prefix=self._prefix + prefix)
        return NestedRun(inner, subflow, lambda: self._nested.pop(prefix, None))


class _ErrorChunk(Exception):
    """The node yielded an `error_chunk`: that is its failure, and viewers have seen it already."""


async def _replayed(recorded: Recorded) -> AsyncGenerator[Any, None]:
    for chunk in recorded.chunks:
        yield chunk
    yield Outputs(recorded.outputs)


def _chunk_message(chunk: Chunk) -> str:
    content = chunk.content
    message = content.get("message", content) if isinstance(content, Mapping) else content
    return message if isinstance(message, str) else str(message)


def _message_of(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):  # from a relay's task group: the one stream that failed
        return _message_of(error.exceptions[0])
    if isinstance(error, asyncio.CancelledError):
        return "The node cancelled itself"
    return str(error) or type(error).__name__
