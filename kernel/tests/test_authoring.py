"""Nodes made of typed functions."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest

from tavernkeep import Chunk, Config, DataFlowType, NodeContext, Outputs, Slot, Stream, node
from tavernkeep.contracts.nodes import Kind, NodeDefinition


@node("t:Example", category="Test")
def example(
    context: NodeContext,
    text: str,
    count: int = 3,
    ratio: float | None = None,
    items: list[str] = [],  # noqa: B006 - a default of the definition, not of a call
    style: Annotated[str, Config(Slot(description="How."))] = "plain",
    key: Annotated[str, Slot(secret=True)] = "",
) -> dict[str, Any]:
    """Do something.

    At length.
    """
    return {"text": text, "count": count, "ratio": ratio, "items": items, "style": style}


def test_parameters_become_slots() -> None:
    """Types, defaults, requirements, configuration, secrets."""
    definition = example.definition
    assert (definition.full_type, definition.category, definition.description) == ("t:Example", "Test", "Do something.")
    assert list(definition.inputs) == ["text", "count", "ratio", "items", "key"]
    flow = {key: slot.data_flow_type for key, slot in definition.inputs.items()}
    assert flow == {
        "text": DataFlowType.STRING,
        "count": DataFlowType.INTEGER,
        "ratio": DataFlowType.FLOAT,
        "items": DataFlowType.ARRAY,
        "key": DataFlowType.STRING,
    }
    assert [key for key, slot in definition.inputs.items() if slot.required] == ["text"]
    assert definition.inputs["count"].config["default"] == 3
    assert definition.inputs["key"].secret
    assert definition.config_schema is not None
    assert definition.config_schema["style"].description == "How."


def test_the_engine_calls_it_with_inputs_and_configuration() -> None:
    """Absent inputs are at their defaults; the configuration fills its parameters."""
    context: Any = NodeContext(None, "n", "t:Example", {"style": "bold"})  # type: ignore[arg-type]
    assert example.definition.execute is not None
    given = example.definition.execute({"text": "x", "count": 5}, context)["output"]
    assert given == {"text": "x", "count": 5, "ratio": None, "items": [], "style": "bold"}


async def test_kinds() -> None:
    """Plain functions run in threads unless they say that they are quick; the rest by what they are."""

    @node("t:Async")
    async def later(x: int = 1) -> int:
        """Later."""
        return x

    @node("t:Text")
    async def text() -> AsyncIterator[str]:
        """Text."""
        yield "a"

    @node("t:Mixed")
    async def mixed(stream: Stream) -> AsyncIterator[Chunk | Outputs | str]:
        """Mixed."""
        async for chunk in stream:
            yield chunk

    @node("t:None", inline=True)
    def nothing() -> None:
        """Nothing."""

    kinds = [Kind.of(entry.definition.execute, entry.definition.inline) for entry in (example, later, text, mixed, nothing)]  # type: ignore[arg-type]
    assert kinds == [Kind.THREAD, Kind.ASYNC, Kind.STREAM, Kind.STREAM, Kind.INLINE]
    assert text.definition.outputs["output"] == Slot(DataFlowType.STRING, is_stream=True)
    assert mixed.definition.inputs["stream"].is_stream
    assert nothing.definition.outputs == {}
    assert await later(4) == 4


@pytest.mark.parametrize("name", ["Plain", ":x", "x:", ""])
def test_a_type_has_a_namespace(name: str) -> None:
    """The message says what a type looks like."""
    with pytest.raises(TypeError, match="namespace:Type"):
        node(name)


def test_a_signature_without_names_is_refused() -> None:
    """The message names the parameter."""
    with pytest.raises(TypeError, match="args"):

        @node("t:Bad")
        def bad(*args: str) -> str:
            return ""


def test_what_is_no_slot_is_refused_where_it_is_declared() -> None:
    """Naming the place, at import: not when a workflow first uses the node."""
    with pytest.raises(TypeError, match=r"outputs\['left'\] is 'STRING', expected a Slot"):
        NodeDefinition(type="x", namespace="x", outputs={"left": "STRING"})  # type: ignore[dict-item]
