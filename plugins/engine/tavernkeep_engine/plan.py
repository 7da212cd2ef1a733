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

from tavernkeep.contracts.execution import PayloadReport, Refused
from tavernkeep.contracts.nodes import POLICY_KEY, Kind, NodeDefinition, NodeMode, NodeRegistry, Policy
from tavernkeep.contracts.slots import Slot, Slots, compatible
from tavernkeep.contracts.workflow import Edge, PayloadNode, WorkflowPayload
from tavernkeep.wire import Invalid, Problem, structure

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


@attrs.frozen
class Shape:
    """What all nodes of one type and mode have in common.

    Attributes:
        mutable_defaults: The inputs whose default could be changed by a node that is given it.
        conditional: The inputs that are required or not by the node's configuration.
    """

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
    def of(cls, definition: NodeDefinition, mode: NodeMode) -> "Shape":
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
            kind=definition.kind_of(mode),
        )


def _keys(slots: Slots, quality: str) -> frozenset[str]:
    return frozenset(key for key, slot in slots.items() if getattr(slot, quality))


_NO_SHAPE: Final = Shape.of(NodeDefinition(type=""), NodeMode("", {}, {}))


@attrs.define(eq=False)
class PlanNode:
    """A node, ready to run.

    Attributes:
        static: What each input is when no edge gives it a value: typed into the node, or the slot's default.
        values: The plain inputs that come over edges, as `(slot, source index, source slot)`; the most frequent kind by far.
        bindings: All other inputs that come over edges.
        required: The inputs without which it fails.
        kind: How it runs; `None` for one that is bypassed or broken.
        policy: How long it may take and how often it is tried, where it has any such rule.
        problem: What is wrong with it, reported when its turn comes.
        sources: The nodes that must have finished or, where they stream into it, started before it may start.
        after_start: The nodes that may go on when this one has started.
        after_finish: The nodes that may go on when this one has finished.
        joined: The stream outputs whose joined text somebody needs.
        streamed_by: Those of `sources` whose start is enough. A node that has any never waits for a free place, as they may wait for it.
    """

    index: int
    id: str
    full_type: str
    bypassed: bool
    config: Mapping[str, Any]
    static: dict[str, Any]
    definition: NodeDefinition | None
    shape: Shape
    kind: Kind | None
    required: tuple[str, ...]
    problem: str | None
    policy: Policy | None = None
    values: Sequence[tuple[str, int, str]] = ()
    bindings: Sequence[Binding] = ()
    sources: Sequence[int] = ()
    after_start: list[int] | tuple[()] = ()
    after_finish: list[int] | tuple[()] = ()
    joined: frozenset[str] = frozenset()
    streamed_by: frozenset[int] = frozenset()

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


Resolved = Mapping[str, NodeMode | str]


def compile_plan(payload: WorkflowPayload, registry: NodeRegistry, resolved: Resolved | None = None) -> Plan:
    """Compile a payload.

    Args:
        resolved: For nodes with dynamic slots, by id: their mode, or why they have none.

    Raises:
        Refused: Two different nodes share an id, or a target is not among the nodes; with every such problem.
    """
    return _Compiler(payload, registry, resolved or {}).compile()


_Arrival = tuple[str, int, int, Edge, PlanNode]  # the slot, its index, the edge's position, the edge, where it comes from


class _Compiler:
    def __init__(self, payload: WorkflowPayload, registry: NodeRegistry, resolved: Resolved) -> None:
        self._payload = payload
        self._registry = registry
        self._resolved = resolved
        self._warnings: list[Problem] = []
        self._shapes: dict[tuple[str, str], Shape] = {}
        self._judged: dict[tuple[int, int], str | None] = {}

    def compile(self) -> Plan:
        payload = self._payload
        kept = self._settle_duplicates()
        if payload.target_node_ids is not None:
            kept = self._only_needed(kept, payload.target_node_ids)
        nodes = [self._node(index, node) for index, node in enumerate(kept)]
        by_id = {node.id: node for node in nodes}
        self._connect(nodes, by_id, kept)
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
                problems.append(
                    Problem(f"nodes[{position}].id", f"{node.id!r} is also the id of nodes[{there}], which is a different node")
                )
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
            config = definition.config_of(node.config_values)
            shape, problem = self._shape(definition, config, node)
        required = shape.required
        if shape.conditional:
            try:
                required = tuple(key for key, slot in shape.mode.inputs.items() if slot.is_required(config))
            except Exception as error:
                problem = f"Node type '{node.full_type}' cannot tell which inputs it needs: {type(error).__name__}: {error}"
        policy = definition.policy if definition else None
        if POLICY_KEY in config:
            try:
                policy = structure(config[POLICY_KEY], Policy, f"configValues.{POLICY_KEY}")
            except Invalid as invalid:
                problem = str(invalid)
        return PlanNode(
            index,
            node.id,
            node.full_type,
            node.bypassed,
            config,
            _static_inputs(shape, node),
            definition,
            shape,
            None if node.bypassed else shape.kind,
            required,
            problem,
            policy,
        )

    def _shape(self, definition: NodeDefinition, config: Mapping[str, Any], node: PayloadNode) -> tuple[Shape, str | None]:
        resolved = self._resolved.get(node.id)
        if isinstance(resolved, str):
            return Shape.of(definition, definition.mode_for(config)), resolved
        if resolved is not None:
            mode = resolved if resolved.execute else attrs.evolve(resolved, execute=definition.execute)
            shape = Shape.of(definition, mode)
        else:
            mode = definition.mode_for(config)
            shape = self._shapes.get((node.full_type, mode.id)) or Shape.of(definition, mode)
            self._shapes[node.full_type, mode.id] = shape
        nothing = shape.kind is None and not node.bypassed
        return shape, f"Node type '{node.full_type}' has nothing to run" if nothing else None

    def _connect(self, nodes: list[PlanNode], by_id: Mapping[str, PlanNode], payload_nodes: Sequence[PayloadNode]) -> None:
        incoming: list[list[_Arrival] | None] = [None] * len(nodes)
        everything = {node.id for node in self._payload.nodes}
        for position, edge in enumerate(self._payload.edges):
            target, source = by_id.get(edge.target_node_id), by_id.get(edge.source_node_id)
            if target is None or source is None or not edge.source_handle or not edge.target_handle:
                self._note_ignored(position, edge, everything)
                continue
            arrivals = incoming[target.index]
            if arrivals is None:
                arrivals = incoming[target.index] = []
            slot, number = _split_handle(edge.target_handle, target.shape.mode)
            arrivals.append((slot, number, position, edge, source))
        for node, arrivals, payload_node in zip(nodes, incoming, payload_nodes, strict=True):
            if arrivals is not None:
                self._bind(node, arrivals, payload_node)
        _link(nodes)

    def _note_ignored(self, position: int, edge: Edge, everything: set[str]) -> None:
        gone = next((end for end in (edge.source_node_id, edge.target_node_id) if end not in everything), None)
        if gone is not None:
            self._warn(f"edges[{position}]", f"is ignored: there is no node {gone!r}")
        elif not edge.source_handle or not edge.target_handle:
            self._warn(f"edges[{position}]", "is ignored: a handle is empty")

    def _bind(self, node: PlanNode, arrivals: "list[_Arrival]", payload_node: PayloadNode) -> None:
        values: list[tuple[str, int, str]] = []
        bindings: list[Binding] = []
        by_slot: dict[str, list[_Arrival]] = {}
        for arrival in arrivals:
            by_slot.setdefault(arrival[0], []).append(arrival)
        for slot, arriving in by_slot.items():
            multi = slot in node.shape.multi
            if multi:
                arriving = _ordered(arriving, payload_node.input_connection_orders.get(slot))
            elif len(arriving) > 1:
                for _, _, position, _, _ in arriving[:-1]:
                    self._warn(
                        f"edges[{position}]",
                        f"is ignored: a later edge also feeds slot {slot!r} of node {node.id!r}, which takes one",
                    )
                arriving = arriving[-1:]
            target = node.shape.mode.inputs.get(slot)
            feeds = [self._feed(edge, position, source, target) for _, _, position, edge, source in arriving]
            if not multi and feeds[0] is Feed.VALUE:
                values.append((slot, arriving[0][4].index, arriving[0][3].source_handle))
            else:
                sources = [Source(entry[4].index, entry[3].source_handle, feed) for entry, feed in zip(arriving, feeds, strict=True)]
                bindings.append(Binding(slot, tuple(sources), multi))
        node.values, node.bindings = values, bindings
        if node.bypassed and node.shape.stream_outputs and any(s.feed in _STREAMED for b in bindings for s in b.sources):
            node.kind = Kind.STREAM  # what comes in on a stream may go out on one, so it lasts as long as that does

    def _feed(self, edge: Edge, position: int, source: PlanNode, target: Slot | None) -> Feed:
        given = source.shape.mode.outputs.get(edge.source_handle)
        streams = given is not None and given.is_stream
        wants_stream = target is not None and target.is_stream
        if given is not None and target is not None:
            judged = (id(given), id(target))
            if judged not in self._judged:
                self._judged[judged] = _misfit(given, target)
            if misfit := self._judged[judged]:
                ends = f"from {source.id!r}.{edge.source_handle} to {edge.target_node_id!r}.{edge.target_handle}"
                self._warn(f"edges[{position}]", f"{misfit} ({ends})")
        if streams:
            return Feed.STREAM if wants_stream else Feed.TEXT
        return Feed.LIFTED if wants_stream else Feed.VALUE

    def _outputs(self, nodes: list[PlanNode], by_id: Mapping[str, PlanNode]) -> tuple[InterfaceOutput, ...]:
        outputs = []
        for key, mapping in self._payload.output_interface_mappings.items():
            node = by_id.get(mapping.source_node_id)
            if node is None:
                self._warn(f"outputInterfaceMappings.{key}", f"is left out: there is no node {mapping.source_node_id!r}")
                continue
            slot = self._payload.interface_outputs.get(key)
            is_stream = slot is not None and slot.is_stream
            if not is_stream and mapping.source_slot_key in node.shape.stream_outputs:
                node.joined |= {mapping.source_slot_key}
            name = slot.display_name if slot else None
            outputs.append(InterfaceOutput(key, name, node.index, mapping.source_slot_key, is_stream))
        return tuple(outputs)


def _static_inputs(shape: Shape, node: PayloadNode) -> dict[str, Any]:
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
    if "__" in handle and handle not in mode.inputs:
        match = _INDEXED.fullmatch(handle)
        if match and match[1] in mode.inputs:
            return match[1], int(match[2])
    return handle, _UNINDEXED


def _ordered(arriving: "list[_Arrival]", order: list[str] | None) -> "list[_Arrival]":
    """Edges of a multi slot: in the order that the node names, then by the index in the handle, then as they were sent."""
    rank = {edge_id: position for position, edge_id in reversed(list(enumerate(order or ())))}
    return sorted(arriving, key=lambda entry: (rank.get(entry[3].id or "", len(rank)), entry[1], entry[2]))


def _misfit(given: Slot, target: Slot) -> str | None:
    """What is odd about an edge between such slots; it is used all the same."""
    if given.is_stream != target.is_stream:
        return "joins a stream and a slot that is none"
    if not compatible(given, target):
        return f"types do not fit, {given.data_flow_type} and {target.data_flow_type}; the value is passed on as it is"
    return None


def _link(nodes: list[PlanNode]) -> None:
    """Work out who waits for whom: for the start of what streams into it, for the end of everything else."""
    for node in nodes:
        if len(node.values) == 1 and not node.bindings:  # most nodes
            source = nodes[node.values[0][1]]
            node.sources = (source.index,)
            _follow(source, node)
        elif node.values or node.bindings:
            _link_many(node, nodes)


def _link_many(node: PlanNode, nodes: list[PlanNode]) -> None:
    finished = {source for _, source, _ in node.values}
    started = set()
    for binding in node.bindings:
        for source in binding.sources:
            if source.feed is Feed.STREAM and nodes[source.node].streams and (node.streams or not node.bypassed):
                started.add(source.node)
            else:
                finished.add(source.node)
            if source.feed is Feed.TEXT:
                nodes[source.node].joined |= {source.slot}
    started -= finished
    node.streamed_by = frozenset(started)
    node.sources = (*finished, *started)
    for index in finished:
        _follow(nodes[index], node)
    for index in started:
        source_node = nodes[index]
        source_node.after_start = [*source_node.after_start, node.index]


def _follow(source: PlanNode, node: PlanNode) -> None:
    if source.after_finish:
        source.after_finish.append(node.index)
    else:
        source.after_finish = [node.index]


def _find_cycle(nodes: list[PlanNode]) -> str | None:
    """The message that names the nodes on a cycle, if there is one."""
    waits = [len(node.sources) for node in nodes]
    ready = [index for index, left in enumerate(waits) if not left]
    done = 0
    while ready:
        node = nodes[ready.pop()]
        done += 1
        for followers in (node.after_start, node.after_finish):
            for follower in followers:
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
