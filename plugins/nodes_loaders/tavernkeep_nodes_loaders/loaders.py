"""CharacterCardLoader, HistoryLoader, PresetLoader, RegexRuleLoader, WorldBookLoader: each reads the file that its configuration names."""

from typing import Any, Final

from tavernkeep import DataFlowType, NodeContext, NodeDefinition, NodeFailure, Slot, choices
from tavernkeep.wire import describe
from tavernkeep_characters.contracts import CardError, Cards
from tavernkeep_files.contracts import Files, PathError
from tavernkeep_nodes_loaders.formats import parse
from tavernkeep_nodes_loaders.scripts import rules_in

CATEGORY: Final = "Loaders"

_MAX_BYTES: Final = 32 * 1024 * 1024


async def _read(context: NodeContext, key: str) -> tuple[bytes, str]:
    """The content and the name of the file that a configuration value names, as the running user may read it."""
    path = context.config.get(key)
    if not isinstance(path, str) or not path:
        raise NodeFailure(f"choose a file ({key} is not set)")
    try:
        return await context.service(Files).read(path, context.user, _MAX_BYTES), path
    except PathError as error:
        raise NodeFailure(str(error)) from None


async def _parsed(context: NodeContext, key: str) -> tuple[Any, str]:
    data, path = await _read(context, key)
    return parse(data, path), path


def _expect(value: Any, kind: type, path: str, what: str) -> Any:
    if not isinstance(value, kind):
        raise NodeFailure(f"{path} is no {what}: it holds {describe(value)}")
    return value


async def load_character(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """The character's own fields, of a card of any version in JSON, a picture or an archive."""
    data, path = await _read(context, "cardResource")
    try:
        return {"characterData": context.service(Cards).character(data)}
    except CardError as error:
        raise NodeFailure(f"{path}: {error}") from None


async def load_history(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """The messages of a history: a list, or an object with `messages`."""
    history, path = await _parsed(context, "historyResource")
    if isinstance(history, dict):
        history = history.get("messages")
    return {"historyMessages": _expect(history, list, path, "history")}


async def load_preset(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """A preset, an object."""
    preset, path = await _parsed(context, "presetResource")
    return {"presetData": _expect(preset, dict, path, "preset")}


async def load_rules(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Regex rules, or SillyTavern's scripts made into rules."""
    rules, path = await _parsed(context, "ruleResource")
    return {"regexRules": rules_in(rules, path)}


async def load_world_book(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """A world book, an object with `entries`."""
    book, path = await _parsed(context, "worldBookResource")
    return {"worldBookData": _expect(book, dict, path, "world book")}


def _loader(
    type_: str, name: str, description: str, key: str, kinds: tuple[str, ...], output: tuple[str, Slot], execute: Any
) -> NodeDefinition:
    resource = Slot(
        DataFlowType.STRING,
        display_name="File",
        required=True,
        match_categories=("ResourceId", "FilePath"),
        config={"acceptedTypes": choices(kinds)},
    )
    return NodeDefinition(
        type=type_,
        category=CATEGORY,
        display_name=name,
        description=description,
        width=300,
        config_schema={key: resource},
        outputs=dict([output]),
        execute=execute,
    )


_T = DataFlowType

NODES: Final = [
    _loader(
        "CharacterCardLoader",
        "Character card",
        "Reads a character card of version 1, 2 or 3: JSON, a picture (PNG, JPEG, WebP) or a charx archive.",
        "cardResource",
        ("json", "png"),
        ("characterData", Slot(_T.OBJECT, display_name="Character", match_categories=("CharacterProfile",))),
        load_character,
    ),
    _loader(
        "HistoryLoader",
        "History",
        "Reads the messages of a chat.",
        "historyResource",
        ("json",),
        ("historyMessages", Slot(_T.ARRAY, display_name="Messages", match_categories=("ChatHistory",))),
        load_history,
    ),
    _loader(
        "PresetLoader",
        "Preset",
        "Reads a preset.",
        "presetResource",
        ("json",),
        ("presetData", Slot(_T.OBJECT, display_name="Preset")),
        load_preset,
    ),
    _loader(
        "RegexRuleLoader",
        "Regex rules",
        "Reads rules for ApplyRegex, SillyTavern's scripts too.",
        "ruleResource",
        ("json", "yaml"),
        ("regexRules", Slot(_T.ARRAY, display_name="Rules")),
        load_rules,
    ),
    _loader(
        "WorldBookLoader",
        "World book",
        "Reads a world book for ContextBuilder.",
        "worldBookResource",
        ("json", "yaml"),
        ("worldBookData", Slot(_T.OBJECT, display_name="World book")),
        load_world_book,
    ),
]
