"""The plan compiler: a submitted graph becomes nodes by number, with everything that can be known before the run worked out.

What the payload leaves to tolerate (edges to nowhere, several edges into one slot, types that do not fit) is settled here, each with a
warning; what will fail one node is noted on that node; what stops the execution is in `Plan.fatal`.
"""

from collections.abc import Container, Mapping, Sequence
from typing import Any

import attrs

from tavernkeep.contracts.execution import RefusalReason, Refused
from tavernkeep.contracts.nodes import POLICY_KEY, NodeDefinition, NodeMode, NodeRegistry, PassThrough, Policy
from tavernkeep.contracts.workflow import PayloadNode, WorkflowPayload
from tavernkeep.wire import Invalid, Problem, structure
from tavernkeep_engine.plan.binding import Binder
from tavernkeep_engine.plan.choices import wrong_choice
from tavernkeep_engine.plan.drawings import is_drawing
from tavernkeep_engine.plan.links import find_cycle, link
from tavernkeep_engine.plan.types import NO_SHAPE, InterfaceOutput, Plan, PlanNode, Shape

Resolved = Mapping[str, NodeMode | str]


def compile_plan(payload: WorkflowPayload, nodes: NodeRegistry, resolved: Resolved | None = None) -> Plan:
    """Compile a payload.

    Args:
        resolved: For nodes with dynamic slots, by id: their mode, or why they have none.

    Raises:
        Refused: Two different nodes share an id, or a target is not among the nodes; with every such problem.
    """
    return _Compiler(payload, nodes, resolved or {}).compile()


class _Compiler:
    def __init__(self, payload: WorkflowPayload, nodes: NodeRegistry, resolved: Resolved) -> None:
        self._payload = payload
        self._nodes = nodes
        self._resolved = resolved
        self._warnings: list[Problem] = []
        self._shapes: dict[tuple[str, str], Shape] = {}

    def compile(self) -> Plan:
        payload = self._payload
        left_out = self._leave_out()
        kept = self._settle_duplicates(left_out)
        if payload.target_node_ids is not None:
            kept = self._only_needed(kept, [target for target in payload.target_node_ids if target not in left_out])
        nodes = [self._node(index, node) for index, node in enumerate(kept)]
        by_id = {node.id: node for node in nodes}
        Binder({node.id for node in payload.nodes} - left_out, self._warnings).bind(nodes, by_id, kept, payload.edges)
        link(nodes)
        outputs = self._outputs(nodes, by_id)
        return Plan(
            nodes=tuple(nodes),
            outputs=outputs,
            has_outputs=bool(payload.output_interface_mappings),
            interface_inputs={key: slot.config["default"] for key, slot in payload.interface_inputs.items() if "default" in slot.config},
            warnings=tuple(self._warnings),
            fatal=find_cycle(nodes),
        )

    def _warn(self, path: str, message: str) -> None:
        self._warnings.append(Problem(path, message))

    def _leave_out(self) -> set[str]:
        """The ids of those that are there for the editor alone."""
        found = set()
        for position, node in enumerate(self._payload.nodes):
            if is_drawing(node.full_type, self._nodes.get(node.full_type)):
                found.add(node.id)
                self._warn(f"nodes[{position}]", f"is left out: a node of type {node.full_type!r} is there for the editor alone")
        return found

    def _settle_duplicates(self, left_out: Container[str]) -> list[PayloadNode]:
        first: dict[str, int] = {}
        problems = []
        for position, node in enumerate(self._payload.nodes):
            if node.id in left_out:
                continue
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
            raise Refused("The workflow cannot be run.", RefusalReason.INVALID, problems)
        return [self._payload.nodes[position] for position in first.values()]

    def _only_needed(self, nodes: list[PayloadNode], targets: Sequence[str]) -> list[PayloadNode]:
        ids = {node.id for node in nodes}
        problems = [
            Problem(f"targetNodeIds[{position}]", f"there is no node {target!r}")
            for position, target in enumerate(targets)
            if target not in ids
        ]
        if problems:
            raise Refused("The workflow cannot be run.", RefusalReason.INVALID, problems)
        needed = self._payload.connected(targets, upstream=True)
        return [node for node in nodes if node.id in needed]

    def _node(self, index: int, node: PayloadNode) -> PlanNode:
        definition = self._nodes.get(node.full_type)
        problem = None
        config: Mapping[str, Any] = node.config_values
        shape = NO_SHAPE
        if definition is None:
            problem = f"Unknown node type '{node.full_type}'"
        else:
            config = definition.config_of(node.config_values)
            shape, problem = self._shape(definition, config, node)
            problem = problem or (None if node.bypassed else wrong_choice(definition, node.config_values))
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
        static = _static_inputs(shape, node, definition)
        return PlanNode(
            index,
            node.id,
            node.full_type,
            node.bypassed,
            config,
            static,
            definition,
            shape,
            None if node.bypassed else shape.kind,
            required,
            problem,
            policy,
            tuple(key for key, value in static.items() if type(value) in (dict, list)),
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


def _static_inputs(shape: Shape, node: PayloadNode, definition: NodeDefinition | None) -> dict[str, Any]:
    if node.bypassed and not isinstance(definition and definition.bypass_behavior, PassThrough):
        return {}  # what flows in is passed on, and nothing else
    static = {**shape.defaults, **node.inputs}
    for key in shape.multi:
        if key in static and not isinstance(static[key], list):
            static[key] = [static[key]]
    return static
