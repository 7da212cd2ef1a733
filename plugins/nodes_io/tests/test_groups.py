"""GroupInput and GroupOutput."""

from types import SimpleNamespace
from typing import Any

from tavernkeep_nodes_io.groups import group_input, group_output


def test_group_input_gives_the_workflows_inputs() -> None:
    """Each interface input with the value that it has for this run, `null` included, as a mapping of its own."""
    context: Any = SimpleNamespace(execution=SimpleNamespace(interface_inputs={"a": None, "b": [1]}))
    given = group_input({}, context)
    assert given == {"a": None, "b": [1]}
    given["c"] = 1
    assert "c" not in context.execution.interface_inputs


def test_group_output_gives_nothing() -> None:
    """Whatever comes in."""
    assert group_output({"x": 1}, None) == {}  # type: ignore[arg-type]
