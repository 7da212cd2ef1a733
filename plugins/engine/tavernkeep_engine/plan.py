"""The plan compiler: a submitted graph becomes nodes by number, with everything that can be known before the run worked out.

What the payload leaves to tolerate (edges to nowhere, several edges into one slot, types that do not fit) is settled here, each with a
warning; what will fail one node is noted on that node; what stops the execution is in `Plan.fatal`.
"""

import copy
import enum
import graphlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from tavernkeep.execution import PayloadReport, Refused
from tavernkeep.nodes import Kind, NodeDefinition, NodeMode, NodeRegistry, Slot, Slots, compatible
from tavernkeep.wire import Problem
from tavernkeep.workflow import Edge, PayloadNode, WorkflowPayload

_INDEXED: Final = re.compile(r"((?:(?!__).)+)__([0-9]{1,18})", re.DOTALL)
_UNINDEXED: Final = 10**18
_MUTABLE: Final = (list, dict, set, bytearray)


class Feed(enum.Enum):
    """How a value gets from an output to an input."""

    VALUE = "value"  # batch output to batch input: the value itself
    TEXT = "text"  # stream to batch input: its text, joined, once it has ended
    STREAM = "stream"  # stream to stream: chunks while it runs
    LIFTED = "lifted"  # batch output to stream input: one chunk


_STREAMED: Final = (Feed.STREAM, Feed.LIFTED)


@attrs.frozen
class Source:
    """Where an input comes from.

    Attributes:
        node: The index of the node.
        slot: Its output.
    """

    node: int
    slot: str
    feed: Feed


@attrs.frozen
class Binding:
    """What feeds one input slot; several sources where the slot takes several."""

    slot: str
    sources: tuple[Source, ...]
    multi: bool


@attrs.define(eq=False)
class PlanNode:
    """A node, ready to run.

    Attributes:
        static: What each input is when no edge gives it a value: typed into the node, or the slot's default.
        values: The plain inputs that come over edges, as `(slot, source index, source slot)`; the most frequent kind by far.
        bindings: All other inputs that come over edges.
        required: The inputs without which it fails.
        kind: How it runs; `None` for one that is bypassed or broken.
        problem: What is wrong with it, reported when its turn comes.
        waits: How many nodes must have finished or, where they stream into it, started before it may start.
        sources: Those nodes.
        after_start: The nodes that may go on when this one has started.
        after_finish: The nodes that may go on when this one has finished.
        joined: The stream outputs whose joined text somebody needs.
        streamed_to: Whether a stream feeds it while that runs; such a node never waits for a free place, as its source may wait for it.
    """

    index: int
    id: str
    full_type: str
    bypassed: bool
    config: Mapping[str, Any]
    static: dict[str, Any]
    mode: NodeMode
    definition: NodeDefinition | None
    kind: Kind | None
    required: tuple[str, ...] = ()
    stream_inputs: frozenset[str] = frozenset()
    stream_outputs: frozenset[str] = frozenset()
    secret_inputs: frozenset[str] = frozenset()
    secret_outputs: frozenset[str] = frozenset()
    problem: str | None = None
    values: tuple[tuple[str, int, str], ...] = ()
    bindings: tuple[Binding, ...] = ()
    waits: int = 0
    sources: tuple[int, ...] = ()
    after_start: tuple[int, ...] = ()
    after_finish: tuple[int, ...] = ()
    joined: frozenset[str] = frozenset()
    streamed_to: bool = False

    @property
    def streams(self) -> bool:
        """Whether it gives chunks while it runs. A bypassed node does when a stream is put through it."""
        return self.kind is Kind.STREAM


@attrs.frozen
class InterfaceOutput:
    """An output of the workflow: which slot feeds it, and whether viewers get its chunks."""

    key: str
    display_name: str | None
    node: int
    slot: str
    is_stream: bool


@attrs.frozen(eq=False)
class Plan:
    """A compiled workflow.

    Attributes:
        fatal: Why it cannot run at all (a cycle).
        warnings: What was tolerated.
        has_outputs: Whether the workflow names outputs of its own, whether their sources exist or not.
    """

    nodes: tuple[PlanNode, ...]
    outputs: tuple[InterfaceOutput, ...]
    has_outputs: bool
    interface_inputs: Mapping[str, Any]
    warnings: tuple[Problem, ...]
    fatal: str | None = None

    def report(self) -> PayloadReport:
        """What compiling found, for who only asked."""
        troubles = []
        for node in self.nodes:
            fed = {slot for slot, _, _ in node.values} | {binding.slot for binding in node.bindings}
            if node.problem is not None:
                troubles.append(Problem(f"node {node.id}", node.problem))
            if not node.bypassed:
                troubles += [
                    Problem(f"node {node.id}", missing_input(slot, node))
                    for slot in node.required
                    if slot not in fed and slot not in node.static
                ]
        problems = [Problem("", self.fatal)] if self.fatal else []
        return PayloadReport(not problems and not troubles, problems, troubles, list(self.warnings))


def missing_input(slot: str, node: PlanNode) -> str:
    """The message for a required input without a value."""
    return f"Missing required input '{slot}' for node {node.id} ({node.full_type})"


def compile_plan(payload: WorkflowPayload, registry: NodeRegistry) -> Plan:
    """Compile a payload.

    Raises:
        Refused: Two different nodes share an id, or a target is not among the nodes; with every such problem.
    """
    return _Compiler(payload, registry).compile()


@attrs.frozen
class _Shape:
    """What all nodes of one type and mode have in common."""

    mode: NodeMode
    defaults: dict[str, Any]
    mutable_defaults: tuple[str, ...]
    multi: frozenset[str]
    required: tuple[str, ...]
    conditional: tuple[str, ...]
    stream_inputs: frozenset[str]
    stream_outputs: frozenset[str]
    secret_inputs: frozenset[str]
    secret_outputs: frozenset[str]
    kind: Kind | None

    @classmethod
    def of(cls, definition: NodeDefinition, mode: NodeMode) -> "_Shape":
        defaults = {key: slot.config["default"] for key, slot in mode.inputs.items() if "default" in slot.config}
        return cls(
            mode=mode,
            defaults=defaults,
            mutable_defaults=tuple(key for key, value in defaults.items() if isinstance(value, _MUTABLE)),
            multi=_keys(mode.inputs, "multi"),
            required=tuple(key for key, slot in mode.inputs.items() if slot.required is True),
            conditional=tuple(key for key, slot in mode.inputs.items() if callable(slot.required)),
            stream_inputs=_keys(mode.inputs, "is_stream"),
            stream_outputs=_keys(mode.outputs, "is_stream"),
            secret_inputs=_keys(mode.inputs, "secret"),
            secret_outputs=_keys(mode.outputs, "secret"),
            kind=Kind.of(mode.execute, definition.inline) if mode.execute else None,
        )


def _keys(slots: Slots, quality: str) -> frozenset[str]:
    return frozenset(key for key, slot in slots.items() if getattr(slot, quality))


_NO_SHAPE: Final = _Shape.of(NodeDefinition(type=""), NodeMode("", {}, {}))


class _Compiler:
    def __init__(self, payload: WorkflowPayload, registry: NodeRegistry) -> None:
        self._payload = payload
        self._registry = registry
        self._warnings: list[Problem] = []
        self._shapes: dict[tuple[str, str], _Shape] = {}
        self._node_shapes: list[_Shape] = []

    def compile(self) -> Plan:
        payload = self._payload
        kept = self._settle_duplicates()
        if payload.target_node_ids is not None:
            kept = self._only_needed(kept, payload.target_node_ids)
        nodes = [self._node(index, node) for index, node in enumerate(kept)]
        by_id = {node.id: node for node in nodes}
        self._connect(nodes, by_id, {node.id: node for node in kept})
        outputs = self._outputs(nodes, by_id)
        return Plan(
            nodes=tuple(nodes),
            outputs=outputs,
            has_outputs=bool(payload.output_interface_mappings),
            interface_inputs={key: slot.config["default"] for key, slot in payload.interface_inputs.items() if "default" in slot.config},
            warnings=tuple(self._warnings),
            fatal=_find_cycle(nodes),
        )

    def _warn(self, path: str, message: str) -> None:
        self._warnings.append(Problem(path, message))

    def _settle_duplicates(self) -> list[PayloadNode]:
        first: dict[str, int] = {}
        problems = []
        for position, node in enumerate(self._payload.nodes):
            there = first.setdefault(node.id, position)
            if there == position:
                continue
            if self._payload.nodes[there] == node:
                self._warn(f"nodes[{position}]", f"is the same as nodes[{there}] (id {node.id!r}) and counts once")
            else:
                problems.append(Problem(f"nodes[{position}].id", f"{node.id!r} is also the id of nodes[{there}], which is a different node"))
        if problems:
            raise Refused("The workflow cannot be run.", problems)
        return [self._payload.nodes[position] for position in first.values()]

    def _only_needed(self, nodes: list[PayloadNode], targets: Sequence[str]) -> list[PayloadNode]:
        ids = {node.id for node in nodes}
        problems = [
            Problem(f"targetNodeIds[{position}]", f"there is no node {target!r}")
            for position, target in enumerate(targets)
            if target not in ids
        ]
        if problems:
            raise Refused("The workflow cannot be run.", problems)
        sources: dict[str, list[str]] = {}
        for edge in self._payload.edges:
            if edge.source_handle and edge.target_handle:
                sources.setdefault(edge.target_node_id, []).append(edge.source_node_id)
        needed: set[str] = set()
        waiting = list(targets)
        while waiting:
            here = waiting.pop()
            if here not in needed:
                needed.add(here)
                waiting += sources.get(here, ())
        return [node for node in nodes if node.id in needed]

    def _node(self, index: int, node: PayloadNode) -> PlanNode:
        definition = self._registry.get(node.full_type)
        problem = None
        config: Mapping[str, Any] = node.config_values
        shape = _NO_SHAPE
        if definition is None:
            problem = f"Unknown node type '{node.full_type}'"
        else:
            if definition.config_values:
                config = {**definition.config_values, **node.config_values}
            mode = definition.mode_for(config)
            shape = self._shapes.get((node.full_type, mode.id)) or _Shape.of(definition, mode)
            self._shapes[node.full_type, mode.id] = shape
            if shape.kind is None and not node.bypassed:
                problem = f"Node type '{node.full_type}' has nothing to run"
        required = shape.required
        if shape.conditional:
            try:
                required = tuple(key for key, slot in shape.mode.inputs.items() if slot.is_required(config))
            except Exception as error:
                problem = f"Node type '{node.full_type}' cannot tell which inputs it needs: {type(error).__name__}: {error}"
        self._node_shapes.append(shape)
        return PlanNode(
            index=index,
            id=node.id,
            full_type=node.full_type,
            bypassed=node.bypassed,
            config=config,
            static=_static_inputs(shape, node),
            mode=shape.mode,
            definition=definition,
            kind=None if node.bypassed else shape.kind,
            required=required,
            stream_inputs=shape.stream_inputs,
            stream_outputs=shape.stream_outputs,
            secret_inputs=shape.secret_inputs,
            secret_outputs=shape.secret_outputs,
            problem=problem,
        )

    def _connect(self, nodes: list[PlanNode], by_id: Mapping[str, PlanNode], payload_nodes: Mapping[str, PayloadNode]) -> None:
        incoming: list[dict[str, list[tuple[int, int, Edge]]]] = [{} for _ in nodes]
        everything = {node.id for node in self._payload.nodes}
        for position, edge in enumerate(self._payload.edges):
            target = by_id.get(edge.target_node_id)
            if target is None or edge.source_node_id not in by_id or not edge.source_handle or not edge.target_handle:
                self._note_ignored(position, edge, everything)
                continue
            slot, number = _split_handle(edge.target_handle, target.mode)
            incoming[target.index].setdefault(slot, []).append((number, position, edge))
        for node, slots in zip(nodes, incoming, strict=True):
            if slots:
                self._bind(node, slots, payload_nodes[node.id], by_id)
        _link(nodes)

    def _note_ignored(self, position: int, edge: Edge, everything: set[str]) -> None:
        gone = next((end for end in (edge.source_node_id, edge.target_node_id) if end not in everything), None)
        if gone is not None:
            self._warn(f"edges[{position}]", f"is ignored: there is no node {gone!r}")
        elif not edge.source_handle or not edge.target_handle:
            self._warn(f"edges[{position}]", "is ignored: a handle is empty")

    def _bind(
        self,
        node: PlanNode,
        slots: dict[str, list[tuple[int, int, Edge]]],
        payload_node: PayloadNode,
        by_id: Mapping[str, PlanNode],
    ) -> None:
        values: list[tuple[str, int, str]] = []
        bindings: list[Binding] = []
        multi_slots = self._node_shapes[node.index].multi
        for slot, arriving in slots.items():
            multi = slot in multi_slots
            if multi:
                arriving = _ordered(arriving, payload_node.input_connection_orders.get(slot))
            elif len(arriving) > 1:
                for _, position, _ in arriving[:-1]:
                    self._warn(f"edges[{position}]", f"is ignored: a later edge also feeds slot {slot!r} of node {node.id!r}, which takes one")
                arriving = arriving[-1:]
            target_slot = node.mode.inputs.get(slot)
            sources = tuple(self._source(edge, position, by_id[edge.source_node_id], target_slot) for _, position, edge in arriving)
            if not multi and sources[0].feed is Feed.VALUE:
                values.append((slot, sources[0].node, sources[0].slot))
            else:
                bindings.append(Binding(slot, sources, multi))
        node.values, node.bindings = tuple(values), tuple(bindings)
        if node.bypassed and node.stream_outputs and any(s.feed in _STREAMED for b in bindings for s in b.sources):
            node.kind = Kind.STREAM  # what comes in on a stream may go out on one, so it lasts as long as that does

    def _source(self, edge: Edge, position: int, source: PlanNode, target: Slot | None) -> Source:
        given = source.mode.outputs.get(edge.source_handle)
        streams, wants_stream = edge.source_handle in source.stream_outputs, target is not None and target.is_stream
        if given is not None and target is not None:
            ends = f"from {source.id!r}.{edge.source_handle} ({given.data_flow_type}) to {edge.target_node_id!r}.{edge.target_handle} ({target.data_flow_type})"
            if streams != wants_stream:
                self._warn(f"edges[{position}]", f"joins a stream and a slot that is none, {ends}")
            elif not compatible(given, target):
                self._warn(f"edges[{position}]", f"types do not fit {ends}; the value is passed on as it is")
        if streams:
            feed = Feed.STREAM if wants_stream else Feed.TEXT
        else:
            feed = Feed.LIFTED if wants_stream else Feed.VALUE
        return Source(source.index, edge.source_handle, feed)

    def _outputs(self, nodes: list[PlanNode], by_id: Mapping[str, PlanNode]) -> tuple[InterfaceOutput, ...]:
        outputs = []
        for key, mapping in self._payload.output_interface_mappings.items():
            node = by_id.get(mapping.source_node_id)
            if node is None:
                self._warn(f"outputInterfaceMappings.{key}", f"is left out: there is no node {mapping.source_node_id!r}")
                continue
            slot = self._payload.interface_outputs.get(key)
            is_stream = slot is not None and slot.is_stream
            if not is_stream and mapping.source_slot_key in node.stream_outputs:
                node.joined |= {mapping.source_slot_key}
            name = slot.display_name if slot else None
            outputs.append(InterfaceOutput(key, name, node.index, mapping.source_slot_key, is_stream))
        return tuple(outputs)


def _static_inputs(shape: _Shape, node: PayloadNode) -> dict[str, Any]:
    static = {**shape.defaults, **node.inputs}
    for key in shape.mutable_defaults:
        if key not in node.inputs:
            static[key] = copy.deepcopy(static[key])  # a node that changes its input must not change the definition's default
    for key in shape.multi:
        if key in static and not isinstance(static[key], list):
            static[key] = [static[key]]
    return static


def _split_handle(handle: str, mode: NodeMode) -> tuple[str, int]:
    """The slot that a target handle names, and its index among the slot's edges.

    An index belongs to a slot that the definition knows; any other handle is taken literally, as dynamic slots may be called anything.
    """
    match = _INDEXED.fullmatch(handle)
    if match and handle not in mode.inputs and match[1] in mode.inputs:
        return match[1], int(match[2])
    return handle, _UNINDEXED


def _ordered(arriving: list[tuple[int, int, Edge]], order: list[str] | None) -> list[tuple[int, int, Edge]]:
    """Edges of a multi slot: in the order that the node names, then by the index in the handle, then as they were sent."""
    rank = {edge_id: position for position, edge_id in reversed(list(enumerate(order or ())))}
    return sorted(arriving, key=lambda entry: (rank.get(entry[2].id or "", len(rank)), entry[0], entry[1]))


def _link(nodes: list[PlanNode]) -> None:
    """Work out who waits for whom: for the start of what streams into it, for the end of everything else."""
    after_start: list[list[int]] = [[] for _ in nodes]
    after_finish: list[list[int]] = [[] for _ in nodes]
    for node in nodes:
        finished = {source for _, source, _ in node.values}
        started = set()
        for binding in node.bindings:
            for source in binding.sources:
                if source.feed is Feed.STREAM and nodes[source.node].streams:
                    started.add(source.node)
                    node.streamed_to = True
                else:
                    finished.add(source.node)
                if source.feed is Feed.TEXT:
                    nodes[source.node].joined |= {source.slot}
        started -= finished
        for source_index in finished:
            after_finish[source_index].append(node.index)
        for source_index in started:
            after_start[source_index].append(node.index)
        node.sources = (*finished, *started)
        node.waits = len(node.sources)
    for node in nodes:
        node.after_start = tuple(after_start[node.index])
        node.after_finish = tuple(after_finish[node.index])


def _find_cycle(nodes: list[PlanNode]) -> str | None:
    """The message that names the nodes on a cycle, if there is one."""
    waits = [node.waits for node in nodes]
    ready = [node.index for node in nodes if not node.waits]
    done = 0
    while ready:
        node = nodes[ready.pop()]
        done += 1
        for follower in (*node.after_start, *node.after_finish):
            waits[follower] -= 1
            if not waits[follower]:
                ready.append(follower)
    if done == len(nodes):
        return None
    stuck = {index for index, left in enumerate(waits) if left}
    try:
        graphlib.TopologicalSorter({index: set(nodes[index].sources) & stuck for index in stuck}).prepare()
    except graphlib.CycleError as error:
        on_cycle = sorted(set(error.args[1]))
        return f"Workflow contains a cycle involving nodes: {', '.join(nodes[index].id for index in on_cycle)}"
    raise AssertionError("nodes that wait for each other are on a cycle")
