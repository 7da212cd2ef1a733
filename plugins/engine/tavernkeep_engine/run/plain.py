"""What becomes plain data, and how: the rule for values that nodes give.

=====================================================  ==========================================================================
given                                                  becomes
=====================================================  ==========================================================================
`None`, `bool`, `float`, `int`, `str`, `bytes`         the same; also of their subclasses, as the plain value
`str` with half a surrogate pair                       the same with U+FFFD in its place
`bytearray`, `memoryview`                              `bytes`
`list`, `tuple`, `deque`                               a list
`set`, `frozenset`                                     a list; sorted, when it holds only numbers or only texts
`dict` and any other mapping                           a dict with texts as keys: `1` is `"1"`, `True` is `"true"`, as JSON has them
instances of attrs classes and dataclasses             a dict of their fields, without those whose name begins with `_`
what has numpy's array interface                       what its `tolist` gives: numbers, texts, lists
members of an `Enum`                                   their value
`datetime`, `date`, `time`                             ISO 8601; a `timedelta` its seconds
`Decimal`, `UUID`, paths                               their text
=====================================================  ==========================================================================

Everything else is no data and is refused, as is what contains itself, is nested deeper than 200, is an integer of more than 13,000 bits,
has two keys that become one, or is too large. Size is counted as the bytes of texts and byte strings, 32 for each item of a list, 64 for
each entry of a dict and for each list and dict itself.
"""

import dataclasses
import datetime
import decimal
import enum
import pathlib
import reprlib
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from tavernkeep.contracts.running import NodeFailure

DEEPEST: Final = 200
LONGEST_INTEGER: Final = 13_000  # bits; Python writes no integer of more than 4,300 digits
ITEM: Final = 32
ENTRY: Final = 64
FIXED: Final = frozenset((type(None), bool, float))
LOW: Final = -(2**60)
HIGH: Final = 2**60  # integers between need no look at their length
_SHOWN: Final = 60  # characters of a key in a place
_LONGEST_TEXT: Final = 10_000  # characters of an error's message


class ValueRefused(NodeFailure):
    """A node gave what cannot become a value of the execution; the message names the place in it."""


class TooLarge(ValueRefused):
    """A node gave a value of more bytes than one may have."""


def text_of(error: BaseException) -> str:
    """The message of any exception as text that can be told; empty where it has none or cannot say it."""
    try:
        if type(error).__str__ is not BaseException.__str__:
            text = str.__str__(str(error))
        elif len(error.args) == 1 and isinstance(error.args[0], str):
            text = str.__str__(error.args[0])
        else:  # as `str` has it, except that what is large is cut short before it is written out
            text = ", ".join(map(reprlib.repr, error.args))
    except BaseException:  # it is the node's code that is asked: what it raises must not end the server
        return ""
    return mended(text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "…")


def mended(text: str) -> str:
    """A text with U+FFFD in the place of each half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


class NoData(Exception):
    """A part of a value cannot be taken.

    Attributes:
        steps: From the part outwards: what it is in, by identity, and under which key.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.steps: list[tuple[int, str | int]] = []


class _TooMuch(NoData):
    """It takes more bytes than there are left."""


class _TooDeep(NoData):
    """It is nested too deeply."""


class Reading:
    """Reads one value.

    Attributes:
        left: How many bytes it may still take.
    """

    __slots__ = ("left", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.left = most

    def output(self, name: str, value: Any) -> Any:
        """The value of an output."""
        try:
            return self.value(value, 0)
        except _TooDeep as refused:
            raise ValueRefused(_depth_message(name, refused.steps)) from None
        except _TooMuch as refused:
            raise TooLarge(f"Output {name!r} is too large: {refused.message}", slot=name) from None
        except NoData as refused:
            raise ValueRefused(f"Output {_place(name, refused.steps)} {refused.message}", slot=name) from None

    def value(self, value: Any, depth: int) -> Any:
        """Any part of it, except that what holds it has counted it as an item."""
        kind = type(value)
        if kind in FIXED:
            return value
        if kind is str:
            return self._text(value)
        if kind is int:
            return _integer(value)
        if kind is dict:
            return self._mapping(value, dict.copy(value), depth)
        if kind is list:
            return self._list(value, list.__len__(value), list.copy, depth)
        if kind is bytes:
            self._take(len(value))
            return value
        return self._odd(value, depth)

    def _odd(self, value: Any, depth: int) -> Any:
        """What is not of one of the plain types themselves."""
        if issubclass(type(value), type):
            raise NoData(f"is the class {value.__qualname__} itself, which is no data")
        try:
            return self._converted(value, depth)
        except (NoData, MemoryError):
            raise
        except BaseException as error:  # it is the node's code that is asked: what it raises must not end the server
            raise NoData(
                f"is of the class {type(value).__qualname__} and cannot be read: {type(error).__name__}: {text_of(error)}"
            ) from None

    def _converted(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if isinstance(value, enum.Enum):
            return self.value(value._value_, depth + 1)
        if hasattr(kind, "__array_interface__") and hasattr(kind, "tolist"):
            return self._array(value, depth)
        if isinstance(value, (str, int, float, bytes, bytearray, memoryview)):
            return self._scalar(value)
        if isinstance(value, dict):
            return self._mapping(value, dict.copy(value), depth)
        if isinstance(value, list):
            return self._list(value, list.__len__(value), list.copy, depth)
        if isinstance(value, tuple):
            return self._list(value, tuple.__len__(value), lambda items: list(tuple.__iter__(items)), depth)
        if isinstance(value, deque):
            return self._list(value, deque.__len__(value), lambda items: list(deque.__iter__(items)), depth)
        if isinstance(value, (set, frozenset)):
            base: Any = set if isinstance(value, set) else frozenset
            return _in_order(self._list(value, base.__len__(value), lambda items: list(base.__iter__(items)), depth))
        if isinstance(value, Mapping):
            return self._mapping(value, self.entries(value), depth)
        if (names := _fields(kind)) is not None:
            return self._mapping(value, {name: getattr(value, name) for name in names if not name.startswith("_")}, depth)
        if isinstance(value, datetime.timedelta):
            return datetime.timedelta.total_seconds(value)
        if isinstance(value, (datetime.date, datetime.time)):
            return self._text(str.__str__(value.isoformat()))
        if isinstance(value, (decimal.Decimal, uuid.UUID, pathlib.PurePath)):
            return self._text(str.__str__(str(value)))
        raise NoData(f"is of the class {kind.__qualname__}, which is no data")

    def _scalar(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(str.__str__(value))
        if isinstance(value, int):
            return _integer(int.__int__(value))
        if isinstance(value, float):
            return float.__float__(value)
        self._take(memoryview(value).nbytes)
        return bytes.__getitem__(value, slice(None)) if isinstance(value, bytes) else bytes(memoryview(value))

    def _array(self, value: Any, depth: int) -> Any:
        length = int(value.size)
        self._check(length * ITEM)
        plain = value.tolist()
        if type(plain) is not type(value):
            return self.value(plain, depth + 1)
        if isinstance(plain, float) or hasattr(type(plain), "__float__"):  # of extended precision: numpy has no plain number for it
            return float(plain)
        raise NoData(f"is of the class {type(value).__qualname__}, which is no data")

    def _list(self, value: Any, length: int, items_of: Callable[[Any], list[Any]], depth: int) -> list[Any]:
        self._take(ENTRY + length * ITEM)
        if depth >= DEEPEST:
            raise _TooDeep("")
        items = items_of(value)
        index = texts = 0
        try:
            for index, item in enumerate(items):
                kind = type(item)
                if kind is str and item.isascii():
                    texts += len(item)
                elif kind not in FIXED and not (kind is int and LOW < item < HIGH):
                    items[index] = self.value(item, depth + 1)
        except NoData as refused:
            refused.steps.append((id(value), index))
            raise
        self._take(texts)
        return items

    def _mapping(self, value: Any, entries: dict[Any, Any], depth: int) -> dict[str, Any]:
        self._take(ENTRY + len(entries) * ENTRY)
        if depth >= DEEPEST:
            raise _TooDeep("")
        found: dict[str, Any] = {}
        texts = 0
        for key, item in entries.items():
            if type(key) is str and key.isascii():
                name = key
                texts += len(key)
            else:
                name = self.key(key)
            if name in found:
                raise NoData(f"has two keys that both become {name[:_SHOWN]!r}")
            kind = type(item)
            if kind is str and item.isascii():
                texts += len(item)
            elif kind not in FIXED and not (kind is int and LOW < item < HIGH):
                try:
                    item = self.value(item, depth + 1)
                except NoData as refused:
                    refused.steps.append((id(value), name))
                    raise
            found[name] = item
        self._take(texts)
        return found

    def entries(self, mapping: Mapping[Any, Any]) -> dict[Any, Any]:
        """The entries of a mapping of any class, which may go on for ever."""
        found = {}
        for count, key in enumerate(mapping, 1):
            self._check(count * ENTRY)
            found[key] = mapping[key]
        return found

    def key(self, key: Any) -> str:
        """A key as text."""
        plain = key
        if type(key) not in (str, int, float, bool, type(None)):
            try:
                plain = self._odd(key, DEEPEST)
            except _TooDeep:  # a tuple, or any other container
                plain = ()
        match plain:
            case str():
                return self._text(plain)
            case bool():
                return self._text("true" if plain else "false")
            case None:
                return self._text("null")
            case int():
                return self._text(str(_integer(plain)))
            case float():
                return self._text(repr(plain))
        raise NoData(f"has a key of the class {type(key).__qualname__}, which can be no key")

    def _text(self, text: str) -> str:
        self._take(len(text))
        if text.isascii():
            return text
        whole = mended(text)
        self._take(len(whole.encode()) - len(text))
        return whole

    def _check(self, size: int) -> None:
        if size > self.left:
            taken = self.most - self.left + size
            raise _TooMuch(f"it takes at least {taken:,} bytes, and {self.most:,} is the most for one value (engine.maxValueBytes)")

    def _take(self, size: int) -> None:
        self._check(size)
        self.left -= size


def _integer(value: int) -> int:
    if value.bit_length() > LONGEST_INTEGER:
        raise NoData(f"is an integer of {value.bit_length():,} bits; {LONGEST_INTEGER:,} is the most")
    return value


def _fields(kind: type) -> list[str] | None:
    if attrs.has(kind):
        return [field.name for field in attrs.fields(kind)]
    return [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else None


def _in_order(items: list[Any]) -> list[Any]:
    kinds = set(map(type, items))
    return sorted(items) if kinds <= {int, float} or kinds == {str} else items


def _place(name: str, steps: list[tuple[int, str | int]]) -> str:
    """Where something is, as in `result.items[3]`."""
    keys = (f"[{key}]" if isinstance(key, int) else f".{key[:_SHOWN]}" for _, key in reversed(steps))
    return name + "".join(keys)


def _depth_message(name: str, steps: list[tuple[int, str | int]]) -> str:
    seen: set[int] = set()
    for position, (container, _) in enumerate(reversed(steps)):
        if container in seen:
            return f"Output {_place(name, steps[len(steps) - position :])} contains itself"
        seen.add(container)
    return f"Output {name!r} is nested more than {DEEPEST} deep"
