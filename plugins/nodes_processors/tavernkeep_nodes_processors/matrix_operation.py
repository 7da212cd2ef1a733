"""MatrixOperation: small linear algebra on nested lists, or their JSON."""

from typing import Any, Final

from tavernkeep import DataFlowType, NodeContext, NodeDefinition, NodeMode, Slot
from tavernkeep.contracts.nodes import Execute
from tavernkeep_nodes_processors.modes import choice_of

_MODE_KEY: Final = "operationMode"
_DEFAULT_MODE: Final = "add"


def _executor(operation: str) -> Execute:
    def execute(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
        from tavernkeep_nodes_processors import matrices

        return {"result": matrices.compute(operation, inputs)}

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
    "add": NodeMode("add", _PAIR, _ANY_RESULT, _executor("add")),
    "subtract": NodeMode("subtract", _PAIR, _ANY_RESULT, _executor("subtract")),
    "multiply": NodeMode("multiply", _PAIR, _ANY_RESULT, _executor("multiply")),
    "transpose": NodeMode("transpose", _SINGLE, _MATRIX_RESULT, _executor("transpose")),
    "invert": NodeMode("invert", _SINGLE, _MATRIX_RESULT, _executor("invert")),
    "det": NodeMode("det", _SINGLE, _NUMBER_RESULT, _executor("det")),
}

_LABELS: Final = {
    "add": "Add 加",
    "subtract": "Subtract 减",
    "multiply": "Multiply 乘",
    "transpose": "Transpose 转置",
    "invert": "Invert 求逆",
    "det": "Determinant 行列式",
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
    config_schema={_MODE_KEY: choice_of(_LABELS, _DEFAULT_MODE)},
    config_values={_MODE_KEY: _DEFAULT_MODE},
    deterministic=True,
)
