"""Reads what services send, however they wrap it: a stream of events, lines of JSON, or one JSON text, told apart by what comes.

Lines end at a line feed alone: U+2028 and its like are text.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from tavernkeep.wire import Invalid, loads

DONE: Final = "[DONE]"
_FIELDS: Final = ("data", "event", "id", "retry")
_SAYING_NOTHING: Final = ("ping", "heartbeat", "keep-alive", "keepalive", "keep_alive", "open", "close", "end", "done")  # names of events


class Unreadable(Exception):
    """What came is no JSON, or longer than allowed; the message says which.

    Attributes:
        text: What came, as it is: it may quote a key.
    """

    def __init__(self, reason: str, text: str = "") -> None:
        super().__init__(reason)
        self.text = text


class AnswerReader:
    """Makes values of the bytes of an answer; knows no connection.

    Args:
        most: How many bytes one value may have.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._rest: list[bytes] = []  # of a line that has not ended
        self._data: list[str] = []  # of an event that has not ended
        self._loose: list[str] = []  # of a text that is no event stream
        self._name = ""
        self._held = 0
        self._first = True

    def feed(self, piece: bytes) -> list[tuple[str, Any]]:
        """The values that end in a piece, each with the name of its event, where it has one.

        Raises:
            Unreadable: One is no JSON, or too long.
        """
        *lines, rest = piece.split(b"\n")
        found: list[tuple[str, Any]] = []
        for line in lines:
            self._keep(line)
            found += self._line(self._take())
        self._keep(rest)
        return found

    def end(self) -> list[tuple[str, Any]]:
        """The values that the end of the answer ends."""
        found = self._line(self._take()) if self._rest else []
        found += self._event()
        if self._loose:
            text, self._loose = "\n".join(self._loose), []
            found += _values("", text)
        return found

    def _keep(self, piece: bytes) -> None:
        self._held += len(piece)
        if self._held > self._most:
            raise Unreadable(f"more than {self._most} bytes in one piece")
        self._rest.append(piece)

    def _take(self) -> str:
        line, self._rest = b"".join(self._rest).decode("utf-8", "replace").removesuffix("\r"), []
        if self._first:
            line, self._first = line.removeprefix("\ufeff"), False
        return line

    def _line(self, line: str) -> list[tuple[str, Any]]:
        if self._loose:
            self._loose.append(line)
            return []
        if not line.strip():
            found = self._event()
            self._name = ""
            return found
        field, _, value = line.partition(":")
        if field.strip().lower() in _FIELDS:
            return self._field(field.strip().lower(), value.removeprefix(" "))
        if field:
            return self._json(line, self._loose)
        return []  # a comment

    def _field(self, field: str, value: str) -> list[tuple[str, Any]]:
        if field == "event":
            found = self._event()
            self._name = value.strip()
            return found
        return self._json(value, self._data) if field == "data" else []

    def _json(self, text: str, unfinished: list[str]) -> list[tuple[str, Any]]:
        """A line that is a whole value counts at once: many services forget the blank line after it."""
        if not unfinished and text.strip():
            try:
                found = _values(self._name, text)
            except Unreadable:
                unfinished.append(text)
                return []
            self._held = 0
            return found
        unfinished.append(text)
        return []

    def _event(self) -> list[tuple[str, Any]]:
        text, self._data = "\n".join(self._data), []
        if not self._loose:
            self._held = 0
        if not text.strip():
            return []
        try:
            return _values(self._name, text)
        except Unreadable:
            if self._name.lower() in _SAYING_NOTHING:
                return []
            if self._name.lower() == "error":
                return [(self._name, {"error": text})]
            raise


def _values(name: str, text: str) -> list[tuple[str, Any]]:
    if text.strip() == DONE:
        return [(name, DONE)]
    try:
        value = loads(text)
    except Invalid:
        value = _generously(text)
    return [(name, item) for item in value] if isinstance(value, list) else [(name, value)]


def _generously(text: str) -> Any:
    """JSON with what it must not hold: half an emoji, whose other half the next piece has, and control characters."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        raise Unreadable("no JSON", text) from None


def models_in(value: Any) -> list[dict[str, Any]]:
    """The models in a list, in whatever form a service gives it, by name, which is the `id` of each; none for `null`.

    Raises:
        ValueError: It is no list of models.
    """
    for _ in range(3):  # a list in an object in an object
        if isinstance(value, Mapping):
            keys = [key for key in ("data", "models", "result", "items", "model_list", "body") if key in value]
            if not keys:
                raise ValueError("there is no list of models in it")
            value = value[keys[0]]
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError("it is no list of models")
    models: dict[str, dict[str, Any]] = {}
    for entry in value:
        name = entry
        if isinstance(entry, Mapping):
            name = next((entry[key] for key in ("id", "name", "model", "model_name", "slug", "key") if entry.get(key)), None)
        if isinstance(name, (str, int)) and not isinstance(name, bool) and str(name).strip():
            id_ = str(name).strip().removeprefix("models/")
            models.setdefault(id_, {**(entry if isinstance(entry, Mapping) else {}), "id": id_})
        else:
            raise ValueError("an entry of it has no name")
    return [models[id_] for id_ in sorted(models)]
