"""The workflow as it is submitted, and how a stored workflow becomes one."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import attrs

from tavernkeep.contracts.auth import UserContext
from tavernkeep.contracts.slots import DataFlowType
from tavernkeep.wire import structure


@attrs.frozen
class PayloadNode:
    """A node of a submitted workflow.

    Attributes:
        full_type: `namespace:type`.
        inputs: Values typed into the node.
        input_connection_orders: For a multi-input slot, edge ids in the order in which the node gets their values.
    """

    id: str
    full_type: str
    inputs: dict[str, Any] = attrs.field(factory=dict)
    config_values: dict[str, Any] = attrs.field(factory=dict)
    bypassed: bool = False
    input_connection_orders: dict[str, list[str]] = attrs.field(factory=dict)


@attrs.frozen
class Edge:
    """From an output of one node to an input of another."""

    source_node_id: str
    source_handle: str
    target_node_id: str
    target_handle: str
    id: str | None = None


@attrs.frozen
class InterfaceSlot:
    """An input or an output of the workflow itself. `config["default"]` of an input is its value for this run."""

    key: str
    data_flow_type: DataFlowType
    display_name: str | None = None
    custom_description: str | None = None
    config: dict[str, Any] = attrs.field(factory=dict)
    is_stream: bool = False
    required: bool = False
    match_categories: list[str] = attrs.field(factory=list)


@attrs.frozen
class OutputMapping:
    """Which slot of which node feeds an output of the workflow."""

    source_node_id: str
    source_slot_key: str


@attrs.frozen
class StoredNode:
    """A node as a workflow file holds it (what concerns execution; files hold more)."""

    id: str
    type: str
    input_values: dict[str, Any] = attrs.field(factory=dict)
    config_values: dict[str, Any] = attrs.field(factory=dict)
    input_connection_orders: dict[str, list[str]] = attrs.field(factory=dict)
    bypassed: bool = False
    data: dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class StoredEdge:
    """An edge as a workflow file holds it."""

    id: str
    source: str
    target: str
    source_handle: str | None = None
    target_handle: str | None = None


@attrs.frozen
class StoredWorkflow:
    """A workflow file."""

    nodes: list[StoredNode]
    edges: list[StoredEdge]
    id: str | None = None
    name: str | None = None
    interface_inputs: dict[str, InterfaceSlot] = attrs.field(factory=dict)
    interface_outputs: dict[str, InterfaceSlot] = attrs.field(factory=dict)

    def to_payload(self) -> "WorkflowPayload":
        """The execution payload of this workflow: what feeds an input of a `GroupOutput` node is an output of the workflow."""
        outlets = {node.id for node in self.nodes if node.type == "core:GroupOutput"}
        edges = [Edge(edge.source, edge.source_handle or "", edge.target, edge.target_handle or "", edge.id) for edge in self.edges]
        return WorkflowPayload(
            nodes=[
                PayloadNode(
                    node.id,
                    node.type,
                    node.input_values,
                    node.config_values,
                    node.bypassed or node.data.get("bypassed") is True,
                    node.input_connection_orders,
                )
                for node in self.nodes
            ],
            edges=edges,
            workflow_id=self.id,
            interface_inputs=self.interface_inputs,
            interface_outputs=self.interface_outputs,
            output_interface_mappings={
                edge.target_handle: OutputMapping(edge.source_node_id, edge.source_handle)
                for edge in edges
                if edge.target_node_id in outlets and edge.source_handle and edge.target_handle
            },
            metadata={"workflowId": self.id, "workflowName": self.name} if self.name else {},
        )


@attrs.frozen
class WorkflowPayload:
    """A graph to execute: what `PROMPT_REQUEST` and `POST /api/prompt` carry.

    Attributes:
        metadata: Stored and returned as it is.
        request_id: Echoed in the answer.
        priority: Higher goes first among those that wait.
        timeout_s: After so many seconds the execution is stopped and ends in `error`.
        target_node_ids: Run only what these nodes need.
        dry_run: Only check it.
        preview: What must not run in a preview (it costs, or changes something) is skipped.
        workflows: Those that its nodes refer to, by what they call them; others are looked for in its project and in the library.
    """

    nodes: list[PayloadNode]
    edges: list[Edge]
    workflow_id: str | None = None
    interface_inputs: dict[str, InterfaceSlot] = attrs.field(factory=dict)
    interface_outputs: dict[str, InterfaceSlot] = attrs.field(factory=dict)
    output_interface_mappings: dict[str, OutputMapping] = attrs.field(factory=dict)
    metadata: dict[str, Any] = attrs.field(factory=dict)
    request_id: str | None = None
    priority: int = 0
    timeout_s: float | None = attrs.field(default=None, metadata={"wire_name": "timeoutS"})
    target_node_ids: list[str] | None = None
    dry_run: bool = False
    preview: bool = False
    workflows: dict[str, StoredWorkflow] = attrs.field(factory=dict)

    @property
    def name(self) -> str | None:
        """The workflow's name, where the client sent one."""
        name = self.metadata.get("workflowName")
        return name if isinstance(name, str) else None

    @property
    def project_id(self) -> str | None:
        """The project that it belongs to, where the client says so."""
        project = self.metadata.get("projectId")
        return project if isinstance(project, str) else None

    @property
    def reference(self) -> str | None:
        """What other workflows call this one."""
        reference = self.workflow_id or self.metadata.get("workflowId")
        return reference if isinstance(reference, str) else None

    def with_inputs(self, values: Mapping[str, Any]) -> "WorkflowPayload":
        """The same workflow with other values for some of its interface inputs.

        Raises:
            KeyError: It has no such input.
        """
        slots = dict(self.interface_inputs)
        for key, value in values.items():
            slots[key] = attrs.evolve(slots[key], config={**slots[key].config, "default": value})
        return attrs.evolve(self, interface_inputs=slots)

    def connected(self, starts: Iterable[str], *, upstream: bool) -> set[str]:
        """Some nodes, and all that they depend on, or else all that depend on them. An edge without both of its slots connects nothing."""
        ways: dict[str, list[str]] = {}
        for edge in self.edges:
            if edge.source_handle and edge.target_handle:
                source, target = edge.source_node_id, edge.target_node_id
                ways.setdefault(target if upstream else source, []).append(source if upstream else target)
        found: set[str] = set()
        waiting = list(starts)
        while waiting:
            if (here := waiting.pop()) not in found:
                found.add(here)
                waiting += ways.get(here, ())
        return found


def payload_from(data: object) -> WorkflowPayload:
    """Read either form, the execution payload or a stored workflow; a stored one is told by its nodes' `type`.

    Raises:
        Invalid: With every problem and its path.
    """
    nodes = data.get("nodes") if isinstance(data, dict) else None
    if isinstance(nodes, list) and nodes and isinstance(nodes[0], dict) and "type" in nodes[0] and "fullType" not in nodes[0]:
        return structure(data, StoredWorkflow).to_payload()
    return structure(data, WorkflowPayload)


def meant_by(reference: str) -> tuple[str, ...]:
    """The ids that a reference may mean, the likelier first: itself, or what stands in brackets at its end, as editors write it.

    >>> meant_by("Greeting (w1)"), meant_by("w1")
    (('Greeting (w1)', 'w1'), ('w1',))
    """
    name, opened, rest = reference.rpartition(" (")
    return (reference, rest[:-1]) if name and opened and rest.endswith(")") and len(rest) > 1 else (reference,)


class WorkflowSource(Protocol):
    """Knows stored workflows; a service that a plugin provides."""

    async def find(self, reference: str, project_id: str | None, user: UserContext) -> StoredWorkflow | None:
        """The workflow of an id in a project of the user's, or else in the shared library.

        Raises:
            Invalid: There is one, and it is no workflow.
        """
