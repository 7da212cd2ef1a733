"""What viewers are told of a run."""

import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import structlog

from tavernkeep.contracts.events import (
    INTERFACE_OUTPUTS,
    Event,
    InterfaceYield,
    NodeAnswered,
    NodeBypassed,
    NodeComplete,
    NodeError,
    NodeExecuting,
    NodeProgress,
    NodeRetrying,
    NodeSkipped,
    NodeWaiting,
    NodeYield,
)
from tavernkeep.contracts.running import Chunk
from tavernkeep.logs import HIDDEN, hide
from tavernkeep_engine.plan.types import InterfaceOutput, PlanNode
from tavernkeep_engine.run.plain import text_of
from tavernkeep_engine.run.values import Given, description

_log = structlog.get_logger(__name__)

STREAM_ENDED: Final = {"type": "finish_reason_chunk", "content": "Stream ended"}

Emit = Callable[[Event, int], None]


class Teller:
    """Makes the events of one run, without any secret.

    Args:
        emit: Called with each event, in order, before it is numbered, and how many bytes its values take that nothing else holds for long.
        secrets: What must be in no message; may grow.
        prefix: What the ids of the run's nodes begin with in messages; not empty where it runs on behalf of a node.
    """

    def __init__(self, emit: Emit, secrets: set[str], prefix: str = "") -> None:
        self.prefix = prefix
        self._emit = emit
        self._secrets = secrets
        self._closed = False

    def inside(self, prefix: str) -> "Teller":
        """Of a run on behalf of a node of this one."""
        return Teller(self._tell, self._secrets, self.prefix + prefix)

    def close(self) -> None:
        """The run has ended: a node that was left behind tells nothing more."""
        self._closed = True

    def _tell(self, event: Event, size: int = 0) -> None:
        if not self._closed:
            if self._secrets and not self.prefix:
                _hide_in(event, self._secrets)
            self._emit(event, size)

    def executing(self, node: PlanNode) -> None:
        """A node has started."""
        self._tell(NodeExecuting(self.prefix + node.id))

    def progress(self, node_id: str, value: float, max_: float) -> None:
        """How far a node is."""
        self._tell(NodeProgress(self.prefix + node_id, value, max_))

    def waiting(self, node_id: str, question: Mapping[str, Any]) -> None:
        """A node asks a person."""
        self._tell(NodeWaiting(self.prefix + node_id, question))

    def answered(self, node_id: str, value: Any) -> None:
        """A person has answered a node."""
        self._tell(NodeAnswered(self.prefix + node_id, value))

    def chunk(self, node: PlanNode, chunk: Chunk, size: int, wire: dict[str, Any]) -> None:
        """A node gave a chunk of so many bytes."""
        self._tell(NodeYield(self.prefix + node.id, wire, chunk.is_last), size)

    def interface_chunk(self, output: InterfaceOutput, wire: dict[str, Any], *, last: bool) -> None:
        """A streamed output of the workflow gave a chunk."""
        self._tell(InterfaceYield(output.key, wire, last, output.display_name))

    def complete(self, node: PlanNode, outputs: Mapping[str, Any], given: Given, *, cached: bool) -> None:
        """A node has completed; a client closes its view of one that streams nothing."""
        node_id = self.prefix + node.id
        live = sorted(node.shape.live_outputs & outputs.keys()) if node.shape.live_outputs else None
        not_taken = None if given.not_taken is None else sorted(given.not_taken)
        # What a node of a group gave is held by its events alone when the group has ended.
        self._tell(NodeComplete(node_id, outputs, not_taken, cached or None, live or None), given.size if self.prefix else 0)
        if not node.shape.stream_outputs:
            self._tell(NodeYield(node_id, STREAM_ENDED, True))

    def outcome(self, outputs: Mapping[str, Any]) -> None:
        """The workflow's own outputs."""
        self._tell(NodeComplete(INTERFACE_OUTPUTS, outputs))

    def bypassed(self, node: PlanNode, outputs: Mapping[str, Any]) -> None:
        """A node was bypassed, and gives this instead of its outputs."""
        self._tell(NodeBypassed(self.prefix + node.id, outputs))

    def skipped(self, node: PlanNode, reason: str) -> None:
        """A node does not run."""
        self._tell(NodeSkipped(self.prefix + node.id, reason))

    def retrying(self, node: PlanNode, details: dict[str, Any], attempt: int, attempts: int, wait_s: float) -> None:
        """An attempt failed, and another is to follow."""
        node_id = self.prefix + node.id
        self._tell(NodeRetrying(node_id, attempt, attempts, wait_s, self._own(details, node_id)))

    def error(self, node: PlanNode, details: dict[str, Any]) -> None:
        """A node has failed."""
        node_id = self.prefix + node.id
        self._tell(NodeError(node_id, self._own(details, node_id)))

    def _own(self, details: dict[str, Any], node_id: str) -> dict[str, Any]:
        return {**details, "nodeId": node_id} if self.prefix else details

    def hidden(self, value: Any) -> Any:
        """A value without secrets."""
        return hide(value, self._secrets)

    def log_failure(self, execution_id: str, node: PlanNode, error: BaseException) -> None:
        """Note the whole trace, which viewers are not shown."""
        trace = self.hidden("".join(traceback.format_tb(error.__traceback__)) + f"{type(error).__qualname__}: {text_of(error)}")
        _log.info("node failed", execution=execution_id, node=node.id, node_type=node.full_type, exception=trace)


def shown(node: PlanNode, outputs: dict[str, Any], *, streams: bool = False) -> dict[str, Any]:
    """Outputs as viewers may see them, see `told`; streams are left out unless a bypassed node has a plain value there."""
    shape = node.shape
    if not shape.secret_outputs and not shape.live_outputs and (streams or not shape.stream_outputs):
        return outputs
    return {slot: told(node, slot, value) for slot, value in outputs.items() if streams or slot not in shape.stream_outputs}


def told(node: PlanNode, slot: str, value: Any) -> Any:
    """The value of an output as viewers may see it: a secret is hidden, what is live is described."""
    if slot in node.shape.secret_outputs:
        return HIDDEN
    return description(value) if slot in node.shape.live_outputs else value


def _hide_in(event: Event, secrets: set[str]) -> None:
    for field in attrs.fields(type(event)):
        if field.init:
            setattr(event, field.name, hide(getattr(event, field.name), secrets))
