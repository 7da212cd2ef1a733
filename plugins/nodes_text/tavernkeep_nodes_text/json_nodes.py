"""JsonParse, JsonPath, JsonBuild."""

import functools
import json
from typing import TYPE_CHECKING, Any, Final

from tavernkeep import DataFlowType, NodeContext, NodeDefinition, NodeFailure, Slot, node
from tavernkeep.wire import Invalid, loads
from tavernkeep_nodes_text.numbered import CONFIG, CONFIG_VALUES, COUNT, SHOWN, modes_of, named

if TYPE_CHECKING:
    from jsonpath import JSONPathEnvironment

CATEGORY: Final = "Text"
_T = DataFlowType
_MOST_FOUND: Final = 100_000


@functools.cache
def _environment() -> "JSONPathEnvironment":
    from jsonpath import JSONPathEnvironment  # late, as it would hold up the start of every server

    environment = JSONPathEnvironment(strict=True)
    for name in ("match", "search"):  # patterns without a time limit
        environment.function_extensions.pop(name, None)
    return environment


def as_value(value: Any, slot: str) -> Any:
    """A value; of a text, what its JSON says.

    Raises:
        NodeFailure: It is a text and no JSON.
    """
    try:
        return loads(value) if isinstance(value, str) else value
    except Invalid as invalid:
        raise NodeFailure(f"{slot}: {invalid}", slot=slot) from None


@node("text:JsonParse", category=CATEGORY, display_name="JSON parse", output="value", inline=True)
def json_parse(text: str) -> Any:
    """Read a JSON text."""
    return as_value(text, "text")


@node(
    "text:JsonPath",
    category=CATEGORY,
    display_name="JSON path",
    outputs={
        "values": Slot(_T.ARRAY, description="All that was found."),
        "value": Slot(_T.WILDCARD, description="The first; null for none."),
    },
)
def json_path(data: Any, path: str = "$") -> dict[str, Any]:
    """Find values in JSON by a path of RFC 9535, such as `$.items[?@.price < 10].name`."""
    from jsonpath.exceptions import JSONPathError

    value = as_value(data, "data")
    try:
        query = _environment().compile(path)
        found: list[Any] = []
        for match in query.finditer(value if isinstance(value, (dict, list)) else [value]):
            found.append(match.obj)
            if len(found) > _MOST_FOUND:
                raise NodeFailure(f"the path finds more than {_MOST_FOUND} values", slot="path")
    except JSONPathError as error:
        raise NodeFailure(f"path: {' '.join(error.args[0].split())}", slot="path") from None
    except RecursionError:
        raise NodeFailure("the data is nested too deeply", slot="data") from None
    return {"values": found, "value": found[0] if found else None}


def json_build(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """An object of the inputs by their names, over the fields of `base`."""
    base = as_value(inputs.get("base") or {}, "base")
    if not isinstance(base, dict):
        raise NodeFailure("base must be an object", slot="base")
    value = {**base, **named(inputs, context.config, _BUILD_INPUTS)}
    try:
        text = json.dumps(value, ensure_ascii=False, indent=2 if context.config.get("indent") else None)
    except (TypeError, ValueError, RecursionError) as error:
        raise NodeFailure(f"an input is no JSON: {error}") from None
    return {"value": value, "text": text}


_BUILD_INPUTS: Final = {"base": Slot(_T.OBJECT, description="Fields to begin with.", match_categories=("Json",))}
_BUILD_OUTPUTS: Final = {"value": Slot(_T.OBJECT), "text": Slot(_T.STRING, match_categories=("Json",))}
_BUILD_MODES: Final = modes_of(_BUILD_INPUTS, _BUILD_OUTPUTS)
JSON_BUILD = NodeDefinition(
    type="JsonBuild",
    namespace="text",
    category=CATEGORY,
    display_name="JSON build",
    description="Makes an object of its inputs, each under its own name. Connect any.",
    dynamic_slots=True,
    inputs=_BUILD_MODES[SHOWN].inputs,
    outputs=_BUILD_OUTPUTS,
    modes=_BUILD_MODES,
    default_mode_id=SHOWN,
    mode_config_key=COUNT,
    config_schema={
        **CONFIG,
        "indent": Slot(_T.BOOLEAN, display_name="Indent 缩进", description="Write the text over several lines.", config={"default": False}),
    },
    config_values={**CONFIG_VALUES, "indent": False},
    execute=json_build,
    inline=True,
)
