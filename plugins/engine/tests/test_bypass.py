"""What a bypassed node gives instead of its outputs."""

from typing import Any

from tavernkeep import DataFlowType, NodeDefinition, PassThrough, Slot
from tavernkeep_engine.run.bypass import pseudo_outputs

T = DataFlowType


def given(inputs: dict[str, Slot], outputs: dict[str, Slot], values: dict[str, Any], behavior: Any = None) -> dict[str, Any]:
    definition = NodeDefinition(type="t", inputs=inputs, outputs=outputs, bypass_behavior=behavior)
    return pseudo_outputs(definition, definition.mode_for({}), values)


def test_each_output_takes_the_first_unused_input_that_fits() -> None:
    """In the order of the slots; one input serves one output."""
    inputs = {"n": Slot(T.INTEGER), "s": Slot(T.STRING), "s2": Slot(T.STRING)}
    outputs = {"x": Slot(T.STRING), "y": Slot(T.STRING), "z": Slot(T.FLOAT)}
    assert given(inputs, outputs, {"n": 1, "s": "a", "s2": "b"}) == {"x": 1, "y": "a", "z": 0}


def test_what_fits_nothing_is_empty() -> None:
    """By type."""
    outputs = {type_.value: Slot(type_) for type_ in T}
    empty = given({}, outputs, {})
    assert empty["STRING"] == ""
    assert empty["INTEGER"] == empty["FLOAT"] == 0
    assert empty["BOOLEAN"] is False
    assert (empty["ARRAY"], empty["OBJECT"], empty["WILDCARD"], empty["BINARY"]) == ([], {}, None, None)


def test_muted_nodes_give_nothing() -> None:
    """Every output is absent."""
    assert given({"a": Slot(T.STRING)}, {"x": Slot(T.STRING)}, {"a": "v"}, "mute") == {}


def test_pass_through_then_defaults_then_empty() -> None:
    """Named inputs where they fit and are there, then named values."""
    behavior = PassThrough({"x": "a", "y": "b"}, {"y": "default"})
    inputs = {"a": Slot(T.STRING), "b": Slot(T.OBJECT)}
    outputs = {"x": Slot(T.STRING), "y": Slot(T.STRING), "z": Slot(T.ARRAY)}
    assert given(inputs, outputs, {"a": "v", "b": {}}, behavior) == {"x": "v", "y": "default", "z": []}
