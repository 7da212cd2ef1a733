"""Outputs of deterministic nodes, by the content of what went in."""

import hashlib
from collections import OrderedDict
from typing import Any

import msgspec

from tavernkeep_engine.plan.types import PlanNode
from tavernkeep_engine.run.values import Given

_ENTRY = 200  # bytes that an entry takes besides its outputs, roughly
_encoder = msgspec.msgpack.Encoder(order="deterministic")


class OutputCache:
    """Remembers what nodes gave; what was used longest ago goes first.

    Args:
        max_bytes: How much it holds.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._entries: OrderedDict[bytes, Given] = OrderedDict()

    def key_of(self, node: PlanNode, inputs: dict[str, Any]) -> bytes | None:
        """What a node's outputs are remembered by; `None` when they are not to be.

        They are not when the type does not promise to be deterministic, or handles secrets, streams or what is live: of an object, its
        class and what it shows are not what it is.
        """
        shape, definition = node.shape, node.definition
        if definition is None or not definition.deterministic or not self._max_bytes:
            return None
        if shape.secret_inputs or shape.secret_outputs or shape.stream_inputs or shape.stream_outputs:
            return None
        if shape.live_inputs or shape.live_outputs:
            return None
        try:
            content = _encoder.encode((node.full_type, shape.mode.id, dict(node.config), inputs))
        except (TypeError, ValueError, RecursionError, OverflowError):
            return None
        return hashlib.blake2b(content, digest_size=16).digest()

    def get(self, key: bytes) -> Given | None:
        """What is remembered under a key."""
        given = self._entries.get(key)
        if given is not None:
            self._entries.move_to_end(key)
        return given

    def put(self, key: bytes, given: Given) -> None:
        """Remember what a node gave, where it is no more than a quarter of what there is room for."""
        if 4 * given.size > self._max_bytes:
            return
        self._size -= self._cost(self._entries.pop(key, None))
        self._entries[key] = given
        self._size += self._cost(given)
        while self._size > self._max_bytes:
            _, forgotten = self._entries.popitem(last=False)
            self._size -= self._cost(forgotten)

    @staticmethod
    def _cost(given: Given | None) -> int:
        return 0 if given is None else given.size + _ENTRY
