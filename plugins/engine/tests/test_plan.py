"""The plan compiler: what is tolerated, what is refused, and who waits for whom."""

from typing import Any

import pytest

from tavernkeep import DataFlowType, NodeDefinition, NodeMode, Slot
from tavernkeep.contracts.execution import Refused
from tavernkeep.contracts.nodes import NodeRegistry, Slots
from tavernkeep.contracts.workflow import Edge, PayloadNode, WorkflowPayload
from tavernkeep_engine.plan.compile import compile_plan
from tavernkeep_engine.plan.types import Feed, Plan


def definition(name: str, inputs: Slots | None = None, outputs: Slots | None = None, **more: Any) -> NodeDefinition:
    return NodeDefinition(
        type=name,
        namespace="t",
        inputs=inputs or {},
        outputs=outputs or {"out": Slot(DataFlowType.STRING)},
        execute=lambda inputs, context: {},
        inline=True,
        **more,
    )


async def stream(inputs: Any, context: Any) -> Any:
    yield ""


DEFINITIONS = [
    definition("Source"),
    definition("One", {"text": Slot(DataFlowType.STRING, config={"default": "d"})}),
    definition("Many", {"texts": Slot(DataFlowType.STRING, multi=True, required=True)}),
    definition("Number", {"n": Slot(DataFlowType.INTEGER)}, {"out": Slot(DataFlowType.INTEGER)}),
    definition("Sometimes", {"text": Slot(required=lambda config: config.get("strict") is True)}),
    definition("Mode", modes={"a": NodeMode("a", {"x": Slot(required=True)}, {})}, mode_config_key="mode"),
    NodeDefinition(type="Stream", namespace="t", outputs={"live": Slot(DataFlowType.STRING, is_stream=True)}, execute=stream),
    definition("Reader", {"live": Slot(DataFlowType.STRING, is_stream=True)}),
]


def compiled(nodes: dict[str, str], *edges: tuple[str, str, str, str], **more: Any) -> Plan:
    registry = NodeRegistry()
    for entry in DEFINITIONS:
        registry.add(entry, "test")
    made = [PayloadNode(key, f"t:{type_}", **more.pop(key, {})) for key, type_ in nodes.items()]
    return compile_plan(WorkflowPayload(made, [Edge(*edge, id=f"e{i}") for i, edge in enumerate(edges)], **more), registry)


def warnings(plan: Plan) -> dict[str, str]:
    return {warning.path: warning.message for warning in plan.warnings}


def test_what_editors_only_draw_is_left_out_with_its_edges() -> None:
    """Frames and notes, of the editor and of packs; each with a warning. They may be alike, be targets, and have any edges."""
    nodes = [
        PayloadNode("f", "core:frame", {"title": "x"}),
        PayloadNode("a", "t:Source"),
        PayloadNode("n", "Sticky-Note"),
        PayloadNode("f", "core:frame", {"title": "another"}),
        PayloadNode("b", "t:One"),
        PayloadNode("p", "t:Panel"),
        PayloadNode("u", "pack:note"),
    ]
    edges = [Edge("a", "out", "b", "text"), Edge("f", "out", "b", "text"), Edge("a", "out", "n", "in"), Edge("a", "out", "p", "in")]
    registry = NodeRegistry()
    for entry in (*DEFINITIONS, NodeDefinition(type="Panel", namespace="t", is_ui_node=True)):
        registry.add(entry, "test")
    plan = compile_plan(WorkflowPayload(nodes, edges), registry)
    assert [node.id for node in plan.nodes] == ["a", "b", "u"]
    assert plan.nodes[1].values == [("text", 0, "out")]
    assert [node.problem for node in plan.nodes] == [None, None, "Unknown node type 'pack:note'"]
    drawn, ignored = {0, 2, 3, 5}, {1, 2, 3}
    assert set(warnings(plan)) == {*(f"nodes[{number}]" for number in drawn), *(f"edges[{number}]" for number in ignored)}
    only = compile_plan(WorkflowPayload(nodes, edges, target_node_ids=["f", "b"]), registry)
    assert [node.id for node in only.nodes] == ["a", "b"]


def test_edges_to_nowhere_are_ignored_with_a_warning() -> None:
    """What an editor leaves behind when it expands a group stops nothing."""
    plan = compiled({"a": "Source", "b": "One"}, ("a", "out", "b", "text"), ("a", "out", "gone", "text"), ("a", "", "b", "text"))
    assert set(warnings(plan)) == {"edges[1]", "edges[2]"}
    assert plan.nodes[1].values == [("text", 0, "out")]


def test_the_last_of_several_edges_into_a_single_slot_counts() -> None:
    """Earlier ones are ignored with a warning that names slot and node."""
    plan = compiled({"a": "Source", "b": "Source", "c": "One"}, ("a", "out", "c", "text"), ("b", "out", "c", "text"))
    assert plan.nodes[2].values == [("text", 1, "out")]
    assert "'text' of node 'c'" in warnings(plan)["edges[0]"]


def test_a_multi_slot_is_ordered_by_its_order_then_the_index_then_the_edges() -> None:
    """`inputConnectionOrders` first; what it does not name comes last, by the index in the handle and then as sent."""
    nodes = {"a": "Source", "b": "Source", "c": "Source", "d": "Source", "m": "Many"}
    edges = [("a", "out", "m", "texts__1"), ("b", "out", "m", "texts__0"), ("c", "out", "m", "texts"), ("d", "out", "m", "texts__7")]
    plain = compiled(nodes, *edges)
    assert [source.node for source in plain.nodes[4].bindings[0].sources] == [1, 0, 3, 2]
    ordered = compiled(nodes, *edges, m={"input_connection_orders": {"texts": ["e3", "e0"]}})
    assert [source.node for source in ordered.nodes[4].bindings[0].sources] == [3, 0, 1, 2]


@pytest.mark.parametrize("handle", ["texts_0", "texts__x", "texts__0__1", "other__0", "texts__"])
def test_any_other_handle_is_taken_literally(handle: str) -> None:
    """Only a known slot, two underscores and plain digits are an index."""
    plan = compiled({"a": "Source", "m": "Many"}, ("a", "out", "m", handle))
    assert plan.nodes[1].values == [(handle, 0, "out")]


def test_types_that_do_not_fit_are_passed_on_with_a_warning() -> None:
    """A text into a number is odd, and used."""
    plan = compiled({"a": "Source", "n": "Number"}, ("a", "out", "n", "n"))
    assert "STRING and INTEGER" in warnings(plan)["edges[0]"]
    assert plan.nodes[1].values
    assert not compiled({"n": "Number", "b": "One"}, ("n", "out", "b", "text")).warnings


def test_two_nodes_of_one_id_count_once_or_are_refused() -> None:
    """Equal ones are the same group used twice; different ones are refused with both places."""
    registry = NodeRegistry()
    registry.add(DEFINITIONS[0], "test")
    same = compile_plan(WorkflowPayload([PayloadNode("a", "t:Source")] * 2, []), registry)
    assert len(same.nodes) == 1
    with pytest.raises(Refused) as refused:
        compile_plan(WorkflowPayload([PayloadNode("a", "t:Source"), PayloadNode("a", "t:One")], []), registry)
    assert str(refused.value.problems[0]) == "nodes[1].id: 'a' is also the id of nodes[0], which is a different node"


def test_a_cycle_names_its_nodes_and_no_others() -> None:
    """What only hangs below the cycle is not named."""
    plan = compiled(
        {"a": "One", "b": "One", "below": "One"}, ("a", "out", "b", "text"), ("b", "out", "a", "text"), ("b", "out", "below", "text")
    )
    assert plan.fatal == "Workflow contains a cycle involving nodes: a, b"


def test_a_node_on_itself_is_a_cycle() -> None:
    """The smallest one."""
    assert compiled({"a": "One"}, ("a", "out", "a", "text")).fatal == "Workflow contains a cycle involving nodes: a"


def test_what_is_required_may_depend_on_the_configuration() -> None:
    """A requirement that is a function is asked with the node's configuration."""
    assert compiled({"s": "Sometimes"}).nodes[0].required == ()
    assert compiled({"s": "Sometimes"}, s={"config_values": {"strict": True}}).nodes[0].required == ("text",)


def test_the_mode_picks_slots() -> None:
    """The configured mode's slots are the node's; an unknown mode leaves the definition's own."""
    assert compiled({"m": "Mode"}, m={"config_values": {"mode": "a"}}).nodes[0].required == ("x",)
    assert compiled({"m": "Mode"}, m={"config_values": {"mode": "z"}}).nodes[0].required == ()


def test_how_values_get_from_output_to_input() -> None:
    """Stream to stream, stream to text, value to stream."""
    plan = compiled(
        {"s": "Stream", "r": "Reader", "o": "One", "v": "Source", "r2": "Reader"},
        ("s", "live", "r", "live"),
        ("s", "live", "o", "text"),
        ("v", "out", "r2", "live"),
    )
    feeds = [plan.nodes[index].bindings[0].sources[0].feed for index in (1, 2, 4)]
    assert feeds == [Feed.STREAM, Feed.TEXT, Feed.LIFTED]
    assert list(plan.nodes[0].after_start) == [1]
    assert list(plan.nodes[0].after_finish) == [2]
