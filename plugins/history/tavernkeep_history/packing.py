"""How events are stored: their messages as MessagePack, which unlike JSON gives back every value as it was, compressed."""

import json
import zlib
from collections.abc import Sequence
from typing import Any, Final

import attrs
import msgspec

from tavernkeep.contracts.events import Event, NodeComplete, NodeYield, told_before
from tavernkeep.logs import HIDDEN

_BLOCK: Final = 2000  # events
_BLOCK_BYTES: Final = 1024 * 1024  # from which on a block takes no further event; whoever reads has a block at once
_HIDDEN: Final = HIDDEN.encode()
_LARGE: Final = ("output", "pseudoOutputs", "yieldedContent")
_INTEGER: Final = 1  # the extension type of an integer of more than 64 bits: its digits


@attrs.frozen
class Block:
    """Events that follow each other, ready to be written.

    Attributes:
        lines: Their messages.
        inexact: The numbers of those that do not say what the node gave.
        size: That of the messages before they were compressed, in bytes.
    """

    first_seq: int
    last_seq: int
    lines: bytes
    inexact: list[int]
    size: int

    def columns(self) -> dict[str, Any]:
        """As it is stored."""
        return {"first_seq": self.first_seq, "last_seq": self.last_seq, "lines": self.lines, "inexact": self.inexact}


def packed(events: Sequence[Event], most: int) -> list[Block]:
    """Events, ready to be written.

    Args:
        most: How many bytes of one message are kept; of a larger one the outputs are left out.
    """
    return blocks_of(events, [message_of(event, most) for event in events])


def blocks_of(events: Sequence[Event], messages: Sequence[bytes]) -> list[Block]:
    """Events with their messages, ready to be written; from any thread."""
    blocks, start, size = [], 0, 0
    for end, message in enumerate(messages, 1):
        size += len(message)
        if end == len(messages) or end - start == _BLOCK or size >= _BLOCK_BYTES:
            blocks.append(_pack(events[start:end], messages[start:end]))
            start, size = end, 0
    return blocks


def joined(blocks: Sequence[Block]) -> tuple[Block, int]:
    """As many of some blocks that follow each other as fit into one, as that one; and how many these are, at least one. From any thread.

    Raises:
        ValueError: One of them is damaged, or in the form of long ago.
    """
    messages: list[msgspec.Raw] = []
    inexact: list[int] = []
    count = size = 0
    for block in blocks:
        data = zlib.decompress(block.lines)
        inside = _decode_raw(data)
        if count and (len(messages) + len(inside) > _BLOCK or size + len(data) > _BLOCK_BYTES):
            break
        messages += inside
        inexact += block.inexact
        count, size = count + 1, size + len(data)
    data = _encode(messages)
    return Block(blocks[0].first_seq, blocks[count - 1].last_seq, zlib.compress(data, 1), inexact, len(data)), count


def messages_of(lines: bytes, after: int = 0) -> list[dict[str, Any]]:
    """The messages of a block with a higher number, as they were told."""
    return _messages(zlib.decompress(lines), after)


def _messages(data: bytes, after: int) -> list[dict[str, Any]]:
    # Before there was another form they were written as JSON, a line each.
    messages = [json.loads(line) for line in data.split(b"\n")] if data.startswith(b"{") else _decode(data)
    return [message for message in messages if message["payload"]["seq"] > after]


def events_of(lines: bytes, after: int = 0) -> list[Event]:
    """The events of a block with a higher number."""
    return measured(lines, after)[0]


def measured(lines: bytes, after: int) -> tuple[list[Event], int]:
    """The same, and what the whole block takes before it is compressed, in bytes."""
    data = zlib.decompress(lines)
    return [told_before(message["type"], message["payload"]) for message in _messages(data, after)], len(data)


def _pack(events: Sequence[Event], messages: Sequence[bytes]) -> Block:
    inexact = [event.seq for event, message in zip(events, messages, strict=True) if _is_inexact(event, message)]
    data = _encode([msgspec.Raw(message) for message in messages])
    return Block(events[0].seq, events[-1].seq, zlib.compress(data, 1), inexact, len(data))


def message_of(event: Event, most: int) -> bytes:
    """The message of an event, as it is kept."""
    payload = event.payload
    message = _encoded({"type": event.type, "payload": payload})
    if len(message) <= most:
        return message
    left_out = {"truncated": True, "limitBytes": most, "value": HIDDEN}  # hidden, so that it is not taken for what the node gave
    return _encoded({"type": event.type, "payload": {key: left_out if key in _LARGE else value for key, value in payload.items()}})


def _is_inexact(event: Event, message: bytes) -> bool:
    """Whether an event that tells what a node gave has something hidden, left out or described instead."""
    if isinstance(event, NodeComplete):
        return event.live is not None or _HIDDEN in message
    return isinstance(event, NodeYield) and _HIDDEN in message


def _encoded(message: dict[str, Any]) -> bytes:
    try:
        return _encode(message)
    except OverflowError:
        return _encode(_extended(message))


def _extended(value: Any) -> Any:
    """Plain data with its large integers as extensions."""
    if isinstance(value, dict):
        return {key: _extended(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_extended(item) for item in value]
    if type(value) is int and not -(2**63) <= value < 2**64:
        return msgspec.msgpack.Ext(_INTEGER, str(value).encode())
    return value


def _read_extension(code: int, data: memoryview) -> int:
    if code != _INTEGER:
        raise ValueError(f"an extension of the unknown type {code}")
    return int(bytes(data))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ext_hook=_read_extension).decode
_decode_raw = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
