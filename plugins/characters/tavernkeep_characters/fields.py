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
_FIRST: Final = ("name", "description", "personality", "scenario", "first_mes", "mes_example")  # those of version 1
_LISTED: Final = (
    *("name", "description", "tags", "creator", "creator_notes", "create_date", "creation_date", "character_version"),
    *("talkativeness", "fav", "avatar", "chat"),
)
_KNOWN: Final = (*_TEXTS, *_LISTS, *_OBJECTS, *_OLDER)
_OWN: Final = ("spec", "spec_version", "data")


def card_data(card: Mapping[str, Any]) -> dict[str, Any]:
    """The character's own fields (`name`, `description`, `system_prompt`, …), wherever the card's version has them.

    Numbers where a text belongs are texts, a text where a list belongs is a list of one, tags those between
    its commas; what is `null` is absent.
    """
    fields, problems = read_fields(card)
    for problem in problems:
        _log.warning("left out a field of a character card", problem=problem)
    return fields


def read_fields(card: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What `card_data` gives, and which fields were left out of it, and why."""
    problems = []
    data = card.get("data")
    inner = data if isinstance(data, dict) else {}
    outer = {key: value for key, value in card.items() if (key in _KNOWN if inner else key not in _OWN)}
    fields = {key: value for part in (outer, inner) for key, value in part.items() if value is not None}
    for old, new in _OLDER.items():
        if old in fields:
            fields.setdefault(new, fields.pop(old))
    if isinstance(fields.get("tags"), str):
        fields["tags"] = [tag for part in fields["tags"].split(",") if (tag := part.strip())]
    for keys, form, kind in ((_TEXTS, _text, "a text"), (_LISTS, _list, "a list of texts"), (_OBJECTS, _object, "an object")):
        for key in keys:
            if key in fields and (value := form(fields[key])) is not None:
                fields[key] = value
            elif key in fields:
                problems.append(f"{key} is {describe(fields.pop(key))}, and not {kind}")
    return fields, problems


def in_short(card: Mapping[str, Any]) -> dict[str, Any]:
    """What lists show of a card, and nothing else: there may be many, and long ones."""
    fields = card_data(card)
    short: dict[str, Any] = {key: fields[key] for key in _LISTED if key in fields}
    if "extensions" in fields:
        short["extensions"] = {key: value for key, value in fields["extensions"].items() if key in _LISTED}
    return {**{key: value for key, value in _outer(card).items() if key in _LISTED}, "data": short}


def as_version(card: Mapping[str, Any], version: int) -> dict[str, Any]:
    """A card of any version as one of version 1, 2 or 3, with all that it holds beside.

    That of version 2 has the fields of version 1 beside its own too, for older readers.
    """
    fields, outer = card_data(card), _outer(card)
    if version == 1:
        return outer | fields
    older: dict[str, Any] = {key: fields[key] for key in _FIRST if key in fields} if version == 2 else {}
    return {**outer, **older, "spec": f"chara_card_v{version}", "spec_version": f"{version}.0", "data": fields}


def changed(card: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A card of version 3 with some changes, which are a card of any version, or as much of one as is to change.

    Objects are changed field by field, however deep; `null` takes a field out; all else stays, what nobody here knows too.
    """
    before, given = as_version(card, 3), changes.get("data")
    if isinstance(given, dict):
        inner = {key: value for key, value in changes.items() if key in _KNOWN and key not in given} | given
    else:
        inner = {key: value for key, value in changes.items() if key not in _OWN}
    for old, new in _OLDER.items():
        if old in inner:
            inner.setdefault(new, inner.pop(old))
    versions = {key: before[key] for key in ("spec", "spec_version")}
    return {**_patched(_outer(before), _outer(changes)), **versions, "data": _patched(before["data"], inner)}


def _outer(card: Mapping[str, Any]) -> dict[str, Any]:
    """What stands beside a card's data and is none of the character's own fields."""
    return {key: value for key, value in card.items() if key not in (*_OWN, *_KNOWN)} if isinstance(card.get("data"), dict) else {}


def _patched(value: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7396; without recursion, as others say how deep it goes."""
    result = dict(value)
    todo = [(result, changes)]
    while todo:
        into, given = todo.pop()
        for key, item in given.items():
            if item is None:
                into.pop(key, None)
            elif isinstance(item, dict):
                inner = into.get(key)
                made: dict[str, Any] = dict(inner) if isinstance(inner, dict) else {}
                into[key] = made
                todo.append((made, item))
            else:
                into[key] = item
    return result


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
