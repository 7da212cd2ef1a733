"""What waits to be sent to one viewer: bounded, and with adjacent text of one stream merged, so that a slow viewer costs little.

The bound is on viewers, not on messages: one that is longer than the bound is sent as well, and so is all that a viewer asks to have again.
Else a viewer would be let go for what it was sent, come back, be sent it again, and be let go.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from tavernkeep.contracts.events import Event, InterfaceYield, NodeYield
from tavernkeep.wire import dumps

_MERGE_FROM: Final = 16  # with so few waiting the viewer keeps up, and gets each chunk as it was
_OVERHEAD: Final = 200  # bytes of a message around its text, roughly
_MOST: Final = 4  # messages, of whatever length, for which there is room in any case

_Yield = NodeYield | InterfaceYield


@attrs.define(eq=False)
class _Text:
    """A text chunk, and those of the same stream that came right after it."""

    key: tuple[str, str, str, str | None]
    event: _Yield
    pieces: list[str]
    size: int

    def json(self) -> bytes:
        if len(self.pieces) == 1:
            return self.event.json()
        merged = attrs.evolve(self.event, yielded_content={**self.event.yielded_content, "content": "".join(self.pieces)})
        return merged.of(self.event.execution_id, self.event.seq).json()


@attrs.define(eq=False)
class _Whole:
    """Any other message."""

    data: bytes
    size: int

    def json(self) -> bytes:
        return self.data


class Outbox:
    """A queue of messages for one viewer. Putting never waits; what is too much for it sets `overflow` and empties it.

    Attributes:
        overflow: Set when the viewer is too slow; nothing is taken from then on.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._entries: deque[_Text | _Whole] = deque()
        self._again: deque[Event] = deque()
        self._size = 0
        self._news = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._closed = False
        self.overflow = asyncio.Event()

    @property
    def drained(self) -> bool:
        """Whether it is closed and empty."""
        return (self._closed or self.overflow.is_set()) and not self._entries and not self._again

    def close(self) -> None:
        """Take nothing more."""
        self._closed = True
        self._news.set()

    def put(self, event: Event) -> None:
        """Queue an event. It is encoded at once, as its length counts; text waits, as more may join it."""
        if not isinstance(event, _Yield) or (key := _stream_of(event)) is None:
            data = event.json()
            self._append(_Whole(data, len(data)))
            return
        text: str = event.yielded_content["content"]
        last = self._entries[-1] if len(self._entries) >= _MERGE_FROM else None
        if isinstance(last, _Text) and last.key == key:
            last.pieces.append(text)
            last.event = event  # its number is the highest of those merged, which is where a viewer resumes
            self._size -= self._counted(last)
            last.size += len(text)
            self._grow(last)
        else:
            self._append(_Text(key, event, [text], len(text) + _OVERHEAD))

    def put_message(self, type_: str, payload: Mapping[str, Any]) -> None:
        """Queue a message that is no event."""
        data = dumps({"type": type_, "payload": payload})
        self._append(_Whole(data, len(data)))

    def resume(self, again: Iterable[Event]) -> None:
        """Send events that were published before, ahead of what is published from now on; there is room for them.

        Who lets a viewer ask for them waits until it has `caught_up` before it lets it ask again.
        """
        if not (self.overflow.is_set() or self._closed):
            self._again.extend(again)
            self._news.set()

    async def caught_up(self) -> None:
        """Return when all that was asked for again is sent."""
        while self._again:
            self._caught_up.clear()
            await self._caught_up.wait()

    def _append(self, entry: _Text | _Whole) -> None:
        if self.overflow.is_set() or self._closed:
            return
        self._entries.append(entry)
        self._grow(entry)

    def _grow(self, entry: _Text | _Whole) -> None:
        self._size += self._counted(entry)
        if len(self._entries) > self._max_messages or self._size > self._max_bytes:
            self.overflow.set()
            self._entries.clear()
            self._again.clear()
            self._caught_up.set()
            self._size = 0
        self._news.set()

    def _counted(self, entry: _Text | _Whole) -> int:
        return min(entry.size, self._max_bytes // _MOST)

    async def wait(self) -> None:
        """Return when there is something to send, or nothing more will come."""
        if not self._entries and not self._again and not self.drained:
            self._news.clear()
            await self._news.wait()

    def take(self) -> bytes | None:
        """The next message, or `None`."""
        if self._again:
            event = self._again.popleft()
            if not self._again:
                self._caught_up.set()
            return event.json()
        if not self._entries:
            return None
        entry = self._entries.popleft()
        self._size -= self._counted(entry)
        return entry.json()


def _stream_of(event: _Yield) -> tuple[str, str, str, str | None] | None:
    """What a text chunk may be merged with: chunks with the same answer. `None` for what is no text."""
    chunk = event.yielded_content
    if chunk["type"] != "text_chunk" or not isinstance(chunk["content"], str) or event.is_last_chunk:
        return None
    if chunk.keys() - {"type", "content", "slot"}:
        return None  # fields that a merged chunk would lose
    source = event.source_node_id if isinstance(event, NodeYield) else event.interface_output_key
    return event.type, event.execution_id, source, chunk.get("slot")
