"""The arithmetic of MatrixOperation. Apart from its definition, as numpy takes memory and start-up time that most servers never need."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tavernkeep import NodeFailure
from tavernkeep.wire import Invalid, loads

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


_OPERATIONS: Final[Mapping[str, Callable[[dict[str, Any]], Any]]] = {
    "add": _add,
    "subtract": _subtract,
    "multiply": _multiply,
    "transpose": _transpose,
    "invert": _invert,
    "det": _det,
}


def compute(operation: str, inputs: dict[str, Any]) -> Any:
    """The result, as plain numbers or nested lists of them.

    Raises:
        NodeFailure: An operand is no matrix, or the shapes do not fit.
    """
    with np.errstate(all="ignore"):
        return _plain(np.asarray(_OPERATIONS[operation](inputs), dtype=np.float64).tolist())
