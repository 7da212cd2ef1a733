"""TestWidgets: one input of every kind an editor can show, each given back as an output."""

from typing import Any, Final

from tavernkeep import DataFlowType, NodeContext, NodeDefinition, Slot, choices
from tavernkeep_nodes_utility.text import CATEGORY

_T = DataFlowType


# The default texts are what saved workflows and the editor's own tests expect.
_MARKDOWN: Final = '# 标题\n\n这是一段*Markdown*文本，包含一个[链接](https://example.com)。\n\n```python\nprint("Hello")\n```'
_SCRIPT: Final = 'function greet(name) {\n  console.log(`Hello, ${name}!`);\n}\ngreet("World");'

_INPUTS: Final = {
    "string_input": Slot(_T.STRING, required=True, config={"default": "这是默认文本", "multiline": False}),
    "text_input": Slot(
        _T.STRING,
        required=True,
        match_categories=("UiBlock", "CanPreview"),
        config={"default": "这是默认的\n多行文本", "multiline": True},
    ),
    "markdown_input": Slot(
        _T.STRING,
        match_categories=("Markdown", "CanPreview", "UiBlock"),
        config={"default": _MARKDOWN, "multiline": True, "languageHint": "markdown"},
    ),
    "int_input": Slot(_T.INTEGER, required=True, config={"default": 10, "min": 0, "max": 100, "step": 1}),
    "float_input": Slot(_T.FLOAT, required=True, config={"default": 0.5, "min": 0, "max": 1, "step": 0.01}),
    "boolean_toggle": Slot(_T.BOOLEAN, required=True, config={"default": True}),
    "combo_select": Slot(
        _T.STRING,
        required=True,
        match_categories=("ComboOption",),
        config={"default": "选项A", "suggestions": choices(("选项A", "选项B", "选项C"))},
    ),
    "json_input": Slot(
        _T.OBJECT,
        match_categories=("Json", "CanPreview", "UiBlock"),
        config={"default": {"name": "咕咕", "type": "猫头鹰娘", "skill": "智慧"}},
    ),
    "javascript_code_input": Slot(
        _T.STRING,
        match_categories=("Code", "JavaScript", "CanPreview"),
        config={"default": _SCRIPT, "languageHint": "javascript"},
    ),
    "string_with_suggestions": Slot(_T.STRING, config={"default": "默认值", "suggestions": choices(("预设A", "预设B", "另一个预设"))}),
    "int_with_suggestions": Slot(
        _T.INTEGER,
        config={"default": 512, "min": 64, "max": 4096, "step": 64, "suggestions": choices((256, 512, 1024, 2048))},
    ),
    "float_with_suggestions": Slot(
        _T.FLOAT, config={"default": 7.5, "min": 0, "max": 15, "step": 0.5, "suggestions": choices((1, 5, 7.5, 10, 12.5))}
    ),
    "button_trigger": Slot(_T.WILDCARD, match_categories=("Trigger",), config={"label": "Press 按下"}),
}
_OUTPUTS: Final = {
    "string_output": ("string_input", Slot(_T.STRING)),
    "text_output": ("text_input", Slot(_T.STRING)),
    "markdown_output": ("markdown_input", Slot(_T.STRING, match_categories=("Markdown",))),
    "int_output": ("int_input", Slot(_T.INTEGER)),
    "float_output": ("float_input", Slot(_T.FLOAT)),
    "boolean_output": ("boolean_toggle", Slot(_T.BOOLEAN)),
    "combo_output": ("combo_select", Slot(_T.STRING)),
    "json_output": ("json_input", Slot(_T.OBJECT, match_categories=("Json",))),
    "javascript_code_output": ("javascript_code_input", Slot(_T.STRING, match_categories=("Code", "JavaScript"))),
    "string_with_suggestions_output": ("string_with_suggestions", Slot(_T.STRING)),
    "int_with_suggestions_output": ("int_with_suggestions", Slot(_T.INTEGER)),
    "float_with_suggestions_output": ("float_with_suggestions", Slot(_T.FLOAT)),
}


def test_widgets(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Give each input back."""
    return {output: inputs[source] for output, (source, _) in _OUTPUTS.items() if source in inputs}


TEST_WIDGETS = NodeDefinition(
    type="TestWidgets",
    category=CATEGORY,
    display_name="Test widgets",
    description="One input of every kind, each given back: for trying an editor.",
    inputs=_INPUTS,
    outputs={key: slot for key, (_, slot) in _OUTPUTS.items()},
    execute=test_widgets,
    inline=True,
)
