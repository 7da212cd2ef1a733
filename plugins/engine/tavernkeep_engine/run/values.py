"""What a node gives, made the execution's own: plain data that nobody else holds, by the rule in `plain`.

It is made once, when it is given. From then on it can be told, recorded, remembered, masked and measured, and nothing that does so can
fail on it. What a later node is given is a copy (`copied`), so that it changes only its own.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

import attrs

from tavernkeep.contracts.running import Chunk, NodeFailure, Routed
from tavernkeep.wire import describe
from tavernkeep_engine.run.plain import ENTRY, FIXED, HIGH, ITEM, LOW, NoData, Reading, TooLarge, ValueRefused, text_of

CONTAINERS: Final = (dict, list)

Owned = tuple[dict[str, Any], int]  # the outputs of a node, and what they take, in bytes


def own(outputs: Mapping[Any, Any], most: int, live: Collection[str] = ()) -> Owned:
    """Make a node's outputs the execution's own: plain data, except for what live slots were given.

    Args:
        most: How many bytes the value of one output may take.
        live: The outputs whose values are handed on as they are.

    Raises:
        ValueRefused: One of them is no data.
        TooLarge: One of them takes more bytes.
    """
    found: dict[str, Any] = {}
    size = 0
    for slot, value in outputs.items():
        kind = type(value)
        if type(slot) is not str:
            return _own_all(outputs, most, live)
        size += ENTRY
        if kind is str and value.isascii() and len(value) <= most:
            size += len(value)
        elif kind not in FIXED and not (kind is int and LOW < value < HIGH) and not (live and slot in live):
            reading = Reading(most)
            value = reading.output(slot, value)
            size += most - reading.left
        found[slot] = value
    return found, size


@attrs.define(eq=False)
class Given:
    """What a node gave.

    Not frozen only because a frozen class costs twice as much to make and one is made for every node; nobody changes it.

    Attributes:
        outputs: The execution's own; nobody changes them.
        size: What they take, in bytes.
        not_taken: The outputs that a node that picks a way did not pick; `None` for any other.
    """

    outputs: dict[str, Any]
    size: int
    not_taken: frozenset[str] | None = None

    @classmethod
    def of(cls, result: Any, most: int, live: Collection[str] = ()) -> "Given":
        """What a node returned, made the execution's own; for the arguments and the errors see `own`.

        Raises:
            NodeFailure: It is no mapping.
        """
        if type(result) is dict:
            outputs, size = own(result, most, live)
            return cls(outputs, size)
        if result is None:
            return cls({}, 0)
        if not isinstance(result, Mapping):
            raise NodeFailure(f"The node returned {describe(result)}, expected an object with its outputs")
        if not isinstance(result, dict):
            return cls(*own(_entries(result, most), most, live))
        not_taken = frozenset(map(str, result.not_taken)) if isinstance(result, Routed) else None
        return cls(*own(dict.copy(result), most, live), not_taken)


def own_value(value: Any, most: int, name: str) -> tuple[Any, int]:
    """Make one value the execution's own; gives it and its size in bytes.

    Args:
        name: What messages call it.

    Raises:
        ValueRefused: It is no data.
        TooLarge: It takes more bytes than `most`.
    """
    reading = Reading(most)
    return reading.output(name, value), most - reading.left


def own_chunk(piece: Any, most: int) -> tuple[Chunk, int]:
    """Make what a node yielded a chunk that is the execution's own; gives it and its size in bytes.

    Raises:
        ValueRefused: It is no data.
        TooLarge: It takes more bytes than `most`.
    """
    if not isinstance(piece, Chunk):
        piece = Chunk.of(own_value(piece, most, "chunk")[0])
    fields, size = own_value({"type": piece.type, "content": piece.content, "slot": piece.slot, "extra": piece.extra}, most, "chunk")
    type_, slot, extra = fields["type"], fields["slot"], fields["extra"]
    if not isinstance(type_, str) or not isinstance(slot, (str, type(None))) or not isinstance(extra, (dict, type(None))):
        raise ValueRefused("A chunk has a text as its type, a text or none as its slot, and a mapping or none as its extra fields")
    return Chunk(type_, fields["content"], slot, extra or None), size


def copied(value: Any) -> Any:
    """A copy of plain data for who may change it; what cannot be changed is shared."""
    if type(value) is dict:
        return {key: copied(item) if type(item) in CONTAINERS else item for key, item in value.items()}
    if type(value) is list:
        return [copied(item) if type(item) in CONTAINERS else item for item in value]
    return value


def size_of(value: Any) -> int:
    """How many bytes plain data takes; what is no data takes none."""
    size, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        kind = type(item)
        if kind is str or kind is bytes:
            size += len(item) if kind is bytes or item.isascii() else len(item.encode())
        elif kind is dict:
            size += ENTRY * (1 + len(item))
            waiting += item
            waiting += item.values()
        elif kind is list:
            size += ENTRY + ITEM * len(item)
            waiting += item
    return size


@attrs.frozen
class Described:
    """Stands for a live value that is kept no longer."""

    text: str


def description(value: object) -> str:
    """What is told of a live value."""
    return value.text if isinstance(value, Described) else f"<{type(value).__qualname__}>"


def _entries(outputs: Mapping[Any, Any], most: int) -> dict[Any, Any]:
    try:
        return Reading(most).entries(outputs)
    except NoData as refused:
        raise TooLarge(f"The outputs are too many: {refused.message}") from None
    except Exception as error:
        raise ValueRefused(f"The outputs cannot be read: {type(error).__name__}: {text_of(error)}") from None


def _own_all(outputs: Mapping[Any, Any], most: int, live: Collection[str]) -> Owned:
    """Outputs of which some have a name that is no text."""
    named: dict[str, Any] = {}
    for slot, value in outputs.items():
        try:
            name = Reading(most).key(slot)
        except NoData as refused:
            raise ValueRefused(f"The name of an output {refused.message}") from None
        if name in named:
            raise ValueRefused(f"Two outputs are both named {name!r}")
        named[name] = value
    return own(named, most, live)
