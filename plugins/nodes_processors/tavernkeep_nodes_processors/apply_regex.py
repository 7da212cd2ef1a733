"""ApplyRegex: replaces by rules whose patterns, flags and replacements are JavaScript's."""

from collections.abc import Iterable
from typing import Any, Final

from tavernkeep import DataFlowType, NodeContext, NodeDefinition, NodeFailure, Slot
from tavernkeep.wire import describe
from tavernkeep_nodes_processors.javascript import PatternError, RegexEngine, TooMuch

_LONGEST: Final = 16 * 1024 * 1024  # characters of a text
_FLAGS: Final = frozenset("gimsuy")
_OFF: Final = ("false", "0", "no", "off")


def rules_of(*sources: Any, warn: Any) -> list[dict[str, Any]]:
    """The rules that apply, in order: enabled ones, each name once, without those that are no rules."""
    rules: dict[str, dict[str, Any]] = {}
    for given in _listed(sources):
        rule = _read(given)
        problem = _problem(rule)
        if problem is not None:
            warn("left out a regex rule", problem=problem)
        elif rule["name"] in rules:
            warn("left out a regex rule", problem=f"there is another one called {rule['name']!r}")
        else:
            rules[rule["name"]] = rule
    return [rule for rule in rules.values() if _enabled(rule.get("enabled"))]


def _read(given: Any) -> Any:
    """A rule whose texts may have been written as numbers, as YAML has them."""
    if not isinstance(given, dict):
        return given
    numbers = {key: str(given[key]) for key in ("name", "pattern", "replacement") if type(given.get(key)) in (int, float)}
    return {**given, **numbers}


def _enabled(value: Any) -> bool:
    """Whether a rule is on, which it is when nothing is said; `0` and texts are read too."""
    return value is None or (value.strip().lower() not in _OFF if isinstance(value, str) else bool(value))


def _listed(sources: Iterable[Any]) -> Iterable[Any]:
    for source in sources:
        if isinstance(source, list):
            yield from source
        elif source is not None:
            yield source


def _problem(rule: Any) -> str | None:
    if not isinstance(rule, dict):
        return f"it is {describe(rule)}"
    for key in ("name", "pattern", "replacement"):
        if not isinstance(rule.get(key), str):
            return f"its {key} is {describe(rule[key])}" if key in rule else f"it has no {key}"
    flags = rule.get("flags", "")
    if flags is not None and (not isinstance(flags, str) or not _FLAGS.issuperset(flags)):
        return f"its flags are {flags!r}; there are {''.join(sorted(_FLAGS))}"
    trimmed = rule.get("trimStrings") or []
    if not isinstance(trimmed, list) or not all(isinstance(text, str) for text in trimmed):
        return f"its trimStrings are {describe(trimmed)}; a list of texts was expected"
    return None


def apply_regex(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Apply each rule in turn; without flags, the first match alone is replaced."""
    text = inputs["inputText"]
    text = text if isinstance(text, str) else str(text)
    rules = rules_of(inputs.get("inlineRegexRules"), inputs.get("regexRules"), warn=context.log.warning)
    engine = RegexEngine()
    for rule in rules:
        if context.cancelled:
            break
        try:
            text = engine.replace(text, rule["pattern"], rule.get("flags") or "", rule["replacement"], rule.get("trimStrings") or [])
        except TooMuch as error:
            raise NodeFailure(f"rule {rule['name']!r} {error}", slot="regexRules") from None
        except PatternError as error:
            raise NodeFailure(f"rule {rule['name']!r} has a pattern that is none: {error}", slot="regexRules") from None
        if len(text) > _LONGEST:
            raise NodeFailure(f"rule {rule['name']!r} makes the text longer than {_LONGEST} characters", slot="regexRules")
    return {"outputText": text}


_RULES: Final = ("RegexRuleArray",)
APPLY_REGEX = NodeDefinition(
    type="ApplyRegex",
    category="Processors",
    display_name="Apply regex",
    description="Replaces parts of a text by rules: patterns, flags and replacements are JavaScript's. Inline rules go first.",
    width=300,
    inputs={
        "inputText": Slot(DataFlowType.STRING, display_name="Text", required=True),
        "inlineRegexRules": Slot(
            DataFlowType.ARRAY,
            display_name="Inline rules",
            match_categories=_RULES,
            config={"defaultValue": []},
            actions=(
                {
                    "id": "edit_inline_rules",
                    "icon": "ListBulletIcon",
                    "tooltip": "Edit the rules",
                    "handlerType": "open_panel",
                    "handlerArgs": {"panelId": "RegexEditorModal"},
                },
            ),
        ),
        "regexRules": Slot(DataFlowType.ARRAY, display_name="Rules", match_categories=_RULES),
    },
    outputs={"outputText": Slot(DataFlowType.STRING, display_name="Text")},
    execute=apply_regex,
    deterministic=True,
)
