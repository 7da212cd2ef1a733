"""What services say of errors, in whatever form: the words, the status, and when to come back; without what must not be shown."""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from html import unescape
from typing import Any, Final

import httpx2

from tavernkeep.logs import hide
from tavernkeep.wire import Invalid, loads
from tavernkeep_guard.contracts import Headers
from tavernkeep_nodes_llm.adapters.urls import secrets_in
from tavernkeep_nodes_llm.contracts import Channel, LlmError

_MOST_BYTES: Final = 64 * 1024  # of a service's error that are read
_MOST_READ: Final = 64 * 1024  # characters of a text that are looked at for a line of it
_LONGEST_REASON: Final = 500  # characters of what a service says of an error
_DEEPEST_REASON: Final = 6
_SAYING: Final = (
    *("message", "error", "detail", "errors", "msg", "error_message", "error_msg", "status_msg", "base_resp"),
    *("reason", "title", "description", "code", "type"),
)
_STATUSES: Final = {  # by what errors say that they are, in small letters
    "invalid_request_error": 400,
    "invalid_argument": 400,
    "failed_precondition": 400,
    "authentication_error": 401,
    "unauthenticated": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "permission_error": 403,
    "permission_denied": 403,
    "not_found_error": 404,
    "not_found": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "resource_exhausted": 429,
    "too_many_requests": 429,
    "throttlingexception": 429,
    "insufficient_quota": 429,
    "api_error": 500,
    "server_error": 500,
    "internal": 500,
    "internal_error": 500,
    "internal_server_error": 500,
    "service_unavailable": 503,
    "service_unavailable_error": 503,
    "unavailable": 503,
    "overloaded": 503,
    "deadline_exceeded": 504,
    "timeout": 504,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_DELAYS: Final = ("retry_after", "retryAfter", "retry-after", "retryDelay")
_TITLE: Final = re.compile(r"<title[^>]{0,200}>([^<]{1,500})", re.IGNORECASE)
_TAG: Final = re.compile(r"<[^<>]{0,2000}>")


def secrets_of(channel: Channel) -> list[str]:
    """What must not be shown of a channel."""
    addresses = (channel.base_url, channel.model_list)
    return [channel.api_key, *Headers.secrets(channel.headers), *(secret for address in addresses for secret in secrets_in(address))]


async def refusal(response: httpx2.Response, channel: Channel) -> LlmError:
    """An answer with an error's status, of which a little is read."""
    found = bytearray()
    try:
        async for piece in response.aiter_bytes():
            found += piece
            if len(found) > _MOST_BYTES:
                break
    except httpx2.HTTPError:
        pass  # what came is what is said
    # Some quote the key that they refuse; it goes before the text is cut, as half a key is told too much.
    text = hide(found[:_MOST_BYTES].decode("utf-8", "replace"), secrets_of(channel))
    try:
        said = reason_of(hide(loads(text), secrets_of(channel)))
    except Invalid:
        said = readable(text)
    status = response.status_code
    return LlmError(
        f"{channel.label} answered {status}: {said or readable(response.reason_phrase)}",
        retryable=_passes(status),
        status=status,
        retry_after_s=_seconds(response.headers.get("retry-after")),
        said=said,
    )


def reported(value: Any, channel: Channel) -> LlmError:
    """An error that a service tells of in an answer: what it means for further attempts is what its status would."""
    said, status = error_in(hide(value, secrets_of(channel))) or "", status_in(value)
    return LlmError(
        f"{channel.label} reported an error: {said}",
        retryable=_passes(status),
        status=status,
        retry_after_s=delay_in(value),
        said=said,
    )


def _passes(status: int | None) -> bool:
    """Whether what a status tells of may be over at the next attempt."""
    return status is not None and (status in (408, 425, 429) or status >= 500)


def readable(text: str) -> str:
    """A text, also that of an HTML page, as one short line."""
    text = text[:_MOST_READ]
    if "<" in text:
        title = _TITLE.search(text)
        text = unescape(title[1] if title else _TAG.sub(" ", text))
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: 8 * _LONGEST_REASON]).split())
    return line if len(line) <= _LONGEST_REASON else line[:_LONGEST_REASON] + "…"


def error_in(value: Any) -> str | None:
    """What an answer says of an error, in whatever form; `None` where it tells of none."""
    if isinstance(value, list) and value:  # Google's streams wrap it in a list
        value = value[0]
    if not isinstance(value, dict):
        return None
    choices = value.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict) and choices[0].get("error"):
        return reason_of(choices[0]["error"])
    for key in ("error", "errors"):
        if value.get(key):
            return reason_of(value[key])
    told = "error" in (value.get("type"), value.get("object"), value.get("status")) or value.get("success") is False
    return reason_of({key: item for key, item in value.items() if key not in ("type", "object", "status")}) if told else None


def status_in(error: Any) -> int | None:
    """The HTTP status that an error stands for, as it or one within it says by a number or a name; `None` where none does."""
    for inner in _errors(error):
        for key in ("status_code", "statusCode", "http_status", "httpStatus", "code", "status", "error_code", "type", "reason"):
            said = inner.get(key)
            if isinstance(said, str) and said.strip().isdecimal():
                said = int(said.strip()[:9])
            if isinstance(said, int) and 400 <= said < 600:
                return said
            if isinstance(said, str) and said.strip().lower() in _STATUSES:
                return _STATUSES[said.strip().lower()]
    return None


def delay_in(error: Any) -> float | None:
    """How long a service asks to be left alone, in seconds, as its error says."""
    for inner in _errors(error):
        for key in _DELAYS:
            try:
                return max(0.0, float(str(inner[key]).strip().removesuffix("s")))
            except (KeyError, ValueError):
                continue
    return None


def _errors(value: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """An error and those within it, the outermost first."""
    if depth > _DEEPEST_REASON:
        return
    if isinstance(value, str) and value.strip()[:1] in ("{", "["):
        with contextlib.suppress(Invalid):
            value = loads(value)
    if isinstance(value, list):
        for item in value[:5]:
            yield from _errors(item, depth + 1)
    elif isinstance(value, Mapping):
        yield value
        for key in ("error", "errors", "choices", "details", "metadata", "raw"):
            yield from _errors(value.get(key), depth + 1)


def reason_of(error: Any) -> str:
    """The words of an error, in whatever form it comes."""
    return readable("; ".join(dict.fromkeys(_words(error, 0))) or "no reason is given")


def _words(error: Any, depth: int) -> Iterable[str]:
    if depth > _DEEPEST_REASON or error is None or isinstance(error, bool):
        return
    if isinstance(error, str) and error.strip()[:1] in ("{", "["):  # one service's error in the words of another
        try:
            error = loads(error)
        except Invalid:
            yield error
            return
    if isinstance(error, Mapping):
        found = False
        for key in _SAYING:
            # What a code or a type adds is worth saying only where there are no words.
            if key in error and not (found and key in ("code", "type", "title", "description")):
                for word in _words(error[key], depth + 1):
                    found = True
                    yield word
        metadata = error.get("metadata")
        if isinstance(metadata, Mapping) and metadata.get("raw"):
            yield from _words(metadata["raw"], depth + 1)
        if (place := error.get("loc") or error.get("param")) and found:
            yield ".".join(map(str, place)) if isinstance(place, list) else str(place)
    elif isinstance(error, list):
        for item in error[:5]:
            yield from _words(item, depth + 1)
    elif str(error).strip():
        yield str(error)


def _seconds(retry_after: str | None) -> float | None:
    try:
        return max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        return None  # a date: the ordinary wait does
