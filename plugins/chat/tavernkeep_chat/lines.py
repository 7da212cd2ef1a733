"""JSON lines as other programs write them: taken apart, each with its number, and bounded before anything is made of them."""

import json
from collections.abc import Iterator
from typing import Any, Final

from tavernkeep.wire import Invalid, describe, dumps, loads
from tavernkeep_chat.contracts import ChatError

_MOST_LINES: Final = 200_000
_DEEPEST: Final = 100  # levels of lists and objects
_BYTE_ORDER_MARK: Final = "\ufeff"
_BLANKS: Final = " \t\r" + _BYTE_ORDER_MARK


class LineError(ValueError):
    """A line cannot be used; the message says why."""


def lines_of(data: bytes | str) -> Iterator[tuple[int, str | LineError]]:
    """The lines of a file that hold something, each with its number. They end at `\\n` alone, with or without a `\\r` before it.

    Raises:
        ChatError: It is of no encoding that is read, or has too many lines.
    """
    if isinstance(data, str):
        data = data.encode("utf-8", "replace")
    elif encoding := _wide(data):
        try:
            data = data.decode(encoding).encode()
        except UnicodeError:
            raise ChatError(f"it looks like {encoding.upper()}, and is not") from None
    if data.count(b"\n") >= _MOST_LINES:
        raise ChatError(f"it has more than {_MOST_LINES} lines")
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            text = line.decode().strip(_BLANKS)
        except UnicodeDecodeError as error:
            yield number, LineError(f"it is not UTF-8 ({error.reason} at byte {error.start})")
            continue
        if text:
            yield number, text


def _wide(data: bytes) -> str | None:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if len(data) > 1 and 0 in data[:2]:  # JSON begins with a sign of ASCII, whose other half is nothing then
        return "utf-16-le" if data[1] == 0 else "utf-16-be"
    return None


def object_in(text: str) -> dict[str, Any]:
    """The object that a line holds. Half an emoji, line ends in texts and NaN are read as those read them who write them.

    Raises:
        LineError: It holds none, or one that is nested too deeply.
    """
    try:
        entry = loads(text)
    except Invalid as invalid:
        try:
            entry = loads(dumps(json.loads(text, strict=False)))
        except (ValueError, RecursionError):
            raise LineError(str(invalid)) from None
    if not isinstance(entry, dict):
        raise LineError(f"it is {describe(entry)}, where an object belongs")
    if _is_deep(entry):
        raise LineError(f"it is nested more than {_DEEPEST} levels deep")
    return entry


def _is_deep(value: Any) -> bool:
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        level = [item for one in level for item in (one.values() if isinstance(one, dict) else one) if isinstance(item, (dict, list))]
        if not level:
            return False
    return True
