"""MatrixOperation: small linear algebra on nested lists, or their JSON."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tavernkeep import DataFlowType, NodeContext, NodeDefinition, NodeFailure, NodeMode, Slot
from tavernkeep.wire import Invalid, loads

_MODE_KEY: Final = "operationMode"
_DEFAULT_MODE: Final = "add"
_MOST_ITEMS: Final = 4_000_000  # of a matrix

Array = NDArray[np.float64]


def as_array(value: Any, slot: str, dimensions: tuple[int, ...] = (2,)) -> Array:
    """A matrix (or, where allowed, a vector or a number) of nested lists or their JSON.

    Raises:
        NodeFailure: It is none: rows of different lengths, items that are no numbers, nothing in it, or too much.
    """
    if isinstance(value, str):
        try:
            value = loads(value)
        except Invalid as invalid:
            raise NodeFailure(f"{slot}: {invalid}", slot=slot) from None
    try:
        array = np.array(value)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise NodeFailure(f"{slot} is no matrix: its rows have different lengths", slot=slot) from None
    if array.dtype.kind not in "iuf":
        raise NodeFailure(f"{slot} is no matrix: it holds what is no number", slot=slot)
    if array.ndim not in dimensions or (array.ndim and array.size == 0):
        raise NodeFailure(f"{slot} is no matrix: it has the shape {array.shape}", slot=slot)
    if array.size > _MOST_ITEMS:
        raise NodeFailure(f"{slot} has more than {_MOST_ITEMS} items", slot=slot)
    return array.astype(np.float64)


def _same_shape(inputs: dict[str, Any]) -> tuple[Array, Array]:
    a, b = as_array(inputs["a"], "a"), as_array(inputs["b"], "b")
    if a.shape != b.shape:
        raise NodeFailure(f"the shapes {a.shape} and {b.shape} differ", slot="b")
    return a, b


def _add(inputs: dict[str, Any]) -> Any:
    a, b = _same_shape(inputs)
    return a + b


def _subtract(inputs: dict[str, Any]) -> Any:
    a, b = _same_shape(inputs)
    return a - b


def _multiply(inputs: dict[str, Any]) -> Any:
    a, b = as_array(inputs["a"], "a", (0, 1, 2)), as_array(inputs["b"], "b", (0, 1, 2))
    if not a.ndim or not b.ndim:
        return a * b
    try:
        product = a @ b
    except ValueError:
        raise NodeFailure(f"the shapes {a.shape} and {b.shape} cannot be multiplied", slot="b") from None
    if np.size(product) > _MOST_ITEMS:
        raise NodeFailure(f"the product has more than {_MOST_ITEMS} items")
    return product


def _transpose(inputs: dict[str, Any]) -> Any:
    return as_array(inputs["matrix"], "matrix").T


def _square(inputs: dict[str, Any]) -> Array:
    matrix = as_array(inputs["matrix"], "matrix")
    if matrix.shape[0] != matrix.shape[1]:
        raise NodeFailure(f"the matrix is not square: its shape is {matrix.shape}", slot="matrix")
    return matrix


def _invert(inputs: dict[str, Any]) -> Any:
    try:
        return np.linalg.inv(_square(inputs))
    except np.linalg.LinAlgError:
        raise NodeFailure("the matrix is singular and has no inverse", slot="matrix") from None


def _det(inputs: dict[str, Any]) -> Any:
    return np.linalg.det(_square(inputs))


def _plain(value: Any) -> Any:
    """Numbers as the protocol writes them: whole ones without a fraction."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _executor(operation: Any) -> Any:
    def execute(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
        with np.errstate(all="ignore"):
            return {"result": _plain(np.asarray(operation(inputs), dtype=np.float64).tolist())}

    return execute


_MATRIX: Final = Slot(DataFlowType.OBJECT, display_name="Matrix", match_categories=("Matrix",), required=True)
_IDENTITY: Final = {"default": "[[1, 0], [0, 1]]"}
_PAIR: Final = {
    "a": Slot(DataFlowType.OBJECT, display_name="A", match_categories=("Matrix",), required=True, config=_IDENTITY),
    "b": Slot(DataFlowType.OBJECT, display_name="B", match_categories=("Matrix",), required=True, config=_IDENTITY),
}
_SINGLE: Final = {"matrix": _MATRIX}
_ANY_RESULT: Final = {"result": Slot(DataFlowType.WILDCARD, display_name="Result")}
_MATRIX_RESULT: Final = {"result": Slot(DataFlowType.OBJECT, display_name="Result", match_categories=("Matrix",))}
_NUMBER_RESULT: Final = {"result": Slot(DataFlowType.FLOAT, display_name="Result")}

_MODES: Final = {
    "add": NodeMode("add", _PAIR, _ANY_RESULT, _executor(_add)),
    "subtract": NodeMode("subtract", _PAIR, _ANY_RESULT, _executor(_subtract)),
    "multiply": NodeMode("multiply", _PAIR, _ANY_RESULT, _executor(_multiply)),
    "transpose": NodeMode("transpose", _SINGLE, _MATRIX_RESULT, _executor(_transpose)),
    "invert": NodeMode("invert", _SINGLE, _MATRIX_RESULT, _executor(_invert)),
    "det": NodeMode("det", _SINGLE, _NUMBER_RESULT, _executor(_det)),
}

MATRIX_OPERATION = NodeDefinition(
    type="MatrixOperation",
    category="数学",
    display_name="Matrix operation",
    description="Adds, subtracts, multiplies (matrices, vectors, numbers), transposes, inverts, or gives the determinant.",
    inputs=_PAIR,
    outputs=_ANY_RESULT,
    modes=_MODES,
    default_mode_id=_DEFAULT_MODE,
    mode_config_key=_MODE_KEY,
    config_schema={
        _MODE_KEY: Slot(
            DataFlowType.STRING,
            display_name="Operation",
            required=True,
            match_categories=("ComboOption",),
            config={"searchable": True, "suggestions": [{"value": mode} for mode in _MODES], "default": _DEFAULT_MODE},
        )
    },
    config_values={_MODE_KEY: _DEFAULT_MODE},
    deterministic=True,
)
