"""What services refuse in questions, known before or learnt from their refusals."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

# What a question is about, and what changes the kind of its answer: never left out because a service does not like it.
_ESSENTIAL: Final = frozenset(
    ("model", "messages", "contents", "stream", "tools", "tool_choice", "response_format", "format", "input", "requests", "system")
)
_NESTED: Final = ("generationConfig", "options")
_OF_MESSAGES: Final = ("reasoning_content", "reasoning_details")
_REQUIRED: Final = {"anthropic": frozenset(("max_tokens",))}
_RANGE: Final = re.compile(
    r"too (?:large|small|high|low|long)|at most|at least|less than|greater than|between|range|maximum|minimum|exceed"
)
_MOST_REMEMBERED: Final = 1000  # channels and models
_TOKENS: Final = ("max_tokens", "max_completion_tokens")


def refused_field(body: Mapping[str, Any], said: str, adapter: str) -> str | None:
    """The field of a question that a refusal names, where the question makes sense without it."""
    named = [field for field in _fields(body, adapter) if _names(said, field)]
    if "temperature" in named and "top_p" in named:  # both at once are one too many: the first is what people set
        return "top_p"
    return max(named, key=len, default=None)


def _names(said: str, field: str) -> bool:
    in_words = re.sub("([A-Z])", r"_\1", field)  # Google knows `topP` as `top_p` too
    return re.search(rf"(?<![\w-])(?:{re.escape(field)}|{re.escape(in_words)})(?![\w-])", said, re.IGNORECASE) is not None


def _fields(body: Mapping[str, Any], adapter: str) -> Iterator[str]:
    yield from (field for field in body if field not in _ESSENTIAL | _REQUIRED.get(adapter, frozenset()) and field not in _NESTED)
    for part in _NESTED:
        yield from body.get(part) or ()
    messages = body.get("messages") or ()
    yield from (field for field in _OF_MESSAGES if any(field in message for message in messages))


def without(body: Mapping[str, Any], fields: Mapping[str, str | None]) -> dict[str, Any]:
    """A question without some fields, or with them under the name that the service wants."""
    changed: dict[str, Any] = {}
    for key, value in body.items():
        if key in _NESTED and isinstance(value, dict):
            changed[key] = {inner: item for inner, item in value.items() if inner not in fields}
        elif key == "messages":
            changed[key] = [{inner: item for inner, item in message.items() if inner not in fields} for message in value]
        elif key not in fields or key in _ESSENTIAL:
            changed[key] = value
        elif (name := fields[key]) and name not in fields:
            changed[name] = value
    return changed


def other_name(field: str, said: str) -> str | None:
    """The name under which a service wants a field that it refuses, where it says so."""
    other = _TOKENS[1 - _TOKENS.index(field)] if field in _TOKENS else None
    return other if other is not None and re.search(rf"(?<!\w){other}(?!\w)", said) else None


class Refusals:
    """What each model of each channel has refused, so that it is not asked with it again."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], dict[str, str | None]] = {}

    def of(self, key: tuple[str, str, str]) -> Mapping[str, str | None]:
        """The fields that are refused, each with the name that is wanted instead."""
        return self._known.get(key, {})

    def remember(self, key: tuple[str, str, str], field: str, name: str | None, said: str) -> None:
        """Note a field, unless it is its value that was refused."""
        if _RANGE.search(said.lower()):
            return
        if key not in self._known and len(self._known) >= _MOST_REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._known.setdefault(key, {})[field] = name


def said_messages(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Messages without those that say nothing, and without blank parts; results of tools stay, whatever they are."""
    kept: list[Mapping[str, Any]] = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            content = [part for part in content if not _is_blank(part)]
            message = {**message, "content": content}
        if message["role"] == "tool" or message.get("tool_calls") or not _is_nothing(content):
            kept.append(message)
    return kept


def _is_nothing(content: Any) -> bool:
    return content is None or content == [] or (isinstance(content, str) and not content.strip())


def _is_blank(part: Any) -> bool:
    if isinstance(part, str):
        return not part.strip()
    return isinstance(part, dict) and part.get("type") == "text" and not str(part.get("text") or "").strip()
