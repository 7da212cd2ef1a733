"""Chat messages as nodes pass them on: lists of `{role, content}`, or their JSON."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tavernkeep import NodeFailure
from tavernkeep.wire import Invalid, describe, loads


def messages_of(given: Any, slot: str = "messages") -> list[Mapping[str, Any]]:
    """The messages that a slot was given: a list, a single one, or the JSON of either.

    Raises:
        NodeFailure: It is none of these; the message names the place.
    """
    messages = from_json(given, slot)
    if isinstance(messages, dict):
        messages = [messages]
    if not isinstance(messages, list):
        raise NodeFailure(f"{slot} must be a list of {{role, content}}, not {describe(messages)}", slot=slot)
    for position, message in enumerate(messages):
        if not is_message(message):
            raise NodeFailure(f"{slot}[{position}] is no message: it needs a role and a content", slot=slot)
    return messages


def is_message(value: Any) -> bool:
    """Whether a value has what a message needs."""
    return isinstance(value, dict) and isinstance(value.get("role"), str) and ("content" in value or "tool_calls" in value)


def from_json(value: Any, slot: str) -> Any:
    """A value as it is, or what its JSON says; `None` for a blank text.

    Raises:
        NodeFailure: It is a text and no JSON.
    """
    if not isinstance(value, str):
        return value
    try:
        return loads(value) if value.strip() else None
    except Invalid as invalid:
        raise NodeFailure(f"{slot}: {invalid}", slot=slot) from None


def compact(value: Any) -> str:
    """JSON without blanks and without escapes for letters, as clients of these nodes expect it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def flattened(value: Any) -> Iterable[Any]:
    """What lists, lists in lists and their JSON hold."""
    if isinstance(value, str):
        try:
            value = loads(value) if value.strip() else []
        except Invalid:
            yield value
            return
    if isinstance(value, list):
        for item in value:
            yield from flattened(item)
    else:
        yield value
