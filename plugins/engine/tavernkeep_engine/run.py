"""One execution of a plan, as dataflow: a node starts the moment its inputs are there."""

import asyncio
import enum
import inspect
import threading
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import attrs
import structlog

from tavernkeep import events
from tavernkeep.execution import ExecutionStatus, NodeStatus
from tavernkeep.logs import HIDDEN, hide
from tavernkeep.nodes import Chunk, ExecutionContext, Kind, NodeContext, NodeFailure, Outputs
from tavernkeep.wire import describe
from tavernkeep_engine.bypass import pseudo_outputs
from tavernkeep_engine.plan import Binding, Feed, InterfaceOutput, Plan, PlanNode, missing_input
from tavernkeep_engine.streams import StreamNetwork, StreamReader
from tavernkeep_engine.threads import run_blocking

_log = structlog.get_logger(__name__)

_SLICE_S: Final = 0.005  # how long nodes may run in line before others on the event loop get their turn
_CANCEL_ROUNDS: Final = 3  # how often a node that ignores its cancellation is cancelled again
_CANCEL_WAIT_S: Final = 2.0
_STREAM_ENDED: Final = {"type": "finish_reason_chunk", "content": "Stream ended"}
FAILED_MESSAGE: Final = "One or more nodes failed during execution."

Emit = Callable[[str, dict[str, Any]], None]


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
        nodes: How many nodes of one execution may be at work at once, apart from those in line.
        room: How many chunks a stream holds unread before its producer waits.
        by_type: Shared by all executions: how many of a type may run at once.
    """

    nodes: int = 64
    room: int = 64
    by_type: Mapping[str, asyncio.Semaphore] = attrs.field(factory=dict)


class Run:
    """Executes one plan once.

    Args:
        emit: Called with each event's type and payload, in order.
        clock: Seconds, monotonic; only for taking turns on the event loop.
    """

    def __init__(self, plan: Plan, context: ExecutionContext, emit: Emit, clock: Callable[[], float], limits: Limits) -> None:
        self.plan = plan
        self.outcome: dict[str, Any] = {}
        self.failures: list[dict[str, Any]] = []
        count = len(plan.nodes)
        self.outputs: list[dict[str, Any]] = [{}] * count
        self.states: list[NodeState] = [NodeState.PENDING] * count
        self._context = context
        self._emit_raw = emit
        self._clock = clock
        self._limits = limits
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
        self._network = StreamNetwork(self._waits_for, limits.room)
        self._readers: dict[tuple[int, str], list[StreamReader | None]] = {}
        self._texts: dict[tuple[int, str], list[str]] = {}
        self._interface: dict[int, list[InterfaceOutput]] = {}
        self._shown_streams: set[str] = set()  # the workflow's outputs whose viewers were told that the stream ended
        self._errors: dict[int, dict[str, Any]] = {}
        self._thread = threading.get_ident()
        self._loop = asyncio.get_running_loop()
        context.report_progress = self.report_progress

    # The whole of it

    async def execute(self) -> ExecutionStatus:
        """Run to the end; gives the final status. `outcome` then holds the workflow's own outputs, `failures` what went wrong."""
        self._connect_streams()
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
        finally:
            await self._end_tasks()
        if self._stopping:
            self._closed = True
            return ExecutionStatus.INTERRUPTED
        if self.plan.has_outputs:
            self.outcome = self._final_outputs()
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
        output = self._shown(self.plan.nodes[index], self.outputs[index]) if state in (NodeState.COMPLETE, NodeState.BYPASSED) else None
        return NodeStatus(state.value, hide(output, self._context.secrets), self._errors.get(index))

    # Starting

    def _start(self, node: PlanNode) -> None:
        if self.states[node.index] is not NodeState.PENDING:
            return
        if node.problem is not None:
            self._fail(node, NodeFailure(node.problem))
            return
        kind = node.kind
        if kind is not Kind.INLINE and kind is not None and not node.streamed_by:
            if self._busy >= self._limits.nodes:
                self._held.append(node.index)
                self._network.relieve()
                return
            self._busy += 1
            self._spawn(node, takes_place=True)
            return
        if kind is not Kind.INLINE and kind is not None:
            self._spawn(node, takes_place=False)
            return
        inputs = self._inputs(node)
        if kind is None:
            self._bypass(node, inputs)
            return
        if not self._complete_inputs(node, inputs):
            return
        self.states[node.index] = NodeState.EXECUTING
        self._emit(events.NODE_EXECUTING, {"nodeId": node.id})
        context = NodeContext(self._context, node.id, node.full_type, node.config)
        try:
            result = node.shape.mode.execute(inputs, context)  # type: ignore[misc]
            if type(result) is not dict and inspect.isawaitable(result):
                self._busy += 1
                self._track(asyncio.ensure_future(self._finish_awaitable(node, result)), node, takes_place=True)
                return
            outputs = _as_outputs(result)
        except BaseException as error:
            self._fail(node, error)
        else:
            self._finish(node, outputs)

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
        inputs = self._inputs(node)
        try:
            if node.bypassed:
                await self._relay(node, inputs)
                return
            if not self._complete_inputs(node, inputs):
                return
            self.states[node.index] = NodeState.EXECUTING
            self._emit(events.NODE_EXECUTING, {"nodeId": node.id})
            context = NodeContext(self._context, node.id, node.full_type, node.config)
            execute = node.shape.mode.execute
            assert execute is not None, "the compiler notes a node without a function as a problem"
            if node.kind is Kind.STREAM:
                self._released(node.after_start)
                outputs = await self._stream(node, execute(inputs, context))
            elif node.kind is Kind.THREAD:
                name = f"{self._prompt_id}/{node.id}"
                result = await run_blocking(lambda: execute(inputs, context), name, self._context.cancelled)
                outputs = _as_outputs(await result if inspect.isawaitable(result) else result)
            else:
                outputs = _as_outputs(await execute(inputs, context))
        except BaseException as error:
            if self._stopping:
                raise
            self._fail(node, error)
        else:
            self._finish(node, outputs)

    async def _finish_awaitable(self, node: PlanNode, awaitable: Awaitable[Any]) -> None:
        try:
            outputs = _as_outputs(await awaitable)
        except BaseException as error:
            if self._stopping:
                raise
            self._fail(node, error)
        else:
            self._finish(node, outputs)

    # Inputs

    def _inputs(self, node: PlanNode) -> dict[str, Any]:
        inputs = node.static.copy()
        outputs = self.outputs
        for slot, source, key in node.values:
            given = outputs[source]
            if key in given:
                inputs[slot] = given[key]
        for binding in node.bindings:
            self._bind(node, binding, inputs)
        for slot in node.shape.stream_inputs:
            if slot in inputs and not node.bypassed:
                inputs[slot] = self._as_stream(node, inputs[slot])
        for slot in node.shape.secret_inputs:
            if isinstance(inputs.get(slot), str):
                self._context.secrets.add(inputs[slot])
        return inputs

    def _bind(self, node: PlanNode, binding: Binding, inputs: dict[str, Any]) -> None:
        found: list[Any] = []
        for number, source in enumerate(binding.sources):
            if source.feed is Feed.STREAM:
                found.append(self._readers[node.index, binding.slot][number])
            elif source.feed is Feed.TEXT and (source.node, source.slot) in self._texts:
                found.append("".join(self._texts[source.node, source.slot]))
            elif source.slot in self.outputs[source.node]:
                found.append(self.outputs[source.node][source.slot])
        if found:
            inputs[binding.slot] = found if binding.multi else found[0]

    def _as_stream(self, node: PlanNode, value: Any) -> Any:
        if isinstance(value, StreamReader):
            return value
        if isinstance(value, list) and any(isinstance(item, StreamReader) for item in value):
            return [self._as_stream(node, item) for item in value]
        return self._network.single(node.index, value)

    def _complete_inputs(self, node: PlanNode, inputs: dict[str, Any]) -> bool:
        for slot in node.required:
            if slot not in inputs:
                self._fail(node, NodeFailure(missing_input(slot, node), slot=slot))
                return False
        return True

    # Streams

    def _connect_streams(self) -> None:
        for node in self.plan.nodes:
            for binding in node.bindings:
                if any(source.feed is Feed.STREAM for source in binding.sources):
                    self._readers[node.index, binding.slot] = [
                        self._network.connect(source.node, source.slot, node.index) if source.feed is Feed.STREAM else None
                        for source in binding.sources
                    ]
        for output in self.plan.outputs:
            if output.is_stream:
                self._interface.setdefault(output.node, []).append(output)

    def _waits_for(self, index: int) -> Iterable[int]:
        """For the deadlock rule: whom a node that is not at work waits for."""
        if self.states[index] is not NodeState.PENDING:
            return ()
        if index in self._held:
            return self._tasks.values()
        node = self.plan.nodes[index]
        return [
            source
            for source in node.sources
            if self.states[source] is NodeState.PENDING or (self.states[source] is NodeState.EXECUTING and source not in node.streamed_by)
        ]

    async def _stream(self, node: PlanNode, pieces: Any) -> dict[str, Any]:
        """Run an async generator: send each chunk to viewers and consumers; gives the batch outputs."""
        outputs: dict[str, Any] = {}
        index, consumed = node.index, self._network.has_readers(node.index)
        slice_end = self._clock() + _SLICE_S
        try:
            async for piece in pieces:
                if isinstance(piece, Outputs):
                    outputs.update(piece)
                    continue
                chunk = Chunk.of(piece)
                self._show(node, chunk)
                if chunk.type == "error_chunk":
                    raise _ErrorChunk(_chunk_message(chunk))
                if consumed:
                    await self._network.send(index, chunk)
                if self._clock() > slice_end:
                    await asyncio.sleep(0)
                    slice_end = self._clock() + _SLICE_S
        except _ErrorChunk:
            raise
        except BaseException as error:
            if not self._stopping:
                self._show(node, Chunk("error_chunk", str(error) or type(error).__name__))
            raise
        finally:
            await pieces.aclose()
        return outputs

    def _show(self, node: PlanNode, chunk: Chunk) -> None:
        wire = chunk.to_wire()
        self._emit(events.NODE_YIELD, {"sourceNodeId": node.id, "yieldedContent": wire, "isLastChunk": chunk.is_last})
        self._note(node, chunk, wire)

    def _note(self, node: PlanNode, chunk: Chunk, wire: dict[str, Any]) -> None:
        """Keep what others need of a chunk: viewers of the workflow's own outputs, and inputs that take the joined text."""
        for output in self._interface.get(node.index, ()):
            if chunk.slot is None or chunk.slot == output.slot:
                self._emit_interface(output, wire, last=False)
        if node.joined and chunk.type == "text_chunk":
            for slot in node.joined:
                if chunk.slot is None or chunk.slot == slot:
                    self._texts.setdefault((node.index, slot), []).append(str(chunk.content))

    def _emit_interface(self, output: InterfaceOutput, wire: dict[str, Any], *, last: bool) -> None:
        payload: dict[str, Any] = {"interfaceOutputKey": output.key}
        if output.display_name is not None:
            payload["interfaceOutputDisplayName"] = output.display_name
        self._emit(events.INTERFACE_YIELD, payload | {"yieldedContent": wire, "isLastChunk": last})

    def _end_streams(self, node: PlanNode, failure: str | None = None) -> None:
        self._network.end(node.index, failure)
        self._network.leave(node.index)
        if failure is None and node.streams:
            for slot in node.joined - self.outputs[node.index].keys():
                self._texts.setdefault((node.index, slot), [])

    def _end_interface_streams(self, node: PlanNode) -> None:
        for output in self._interface.get(node.index, ()):
            if output.slot in node.shape.stream_outputs or output.slot in self.outputs[node.index]:
                self._shown_streams.add(output.key)
                self._emit_interface(output, _STREAM_ENDED, last=True)

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
        self._lift(node, outputs)
        self._end_streams(node)
        self._end_interface_streams(node)
        self._released(node.after_finish)

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
        self._end_streams(node)
        self._end_interface_streams(node)
        self._released(node.after_finish)

    async def _pump(self, node: PlanNode, slot: str, reader: StreamReader) -> None:
        async for chunk in reader:
            passed = attrs.evolve(chunk, slot=slot)
            self._note(node, passed, chunk.to_wire())
            await self._network.send(node.index, passed)

    # Ending

    def _finish(self, node: PlanNode, outputs: dict[str, Any]) -> None:
        index = node.index
        self.outputs[index] = outputs
        self._set_done(node, NodeState.COMPLETE)
        self._emit(events.NODE_COMPLETE, {"nodeId": node.id, "output": self._shown(node, outputs)})
        if not node.shape.stream_outputs:
            self._emit(events.NODE_YIELD, {"sourceNodeId": node.id, "yieldedContent": _STREAM_ENDED, "isLastChunk": True})
        if node.shape.stream_outputs or node.shape.stream_inputs or index in self._interface:
            self._lift(node, outputs)
            self._end_streams(node)
            self._end_interface_streams(node)
        self._released(node.after_finish)

    def _lift(self, node: PlanNode, outputs: Mapping[str, Any]) -> None:
        """Plain values where streams were expected go as one chunk."""
        for slot in node.shape.stream_outputs:
            if slot in outputs:
                self._network.send_value(node.index, slot, outputs[slot])
        for output in self._interface.get(node.index, ()):
            if output.slot in outputs:
                self._emit_interface(output, Chunk.of(outputs[output.slot]).to_wire(), last=False)

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

    def _fail(self, node: PlanNode, error: BaseException) -> None:
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
        else:
            self._log_failure(node, error)
        details = hide(details, self._context.secrets)
        began = self.states[node.index] is NodeState.EXECUTING
        self._errors[node.index] = details
        self.failures.append(details)
        self._set_done(node, NodeState.ERROR)
        self._emit(events.NODE_ERROR, {"nodeId": node.id, "errorDetails": details})
        self._end_streams(node, details["message"])
        if began:
            self._end_interface_streams(node)
        self._skip_below(node)
        self._wake.set()

    def _log_failure(self, node: PlanNode, error: BaseException) -> None:
        trace = hide("".join(traceback.format_exception(error)), self._context.secrets)
        _log.info("node failed", execution=self._prompt_id, node=node.id, node_type=node.full_type, exception=trace)

    def _skip_below(self, failed: PlanNode) -> None:
        """What depends on a failed node and has not started never does."""
        reason = f"depends on node {failed.id}, which failed"
        waiting = [*failed.after_start, *failed.after_finish]
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

    def report_progress(self, node_id: str, value: float, max_: float) -> None:
        """Tell how far a node is; may be called from a node's thread."""
        payload = {"nodeId": node_id, "value": value, "max": max_}
        if threading.get_ident() == self._thread:
            self._emit(events.NODE_PROGRESS, payload)
        else:
            self._loop.call_soon_threadsafe(self._emit, events.NODE_PROGRESS, payload)

    def _shown(self, node: PlanNode, outputs: dict[str, Any], *, streams: bool = False) -> dict[str, Any]:
        """Outputs as viewers may see them: secret ones hidden, streams left out unless a bypassed node has a plain value there."""
        if not node.shape.secret_outputs and (streams or not node.shape.stream_outputs):
            return outputs
        return {
            slot: HIDDEN if slot in node.shape.secret_outputs else value
            for slot, value in outputs.items()
            if streams or slot not in node.shape.stream_outputs
        }

    def _final_outputs(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for output in self.plan.outputs:
            node = self.plan.nodes[output.node]
            outputs = self.outputs[output.node]
            if output.is_stream:
                if output.key in self._shown_streams:
                    label = f"{output.key} ({output.display_name or output.key})"
                    found[output.key] = {"type": "stream_placeholder", "message": f"Stream started for {label}"}
            elif output.slot in node.shape.secret_outputs and output.slot in outputs:
                found[output.key] = HIDDEN
            elif (output.node, output.slot) in self._texts and self.states[output.node] is not NodeState.ERROR:
                found[output.key] = "".join(self._texts[output.node, output.slot])
            elif output.slot in outputs:
                found[output.key] = outputs[output.slot]
        shown: dict[str, Any] = hide(found, self._context.secrets)
        return shown


class _ErrorChunk(Exception):
    """The node yielded an `error_chunk`: that is its failure, and viewers have seen it already."""


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


def _as_outputs(result: Any) -> dict[str, Any]:
    if isinstance(result, dict):
        return result
    if result is None:
        return {}
    if isinstance(result, Mapping):
        return dict(result)
    raise NodeFailure(f"The node returned {describe(result)}, expected an object with its outputs")
