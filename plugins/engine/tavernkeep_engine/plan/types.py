"""What a plan is made of: nodes by number, what feeds each of their inputs, and who waits for whom."""

import enum
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from tavernkeep.contracts.execution import PayloadReport
from tavernkeep.contracts.nodes import Kind, NodeDefinition, NodeMode, Policy
from tavernkeep.contracts.slots import Slots
from tavernkeep.wire import Problem


class Feed(enum.Enum):
    """How a value gets from an output to an input."""

    VALUE = "value"  # batch output to batch input: the value itself
    TEXT = "text"  # stream to batch input: its text, joined, once it has ended
    STREAM = "stream"  # stream to stream: chunks while it runs
    LIFTED = "lifted"  # batch output to stream input: one chunk


STREAMED: Final = (Feed.STREAM, Feed.LIFTED)


@attrs.frozen
class InputSource:
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
    sources: tuple[InputSource, ...]
    multi: bool


@attrs.frozen
class Shape:
    """What all nodes of one type and mode have in common.

    Attributes:
        conditional: The inputs that are required or not by the node's configuration.
    """

    mode: NodeMode
    defaults: dict[str, Any]
    multi: frozenset[str]
    required: tuple[str, ...]
    conditional: tuple[str, ...]
    stream_inputs: frozenset[str]
    stream_outputs: frozenset[str]
    secret_inputs: frozenset[str]
    secret_outputs: frozenset[str]
    live_inputs: frozenset[str]
    live_outputs: frozenset[str]
    kind: Kind | None

    @classmethod
    def of(cls, definition: NodeDefinition, mode: NodeMode) -> "Shape":
        filled = {key: slot.config for key, slot in mode.inputs.items() if not slot.form_only}
        defaults = {key: config["default"] for key, config in filled.items() if "default" in config}
        return cls(
            mode=mode,
            defaults=defaults,
            multi=_keys(mode.inputs, "multi"),
            required=tuple(key for key, slot in mode.inputs.items() if slot.required is True),
            conditional=tuple(key for key, slot in mode.inputs.items() if callable(slot.required)),
            stream_inputs=_keys(mode.inputs, "is_stream"),
            stream_outputs=_keys(mode.outputs, "is_stream"),
            secret_inputs=_keys(mode.inputs, "secret"),
            secret_outputs=_keys(mode.outputs, "secret"),
            live_inputs=_keys(mode.inputs, "live"),
            live_outputs=_keys(mode.outputs, "live"),
            kind=definition.kind_of(mode),
        )


def _keys(slots: Slots, quality: str) -> frozenset[str]:
    return frozenset(key for key, slot in slots.items() if getattr(slot, quality))


NO_SHAPE: Final = Shape.of(NodeDefinition(type=""), NodeMode("", {}, {}))


@attrs.define(eq=False)
class PlanNode:
    """A node, ready to run.

    Attributes:
        static: What each input is when no edge gives it a value: typed into the node, or the slot's default.
        mutable: Those of `static` that a node could change: it is given a copy.
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
        streamed_by: Those of `sources` whose start is enough. A node that has any starts however many nodes of its run are at work, as they
            may wait for it.
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
    mutable: Sequence[str] = ()
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
