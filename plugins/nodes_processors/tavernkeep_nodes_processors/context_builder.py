"""ContextBuilder: the messages for a model, from a character, a world book, a history and a preset."""

from datetime import datetime
from typing import Any

import attrs

from tavernkeep import DataFlowType, NodeContext, NodeDefinition, NodeFailure, Slot
from tavernkeep.clock import Clock, now
from tavernkeep.wire import describe
from tavernkeep_nodes_processors.lore import applying
from tavernkeep_nodes_processors.macros import Macros, moment_of
from tavernkeep_nodes_processors.world_book import LoreEntry, entries_of

Message = dict[str, Any]


def context_builder(inputs: dict[str, Any], context: NodeContext, clock: Clock = now) -> dict[str, Any]:
    """The system message with the lore around it, the history with the lore in it, the user's prompt."""
    character, preset = _object(inputs, "characterData"), _object(inputs, "presetData")
    given, asked = _history(inputs.get("historyMessages"), context), _text(preset.get("user_prompt"))
    moment = moment_of(preset.get("time"), preset.get("time_zone"), clock())
    macros = _macros(character, preset, given, asked, context.user.username, moment)
    prompt = macros.filled(asked)
    said = attrs.evolve(macros, seed="")  # what was said once does not change with what is said after it
    history = [_filled(message, said) for message in given]
    lore = _lore(inputs, character, history, prompt, context)
    description = macros.filled(_text(character.get("system_prompt")) or _text(character.get("description")))
    lore = [attrs.evolve(entry, content=macros.filled(entry.content)) for entry in lore]
    system = "\n".join(filter(None, (*_of("before", lore), description, *_of("after", lore))))
    messages = [_message("system", system)] if system else []
    messages += _with_depths(history, [entry for entry in lore if entry.place == "depth"])
    if prompt:
        messages.append(_message("user", prompt))
    return {"finalMessages": messages}


def _macros(
    character: dict[str, Any], preset: dict[str, Any], history: list[Message], prompt: str, account: str, moment: datetime
) -> Macros:
    user = _text(preset.get("user_name")) or account
    last = {
        role: next((_content(message) for message in reversed(history) if message["role"] == role), "") for role in ("user", "assistant")
    }
    more = {
        "lastmessage": _content(history[-1]) if history else "",
        "lastusermessage": last.get("user", ""),
        "lastcharmessage": last.get("assistant", ""),
        "input": prompt,
        "original": _text(preset.get("system_prompt")),
        "persona": _text(preset.get("persona")),
        "lastmessageid": str(len(history) - 1) if history else "",
    }
    # Chance is decided by the conversation, unless something else is given, so that the same run gives the same.
    seed = preset.get("seed")
    told = "\0".join([*map(_content, history), prompt]) if seed in (None, "") else str(seed)
    return Macros.of(character, user, more, moment, told)


def _filled(message: Message, macros: Macros) -> Message:
    content = message["content"]
    if isinstance(content, list):
        parts = [
            part | {"text": macros.filled(part["text"])} if isinstance(part, dict) and isinstance(part.get("text"), str) else part
            for part in content
        ]
        return message | {"content": parts}
    return message | {"content": macros.filled(content)} if isinstance(content, str) else message


def _lore(inputs: dict[str, Any], character: dict[str, Any], history: list[Message], prompt: str, context: NodeContext) -> list[LoreEntry]:
    """What applies of the connected book and of the character's own."""
    books = (_object(inputs, "worldBookData"), character.get("character_book"))
    entries = [entry for book in books if isinstance(book, dict) for entry in entries_of(book, context.log.warning)]
    talk = [_content(message) for message in history]
    return applying(sorted(entries, key=lambda entry: entry.order), talk, prompt, context.log.warning, lambda: context.cancelled)


def _of(place: str, entries: list[LoreEntry]) -> list[str]:
    return [entry.content for entry in entries if entry.place == place]


def _with_depths(history: list[Message], entries: list[LoreEntry]) -> list[Message]:
    messages: list[Message] = []
    for index in range(len(history) + 1):
        from_end = len(history) - index
        due = [entry for entry in entries if entry.depth == from_end or (index == 0 and entry.depth > from_end)]
        messages += [_message(entry.role, entry.content) for entry in due]
        messages += history[index : index + 1]
    return messages


def _history(given: Any, context: NodeContext) -> list[Message]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise NodeFailure(f"historyMessages must be a list, not {describe(given)}", slot="historyMessages")
    messages = []
    for position, message in enumerate(given):
        if isinstance(message, dict) and isinstance(message.get("role"), str) and "content" in message:
            messages.append(message)
        else:
            context.log.warning("left out what is no message", position=position, found=describe(message))
    return messages


def _content(message: Message) -> str:
    content = message["content"]
    if isinstance(content, list):
        return " ".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    return _text(content)


def _object(inputs: dict[str, Any], slot: str) -> dict[str, Any]:
    value = inputs.get(slot)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NodeFailure(f"{slot} must be an object, not {describe(value)}", slot=slot)
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


_T = DataFlowType
CONTEXT_BUILDER = NodeDefinition(
    type="ContextBuilder",
    category="Processors",
    display_name="Context builder",
    description="Puts together what a model is to know: character, lore by keys, order, depth, history, prompt; fills in {{char}} etc.",
    width=350,
    inputs={
        "presetData": Slot(
            _T.OBJECT,
            display_name="Preset",
            description="Its user_prompt is the last message; its user_name is who {{user}} is, otherwise the account. What {{time}} tells "
            "is its time in its time_zone, otherwise the server's; what {{random}} draws depends on its seed, otherwise on the talk.",
        ),
        "worldBookData": Slot(_T.OBJECT, display_name="World book", description="The character's own book is used with it."),
        "characterData": Slot(
            _T.OBJECT,
            display_name="Character",
            description="Its system_prompt, or else its description, is the system message.",
            match_categories=("CharacterProfile",),
        ),
        "historyMessages": Slot(_T.ARRAY, display_name="History", match_categories=("ChatHistory",)),
    },
    outputs={"finalMessages": Slot(_T.ARRAY, display_name="Messages", match_categories=("ChatHistory",))},
    execute=context_builder,
)
