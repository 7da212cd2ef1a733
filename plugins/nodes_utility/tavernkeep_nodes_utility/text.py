"""TextMerge: joins texts."""

import json
import re
from typing import Any, Final

from tavernkeep import DataFlowType, NodeContext, NodeDefinition, Slot

CATEGORY: Final = "实用工具"  # what saved workflows and editors know the category as
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


def unescape(text: str) -> str:
    r"""A text with `\n`, `\t`, `\r` and `\\` put in place; any other backslash stays.

    >>> unescape(r"a\nb\q")
    'a\nb\\q'
    """
    return re.sub(r"\\([ntr\\])", lambda match: _ESCAPES[match[1]], text)


def as_text(value: Any) -> str:
    """A value as a person would write it: texts as they are, `null` as nothing, everything else as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def text_merge(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Join the texts with the separator."""
    separator = unescape(as_text(inputs["separator"]))
    return {"merged_text": separator.join(map(as_text, inputs["text_inputs"]))}


TEXT_MERGE = NodeDefinition(
    type="TextMerge",
    category=CATEGORY,
    display_name="Text merge",
    description=r"Joins texts, in order, with a separator; \n, \t and \\ in it stand for a line break, a tab and a backslash.",
    inputs={
        "separator": Slot(DataFlowType.STRING, display_name="Separator", config={"default": "\\n", "multiline": False}),
        "text_inputs": Slot(DataFlowType.STRING, display_name="Texts", required=True, multi=True, match_categories=("UiBlock",)),
    },
    outputs={"merged_text": Slot(DataFlowType.STRING, display_name="Text")},
    execute=text_merge,
    inline=True,
)
