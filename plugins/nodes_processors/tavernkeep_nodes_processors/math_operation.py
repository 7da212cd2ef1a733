"""MathOperation: one node, a mode for each operation.

Numbers are IEEE doubles, as in the workflows' own language, JavaScript: an overflow is infinite and a value outside a function's domain
is NaN, unless an operation says that it is an error.
"""

import math
from collections.abc import Callable
from typing import Any, Final

from tavernkeep import DataFlowType, NodeContext, NodeDefinition, NodeFailure, NodeMode, Slot
from tavernkeep_nodes_processors.modes import choice_of

_MODE_KEY: Final = "operationMode"
_DEFAULT_MODE: Final = "add"
_EXACT: Final = 2**53  # integral doubles below this are exact, and are sent without a fraction


def _divide(a: float, b: float) -> float:
    if b == 0:
        raise NodeFailure("division by zero", slot="b")
    return a / b


def _power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -math.inf if base < 0 and exponent % 2 == 1 else math.inf
    except ValueError:
        return math.inf if base == 0 else math.nan


def _logarithm(value: float, base: float) -> float:
    if value <= 0 or base <= 0 or base == 1:
        return math.nan
    return math.log(value) / math.log(base)


def _sqrt(value: float) -> float:
    if value < 0:
        raise NodeFailure(f"square root of a negative number ({value:g})", slot="value")
    return math.sqrt(value)


def _inverse_sqrt(value: float) -> float:
    if value == 0:
        raise NodeFailure("division by zero", slot="value")
    return 1 / _sqrt(value)


def _modulo(a: float, b: float) -> float:
    if b == 0:
        raise NodeFailure("modulo by zero", slot="b")
    return math.fmod(a, b)


def _sign(value: float) -> float:
    return value if math.isnan(value) or value == 0 else math.copysign(1, value)


def _round(value: float) -> int:
    whole = math.floor(value)
    return whole + (value - whole >= 0.5)


def _sinh(value: float) -> float:
    return math.sinh(value) if abs(value) < 710 else math.copysign(math.inf, value)


def _whole(function: Callable[[float], int]) -> Callable[[float], float]:
    return lambda value: function(value) if math.isfinite(value) else value


Operation = tuple[dict[str, float | None], Callable[..., float]]


def _one(function: Callable[[float], float], slot: str = "value") -> Operation:
    return {slot: None}, function


def _two(function: Callable[[float, float], float]) -> Operation:
    return {"a": None, "b": None}, function


# For each mode: its inputs with their defaults, in the order in which the function takes them.
_OPERATIONS: Final[dict[str, Operation]] = {
    "add": _two(lambda a, b: a + b),
    "subtract": _two(lambda a, b: a - b),
    "multiply": _two(lambda a, b: a * b),
    "multiply_add": ({"val1": None, "val2": None, "val3": None}, lambda a, b, c: a * b + c),
    "divide": _two(_divide),
    "power": ({"base": None, "exponent": 2}, _power),
    "logarithm": ({"value": 1, "base": math.e}, _logarithm),
    "sqrt": _one(_sqrt),
    "inverse_sqrt": _one(_inverse_sqrt),
    "absolute": _one(abs),
    "exp": _one(math.exp),
    "min": _two(lambda a, b: math.nan if math.isnan(a + b) and not math.isinf(a) else min(a, b)),
    "max": _two(lambda a, b: math.nan if math.isnan(a + b) and not math.isinf(a) else max(a, b)),
    "lessThan": _two(lambda a, b: float(a < b)),
    "greaterThan": _two(lambda a, b: float(a > b)),
    "sign": _one(_sign),
    "round": _one(_whole(_round)),
    "floor": _one(_whole(math.floor)),
    "ceil": _one(_whole(math.ceil)),
    "truncate": _one(_whole(math.trunc)),
    "fraction": _one(lambda value: value - math.floor(value)),
    "modulo": _two(_modulo),
    "sin": _one(math.sin),
    "cos": _one(math.cos),
    "tan": _one(math.tan),
    "asin": _one(math.asin),
    "acos": _one(math.acos),
    "atan": _one(math.atan),
    "atan2": ({"y": None, "x": None}, math.atan2),
    "sinh": _one(_sinh),
    "cosh": _one(math.cosh),
    "tanh": _one(math.tanh),
    "to_radians": _one(math.radians, "degrees"),
    "to_degrees": _one(math.degrees, "radians"),
}


def as_number(value: Any, slot: str) -> float:
    """A number of what came in: numbers as they are, `null` as 0, truth values as 1 and 0, texts as they are written.

    Raises:
        NodeFailure: It is none of these.
    """
    if value is None or value == "":
        return 0.0
    try:
        if isinstance(value, (int, float, str)):
            return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)
    except ValueError:
        pass
    raise NodeFailure(f"{slot} must be a number, not {value!r:.100}", slot=slot)


def calculate(mode: str, inputs: dict[str, Any]) -> float:
    """The result of an operation.

    Raises:
        NodeFailure: For what is an error and not NaN: division and modulo by zero, roots of negative numbers, an input that is no number.
    """
    slots, function = _OPERATIONS[mode]
    numbers = [as_number(inputs.get(slot, default), slot) for slot, default in slots.items()]
    try:
        result = float(function(*numbers))
    except OverflowError:
        result = math.inf
    except ValueError:
        result = math.nan
    if inputs.get("clamp") and not math.isnan(result):
        result = min(max(result, 0.0), 1.0)
    return int(result) if result.is_integer() and abs(result) < _EXACT else result


def _executor(mode: str) -> Callable[[dict[str, Any], NodeContext], dict[str, Any]]:
    return lambda inputs, context: {"result": calculate(mode, inputs)}


def _mode(mode: str) -> NodeMode:
    slots, _ = _OPERATIONS[mode]
    inputs = {
        key: Slot(DataFlowType.FLOAT, required=True, config={} if default is None else {"default": default})
        for key, default in slots.items()
    }
    clamp = Slot(DataFlowType.BOOLEAN, display_name="Clamp to 0–1", config={"default": False})
    return NodeMode(mode, inputs | {"clamp": clamp}, {"result": Slot(DataFlowType.FLOAT)}, _executor(mode))


_MODES: Final = {mode: _mode(mode) for mode in _OPERATIONS}

_GROUPS: Final = {
    "Arithmetic 算术": {
        "add": "Add 加",
        "subtract": "Subtract 减",
        "multiply": "Multiply 乘",
        "multiply_add": "Multiply and add 乘加",
        "divide": "Divide 除",
        "power": "Power 幂",
        "logarithm": "Logarithm 对数",
        "sqrt": "Square root 平方根",
        "inverse_sqrt": "Inverse square root 平方根倒数",
        "absolute": "Absolute value 绝对值",
        "exp": "Exponential 指数",
    },
    "Comparison 比较": {
        "min": "Minimum 最小值",
        "max": "Maximum 最大值",
        "lessThan": "Less than 小于",
        "greaterThan": "Greater than 大于",
        "sign": "Sign 符号",
    },
    "Rounding 取整": {
        "round": "Round 四舍五入",
        "floor": "Floor 向下取整",
        "ceil": "Ceiling 向上取整",
        "truncate": "Truncate 截断",
        "fraction": "Fraction 小数部分",
        "modulo": "Modulo 取模",
    },
    "Trigonometry 三角": {
        "sin": "Sine 正弦",
        "cos": "Cosine 余弦",
        "tan": "Tangent 正切",
        "asin": "Arcsine 反正弦",
        "acos": "Arccosine 反余弦",
        "atan": "Arctangent 反正切",
        "atan2": "Arctangent of two 反正切2",
        "sinh": "Hyperbolic sine 双曲正弦",
        "cosh": "Hyperbolic cosine 双曲余弦",
        "tanh": "Hyperbolic tangent 双曲正切",
    },
    "Conversion 换算": {
        "to_radians": "To radians 转弧度",
        "to_degrees": "To degrees 转角度",
    },
}
_LABELS: Final = {mode: f"{group}/{name}" for group, names in _GROUPS.items() for mode, name in names.items()}

MATH_OPERATION = NodeDefinition(
    type="MathOperation",
    category="数学",
    display_name="Math operation",
    description="Computes with one to three numbers; the operation is chosen in the node's configuration.",
    inputs=_MODES[_DEFAULT_MODE].inputs,
    outputs=_MODES[_DEFAULT_MODE].outputs,
    modes=_MODES,
    default_mode_id=_DEFAULT_MODE,
    mode_config_key=_MODE_KEY,
    config_schema={_MODE_KEY: choice_of(_LABELS, _DEFAULT_MODE)},
    config_values={_MODE_KEY: _DEFAULT_MODE},
    inline=True,
)
