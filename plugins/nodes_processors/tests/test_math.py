"""MathOperation: every mode, at its ordinary values and at its edges."""

import json
import math
from typing import Any

import pytest

from tavernkeep import NodeFailure
from tavernkeep.wire import dumps
from tavernkeep_nodes_processors.math_operation import MATH_OPERATION, calculate

INF, NAN = math.inf, math.nan
CASES: list[tuple[str, dict[str, Any], float]] = [
    ("add", {"a": 2, "b": 3}, 5),
    ("add", {"a": "2.5", "b": None}, 2.5),
    ("add", {"a": 0.1, "b": 0.2}, 0.1 + 0.2),
    ("add", {}, 0),
    ("subtract", {"a": 2, "b": 3}, -1),
    ("multiply", {"a": 1e200, "b": 1e200}, INF),
    ("multiply_add", {"val1": 2, "val2": 3, "val3": 4}, 10),
    ("divide", {"a": 7, "b": 2}, 3.5),
    ("power", {"base": 3}, 9),
    ("power", {"base": 2, "exponent": 10}, 1024),
    ("power", {"base": -8, "exponent": 1 / 3}, NAN),
    ("power", {"base": 0, "exponent": -1}, INF),
    ("power", {"base": 10, "exponent": 400}, INF),
    ("power", {"base": -10, "exponent": 401}, -INF),
    ("logarithm", {"value": 8, "base": 2}, 3),
    ("logarithm", {"value": math.e}, 1),
    ("logarithm", {"value": -1}, NAN),
    ("logarithm", {"value": 0}, NAN),
    ("logarithm", {"value": 8, "base": 1}, NAN),
    ("sqrt", {"value": 9}, 3),
    ("inverse_sqrt", {"value": 4}, 0.5),
    ("absolute", {"value": -3}, 3),
    ("exp", {"value": 0}, 1),
    ("exp", {"value": 1000}, INF),
    ("min", {"a": 2, "b": 1}, 1),
    ("max", {"a": 2, "b": 1}, 2),
    ("lessThan", {"a": 1, "b": 2}, 1),
    ("lessThan", {"a": 2, "b": 2}, 0),
    ("greaterThan", {"a": 3, "b": 2}, 1),
    ("sign", {"value": -9}, -1),
    ("sign", {"value": 0}, 0),
    ("round", {"value": 2.5}, 3),
    ("round", {"value": -2.5}, -2),
    ("round", {"value": 0.49999999999999994}, 0),
    ("round", {"value": 4503599627370497}, 4503599627370497),
    ("round", {"value": "Infinity"}, INF),
    ("floor", {"value": -1.5}, -2),
    ("ceil", {"value": -1.5}, -1),
    ("truncate", {"value": -1.5}, -1),
    ("fraction", {"value": -1.25}, 0.75),
    ("fraction", {"value": 1.25}, 0.25),
    ("modulo", {"a": -5, "b": 3}, -2),
    ("modulo", {"a": 5, "b": -3}, 2),
    ("sin", {"value": 0}, 0),
    ("sin", {"value": "Infinity"}, NAN),
    ("cos", {"value": 0}, 1),
    ("tan", {"value": 0}, 0),
    ("asin", {"value": 2}, NAN),
    ("acos", {"value": 1}, 0),
    ("atan", {"value": 0}, 0),
    ("atan2", {"y": 1, "x": 0}, math.pi / 2),
    ("sinh", {"value": 1000}, INF),
    ("sinh", {"value": -1000}, -INF),
    ("cosh", {"value": 0}, 1),
    ("tanh", {"value": 1000}, 1),
    ("to_radians", {"degrees": 180}, math.pi),
    ("to_degrees", {"radians": math.pi}, 180),
    ("add", {"a": 5, "b": 5, "clamp": True}, 1),
    ("add", {"a": -5, "b": 0, "clamp": True}, 0),
    ("multiply", {"a": 1e200, "b": 1e200, "clamp": True}, 1),
    ("logarithm", {"value": -1, "clamp": True}, NAN),
]


@pytest.mark.parametrize(("mode", "inputs", "result"), CASES)
def test_results(mode: str, inputs: dict[str, Any], result: float) -> None:
    """What JavaScript's numbers give, with the rules of the node's specification."""
    found = calculate(mode, inputs)
    assert found == pytest.approx(result, nan_ok=True, rel=1e-15)


def test_every_mode_is_tried() -> None:
    """The table above leaves none out."""
    assert {mode for mode, _, _ in CASES} == set(MATH_OPERATION.modes)
    assert len(MATH_OPERATION.modes) == 34


@pytest.mark.parametrize(
    ("mode", "inputs", "slot"),
    [
        ("divide", {"a": 1, "b": 0}, "b"),
        ("modulo", {"a": 1, "b": 0}, "b"),
        ("sqrt", {"value": -1}, "value"),
        ("inverse_sqrt", {"value": 0}, "value"),
        ("inverse_sqrt", {"value": -1}, "value"),
        ("add", {"a": "two"}, "a"),
        ("add", {"b": []}, "b"),
    ],
)
def test_errors_name_the_slot(mode: str, inputs: dict[str, Any], slot: str) -> None:
    """What is an error, and not NaN."""
    with pytest.raises(NodeFailure) as failure:
        calculate(mode, inputs)
    assert failure.value.slot == slot


def test_whole_numbers_go_out_without_a_fraction_and_nan_as_null() -> None:
    """As the protocol writes numbers."""
    assert dumps(calculate("add", {"a": 2, "b": 3.0})) == b"5"
    assert dumps(calculate("logarithm", {"value": -1})) == b"null"
    assert dumps(calculate("multiply", {"a": 1e200, "b": 1e200})) == b"null"
    assert json.loads(dumps(calculate("multiply", {"a": 2.0**60, "b": 1}))) == 2.0**60
