"""Template: a text from a Jinja template, in a sandbox, in a process of its own that is ended when it takes too long."""

from collections.abc import Mapping
from typing import Any, Final

from jinja2 import StrictUndefined
from jinja2.exceptions import SecurityError, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tavernkeep import DataFlowType, NodeContext, NodeDefinition, NodeFailure, Policy, Slot
from tavernkeep.wire import describe
from tavernkeep_nodes_text.numbered import CONFIG, CONFIG_VALUES, COUNT, SHOWN, modes_of, named

_LONGEST: Final = 4 * 1024 * 1024  # characters that a template makes
_TIMEOUT_S: Final = 10.0


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, with a bound for what multiplication and powers make."""

    intercepted_binops = frozenset(["*", "**", "%"])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and (abs(right) > 1000 or abs(left) > 1e9):
            raise SecurityError("the power is too large")
        sizes = [len(side) if isinstance(side, (str, list, tuple)) else side for side in (left, right)]
        if (
            operator == "*"
            and isinstance(left, (str, list, tuple)) is not isinstance(right, (str, list, tuple))
            and sizes[0] * sizes[1] > _LONGEST
        ):
            raise SecurityError("the product is too long")
        if operator == "%" and isinstance(left, str):
            raise SecurityError("% does not format texts here; use the filter `format` or ~")
        return super().call_binop(context, operator, left, right)


def render(template: str, values: Mapping[str, Any]) -> str:
    """A template with its values put in.

    Raises:
        NodeFailure: The template is wrong, a value is missing, or it does what it must not; the message names the line.
    """
    pieces, length = [], 0
    try:
        made = _Sandbox(undefined=StrictUndefined, keep_trailing_newline=True).from_string(template)
        for piece in made.generate(values):
            length += len(piece)
            if length > _LONGEST:
                raise NodeFailure(f"the template makes more than {_LONGEST} characters", slot="template")
            pieces.append(piece)
    except TemplateSyntaxError as error:
        raise NodeFailure(f"line {error.lineno} of the template: {error.message}", slot="template") from None
    except TemplateError as error:
        raise NodeFailure(f"the template: {error.message}", slot="template") from None
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError, MemoryError) as error:
        raise NodeFailure(f"the template: {type(error).__name__}: {error}", slot="template") from None
    return "".join(pieces)


def template(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Render the template with the fields of `values`, and any further inputs under their own names."""
    values = inputs.get("values") or {}
    if not isinstance(values, dict):
        raise NodeFailure(f"values must be an object, not {describe(values)}", slot="values")
    return {"text": render(str(inputs["template"]), {**values, **named(inputs, context.config, _INPUTS)})}


_INPUTS: Final = {
    "template": Slot(
        DataFlowType.STRING,
        required=True,
        match_categories=("Prompt",),
        config={"default": "", "multiline": True, "placeholder": "Hello {{ value_0 }}!"},
    ),
    "values": Slot(DataFlowType.OBJECT, description="Its fields may be used by their names.", match_categories=("Json",)),
}
_OUTPUTS: Final = {"text": Slot(DataFlowType.STRING)}
_MODES: Final = modes_of(_INPUTS, _OUTPUTS)


TEMPLATE = NodeDefinition(
    type="Template",
    namespace="text",
    category="Text",
    display_name="Template",
    description="Makes a text from a Jinja template, in a sandbox. Any further input may be used by its name.",
    dynamic_slots=True,
    inputs=_MODES[SHOWN].inputs,
    outputs=_OUTPUTS,
    modes=_MODES,
    default_mode_id=SHOWN,
    mode_config_key=COUNT,
    config_schema=CONFIG,
    config_values=CONFIG_VALUES,
    process="tavernkeep_nodes_text.template:template",
    policy=Policy(timeout_s=_TIMEOUT_S),
    deterministic=True,
)
