"""MatrixOperation."""

from typing import Any

import pytest

from tavernkeep import NodeFailure
from tavernkeep_nodes_processors.matrix_operation import MATRIX_OPERATION


def result(mode: str, **inputs: Any) -> Any:
    execute = MATRIX_OPERATION.modes[mode].execute
    assert execute is not None
    return execute(inputs, None)["result"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mode", "inputs", "wanted"),
    [
        ("add", {"a": [[1, 2]], "b": "[[3, 4.5]]"}, [[4, 6.5]]),
        ("subtract", {"a": [[1, 2]], "b": [[3, 4]]}, [[-2, -2]]),
        ("multiply", {"a": [[1, 2], [3, 4]], "b": [[0, 1], [1, 0]]}, [[2, 1], [4, 3]]),
        ("multiply", {"a": [[1, 2], [3, 4]], "b": [1, 1]}, [3, 7]),
        ("multiply", {"a": [1, 2], "b": [3, 4]}, 11),
        ("multiply", {"a": 2, "b": [[1, 2]]}, [[2, 4]]),
        ("multiply", {"a": "[[1]]", "b": "2.5"}, [[2.5]]),
        ("transpose", {"matrix": [[1, 2, 3]]}, [[1], [2], [3]]),
        ("invert", {"matrix": [[2, 0], [0, 4]]}, [[0.5, 0], [0, 0.25]]),
        ("det", {"matrix": [[1, 2], [3, 4]]}, pytest.approx(-2)),
    ],
)
def test_results(mode: str, inputs: dict[str, Any], wanted: Any) -> None:
    """Of nested lists and of their JSON; whole numbers stay whole."""
    assert result(mode, **inputs) == wanted


@pytest.mark.parametrize(
    ("mode", "inputs", "mention"),
    [
        ("add", {"a": [[1]], "b": [[1, 2]]}, "differ"),
        ("add", {"a": [[1], [2, 3]], "b": [[1]]}, "different lengths"),
        ("add", {"a": [["x"]], "b": [[1]]}, "no number"),
        ("add", {"a": [[None]], "b": [[1]]}, "no number"),
        ("add", {"a": [[True]], "b": [[1]]}, "no number"),
        ("add", {"a": "[[1", "b": [[1]]}, "JSON"),
        ("add", {"a": [], "b": [[1]]}, "shape"),
        ("add", {"a": [[]], "b": [[1]]}, "shape"),
        ("add", {"a": {"x": 1}, "b": [[1]]}, "no number"),
        ("multiply", {"a": [[1, 2]], "b": [[1, 2]]}, "cannot be multiplied"),
        ("invert", {"matrix": [[1, 1], [1, 1]]}, "singular"),
        ("invert", {"matrix": [[1, 2]]}, "not square"),
        ("det", {"matrix": [1, 2]}, "shape"),
        ("transpose", {"matrix": [[0] * 2001] * 2001}, "items"),
    ],
)
def test_what_is_no_matrix(mode: str, inputs: dict[str, Any], mention: str) -> None:
    """Each failure says what is wrong."""
    with pytest.raises(NodeFailure, match=mention):
        result(mode, **inputs)
