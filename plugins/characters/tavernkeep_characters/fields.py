"""The fields of a character card, each of the kind that it should be, whatever the card has there."""

from collections.abc import Mapping
from typing import Any, Final

import structlog

from tavernkeep.wire import describe

_log = structlog.get_logger(__name__)

_TEXTS: Final = (
    *("name", "nickname", "description", "personality", "scenario", "first_mes", "mes_example", "system_prompt"),
    *("post_history_instructions", "creator", "creator_notes", "character_version", "avatar", "chat", "create_date", "id"),
)
_LISTS: Final = ("tags", "alternate_greetings", "group_only_greetings", "source")
_OBJECTS: Final = ("extensions", "character_book")
_OLDER: Final = {  # names of before there was a specification
    "char_name": "name",
    "char_persona": "description",
    "char_greeting": "first_mes",
    "world_scenario": "scenario",
    "example_dialogue": "mes_example",
    "creatorcomment": "creator_notes",
}


def card_data(card: Mapping[str, Any]) -> dict[str, Any]:
    """The character's own fields (`name`, `description`, `system_prompt`, …), wherever the card's version has them.

    Numbers where a text belongs are texts, a text where a list belongs is a list of one; what is `null` is absent.
    """
    data = card.get("data")
    inner = data if isinstance(data, dict) else {}
    outer = {key: card[key] for key in (*_TEXTS, *_LISTS, *_OBJECTS, *_OLDER) if key in card} if inner else card
    fields = {key: value for part in (outer, inner) for key, value in part.items() if value is not None and key != "data"}
    for old, new in _OLDER.items():
        if old in fields and new not in fields:
            fields[new] = fields[old]
    for keys, form in ((_TEXTS, _text), (_LISTS, _list), (_OBJECTS, _object)):
        for key in keys:
            if key in fields and (value := form(fields[key])) is not None:
                fields[key] = value
            elif key in fields:
                _log.warning("left out a field of a character card", field=key, found=describe(fields.pop(key)))
    return fields


def truth(value: Any) -> bool:
    """A boolean, that may be a number or a text."""
    return value.strip().lower() in ("true", "1", "yes", "on") if isinstance(value, str) else bool(value)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list) and all(isinstance(item, (str, int, float)) for item in value):
        return "\n".join(map(str, value))
    return str(value) if isinstance(value, (str, int, float)) else None


def _list(value: Any) -> list[str] | None:
    if isinstance(value, dict):
        return None
    items = value if isinstance(value, list) else [value]
    return [text for item in items if item is not None and (text := _text(item)) is not None]


def _object(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None
