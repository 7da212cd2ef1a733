"""What came of an execution, as it was told."""

from typing import Any

import attrs

from tavernkeep.contracts.events import (
    INTERFACE_OUTPUTS,
    Event,
    NodeBypassed,
    NodeComplete,
    NodeError,
    NodeExecuting,
    NodeRetrying,
    NodeSkipped,
)
from tavernkeep.contracts.execution import ExecutionDetail, ExecutionStatus, NodeStatus
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep_history.models import ExecutionRow


@attrs.define
class Told:
    """Where its nodes stand after the events that were taken.

    Attributes:
        payload: What was submitted; `None` where that cannot be read.
        retries: How often nodes were tried again, by their ids.
        damage: What of it cannot be read.
    """

    payload: WorkflowPayload | None = None
    nodes: dict[str, NodeStatus] = attrs.field(factory=dict)
    outputs: dict[str, Any] = attrs.field(factory=dict)
    retries: dict[str, int] = attrs.field(factory=dict)
    damage: list[str] = attrs.field(factory=list)

    def begin(self, payload: WorkflowPayload) -> None:
        """Before its events: no node has begun."""
        self.payload = payload
        self.nodes = {node.id: NodeStatus("pending") for node in payload.nodes}

    def take(self, event: Event) -> None:
        """One more; in order."""
        match event:
            case NodeComplete(node_id=node_id) if node_id == INTERFACE_OUTPUTS:
                self.outputs = dict(event.output)
            case NodeRetrying():
                self.retries[event.node_id] = self.retries.get(event.node_id, 0) + 1
            case NodeExecuting() | NodeComplete() | NodeError() | NodeSkipped() | NodeBypassed() if self._is_shown(event.node_id):
                self.nodes[event.node_id] = _status_after(event)

    def _is_shown(self, node_id: str) -> bool:
        """Whether a node is one of the workflow itself; where that cannot be read, whether its id is not that of one in a group."""
        return node_id in self.nodes if self.payload is not None else "/" not in node_id

    def detail(self, row: ExecutionRow) -> ExecutionDetail:
        """The execution of a row, with this."""
        nodes = self.nodes if row.started_at is not None else {}
        if row.stands is ExecutionStatus.COMPLETE and not self.damage:  # what never began had no part in it
            nodes = {node_id: status for node_id, status in nodes.items() if status.status != "pending"}
        return ExecutionDetail(
            prompt_id=row.id,
            status=row.stands,
            submitted_at=row.submitted_at,
            node_status=nodes,
            outputs=self.outputs,
            warnings=[*(row.warnings or ()), *(f"The record is damaged: {what} cannot be read." for what in self.damage)],
            metadata=self.payload.metadata if self.payload is not None else {},
            workflow_name=row.workflow_name,
            started_at=row.started_at,
            completed_at=row.completed_at,
            duration_ms=None if row.completed_at is None else row.duration_ms,
            error_info=row.error_info,
        )


def _status_after(event: NodeExecuting | NodeComplete | NodeError | NodeSkipped | NodeBypassed) -> NodeStatus:
    match event:
        case NodeExecuting():
            return NodeStatus("executing")
        case NodeComplete():
            return NodeStatus("complete", dict(event.output))
        case NodeError():
            return NodeStatus("error", error=dict(event.error_details))
        case NodeSkipped():
            return NodeStatus("skipped")
        case NodeBypassed():
            return NodeStatus("bypassed", dict(event.pseudo_outputs))
