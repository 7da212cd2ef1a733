"""CharacterCardLoader, HistoryLoader, PresetLoader, RegexRuleLoader, WorldBookLoader.

Each reads the file that its configuration names, and has a twin in `library` that reads the one whose path comes in.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from tavernkeep import DataFlowType, NodeContext, NodeDefinition, NodeFailure, Slot, choices
from tavernkeep.wire import describe
from tavernkeep_characters.contracts import CardError, Cards
from tavernkeep_chat.contracts import ChatError, Chats
from tavernkeep_files.contracts import Files, PathError
from tavernkeep_nodes_loaders.formats import parse
from tavernkeep_nodes_loaders.scripts import rules_in

_log = structlog.get_logger(__name__)

CATEGORY: Final = "Loaders"

_MAX_BYTES: Final = 32 * 1024 * 1024
_T = DataFlowType


Load = Callable[[str, NodeContext], Awaitable[Any]]


async def _read(path: str, context: NodeContext) -> bytes:
    """The content of a file, as the running user may read it."""
    try:
        return await context.service(Files).read(path, context.user, _MAX_BYTES)
    except PathError as error:
        raise NodeFailure(str(error)) from None


async def _parsed(path: str, context: NodeContext) -> Any:
    return parse(await _read(path, context), path)


def _expect(value: Any, kind: type, path: str, what: str) -> Any:
    if not isinstance(value, kind):
        raise NodeFailure(f"{path} is no {what}: it holds {describe(value)}")
    return value


async def load_character(path: str, context: NodeContext) -> Any:
    """The character's own fields, of a card of any version in JSON, a picture or an archive."""
    data = await _read(path, context)
    try:
        return context.service(Cards).character(data)
    except CardError as error:
        raise NodeFailure(f"{path}: {error}") from None


async def load_history(path: str, context: NodeContext) -> Any:
    """The messages of a history: a list, or an object with `messages`; of SillyTavern's chats (`.jsonl`) those that are not hidden."""
    if path.lower().endswith(".jsonl"):
        data = await _read(path, context)
        try:
            chat = await asyncio.to_thread(context.service(Chats).read, data)
        except ChatError as error:
            raise NodeFailure(f"{path} is no chat: {error}") from None
        if chat.problems:
            _log.warning("a chat is not read whole", file=path, problems=list(chat.problems[:20]))
        return [dict(message) for message in chat.conversation]
    history = await _parsed(path, context)
    if isinstance(history, dict):
        history = history.get("messages")
    return _expect(history, list, path, "history")


async def load_preset(path: str, context: NodeContext) -> Any:
    """A preset, an object."""
    return _expect(await _parsed(path, context), dict, path, "preset")


async def load_rules(path: str, context: NodeContext) -> Any:
    """Regex rules, or SillyTavern's scripts made into rules."""
    return rules_in(await _parsed(path, context), path)


async def load_world_book(path: str, context: NodeContext) -> Any:
    """A world book, an object with `entries`; of a card its own."""
    return book_in(_expect(await _parsed(path, context), dict, path, "world book"), path)


def book_in(found: dict[str, Any], path: str) -> dict[str, Any]:
    """The world book that an object is, or that a card holds.

    Raises:
        NodeFailure: It is something else; the message says what it holds.
    """
    for place in (found, found.get("character_book"), data.get("character_book") if isinstance(data := found.get("data"), dict) else None):
        if isinstance(place, dict) and "entries" in place:
            return place
    raise NodeFailure(f"{path} is no world book: it has no entries, and holds {', '.join(map(str, list(found)[:5]))[:200] or 'nothing'}")


def _loaders(
    type_: str, name: str, description: str, key: str, kinds: tuple[str, ...], output: tuple[str, Slot], load: Load
) -> list[NodeDefinition]:
    """The loader whose file is chosen in its configuration, and the one to which a path flows."""
    slot_key, slot = output
    nothing: Any = [] if slot.data_flow_type is _T.ARRAY else {}
    categories = ("ResourceId", "FilePath")
    files = {"acceptedTypes": choices({kind: kind.upper() for kind in kinds}), "placeholder": "user://… or shared://…"}
    file = Slot(
        _T.STRING, display_name="File 文件", description="The file to read.", required=True, match_categories=categories, config=files
    )

    async def chosen(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
        path = context.config.get(key)
        if not isinstance(path, str) or not path:
            raise NodeFailure(f"choose a file ({key} is not set)")
        return {slot_key: await load(path, context)}

    async def given(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
        path = inputs.get("path")
        if path is not None and not isinstance(path, str):
            raise NodeFailure(f"path must be a text, not {describe(path)}", slot="path")
        return {slot_key: await load(path.strip(), context) if path and path.strip() else nothing}

    return [
        NodeDefinition(
            type=type_,
            category=CATEGORY,
            display_name=name,
            description=description,
            width=300,
            config_schema={key: file},
            outputs={slot_key: slot},
            execute=chosen,
        ),
        NodeDefinition(
            type=type_,
            namespace="library",
            category=CATEGORY,
            display_name=f"{name} by its path",
            description=f"{description} Of the path that comes in; nothing where that is blank.",
            width=300,
            inputs={"path": Slot(_T.STRING, display_name="Path", match_categories=categories, config={"default": "", **files})},
            outputs={slot_key: slot},
            execute=given,
        ),
    ]


NODES: Final = [
    *_loaders(
        "CharacterCardLoader",
        "Character card",
        "Reads a character card of version 1, 2 or 3: JSON, a picture (PNG, JPEG, WebP) or a charx archive.",
        "cardResource",
        ("json", "png"),
        ("characterData", Slot(_T.OBJECT, display_name="Character", match_categories=("CharacterProfile",))),
        load_character,
    ),
    *_loaders(
        "HistoryLoader",
        "History",
        "Reads the messages of a chat; of SillyTavern's (.jsonl) those that are not hidden.",
        "historyResource",
        ("json",),
        ("historyMessages", Slot(_T.ARRAY, display_name="Messages", match_categories=("ChatHistory",))),
        load_history,
    ),
    *_loaders(
        "PresetLoader",
        "Preset",
        "Reads a preset.",
        "presetResource",
        ("json",),
        ("presetData", Slot(_T.OBJECT, display_name="Preset")),
        load_preset,
    ),
    *_loaders(
        "RegexRuleLoader",
        "Regex rules",
        "Reads rules for ApplyRegex, SillyTavern's scripts too.",
        "ruleResource",
        ("json", "yaml"),
        ("regexRules", Slot(_T.ARRAY, display_name="Rules")),
        load_rules,
    ),
    *_loaders(
        "WorldBookLoader",
        "World book",
        "Reads a world book for ContextBuilder.",
        "worldBookResource",
        ("json", "yaml"),
        ("worldBookData", Slot(_T.OBJECT, display_name="World book")),
        load_world_book,
    ),
]
