"""What waits to be sent to one viewer: bounded, and with adjacent text of one stream merged, so that a slow viewer costs little.

There are two kinds. Events can be had again: what there is no room for is not taken, and whoever puts it does so when there is. All else,
notices to everyone and answers to the viewer itself, cannot: a viewer that lets too much of it lie is too slow.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import attrs

from tavernkeep.contracts.events import Event, InterfaceYield, NodeYield
from tavernkeep.wire import dumps

_MERGE_FROM: Final = 16  # with so few waiting the viewer keeps up, and gets each chunk as it was
_OVERHEAD: Final = 200  # bytes of a message around its text, roughly
_MOST: Final = 4  # notices and answers, of whatever length, for which there is room in any case

_Yield = NodeYield | InterfaceYield


@attrs.define(eq=False)
class _Text:
    """A text chunk, and those of the same stream that came right after it."""

    key: tuple[str, str, str, str | None]
    event: _Yield
    pieces: list[str]
    size: int

    @property
    def execution_id(self) -> str:
        return self.event.execution_id

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
    execution_id: str = ""

    def json(self) -> bytes:
        return self.data


class Outbox:
    """A queue of messages for one viewer. Putting never waits.

    Attributes:
        overflow: Set when the viewer is too slow; nothing is taken from then on.

    Args:
        max_messages: How many events may wait, and how many others.
        max_bytes: How many bytes of either; an event is taken while there are fewer.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._entries: deque[_Text | _Whole] = deque()
        self._events = self._event_bytes = 0
        self._others = self._other_bytes = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._closed = False
        self.overflow = asyncio.Event()

    @property
    def drained(self) -> bool:
        """Whether it is closed and empty."""
        return (self._closed or self.overflow.is_set()) and not self._entries

    def close(self) -> None:
        """Take nothing more."""
        self._closed = True
        self._news.set()

    def put(self, event: Event) -> bool:
        """Queue an event of an execution; `False` where there is no room for it.

        It is encoded at once, as its length counts; text waits, as more may join it.
        """
        if self._closed or self.overflow.is_set():
            return True  # it is for nobody
        if self._events >= self._max_messages or self._event_bytes >= self._max_bytes:
            return False
        if not isinstance(event, _Yield) or (key := _stream_of(event)) is None:
            data = event.json()
            self._append(_Whole(data, len(data), event.execution_id))
            return True
        text: str = event.yielded_content["content"]
        last = self._entries[-1] if len(self._entries) >= _MERGE_FROM else None
        if isinstance(last, _Text) and last.key == key:
            last.pieces.append(text)
            last.event = event  # its number is the highest of those merged, which is where a viewer resumes
            last.size += len(text)
            self._event_bytes += len(text)
        else:
            self._append(_Text(key, event, [text], len(text) + _OVERHEAD))
        return True

    def _append(self, entry: _Text | _Whole) -> None:
        self._entries.append(entry)
        self._events += 1
        self._event_bytes += entry.size
        self._news.set()

    def put_notice(self, notice: Event) -> None:
        """Queue a notice to everyone."""
        self._put_other(notice.json())

    def put_message(self, type_: str, payload: Mapping[str, Any]) -> None:
        """Queue a message that is no event."""
        self._put_other(dumps({"type": type_, "payload": payload}))

    def _put_other(self, data: bytes) -> None:
        if self._closed or self.overflow.is_set():
            return
        # One that is longer than the bound is sent as well: else a viewer would be let go for it, come back, be sent it, and be let go.
        entry = _Whole(data, min(len(data), self._max_bytes // _MOST))
        self._entries.append(entry)
        self._others += 1
        self._other_bytes += entry.size
        if self._others > self._max_messages or self._other_bytes > self._max_bytes:
            self.overflow.set()
            self._entries.clear()
            self._room.set()
        self._news.set()

    def forget(self, execution_id: str) -> None:
        """Send nothing of an execution that waits to be sent."""
        kept: deque[_Text | _Whole] = deque()
        for entry in self._entries:
            if entry.execution_id == execution_id:
                self._count_out(entry)
            else:
                kept.append(entry)
        self._entries = kept

    async def room(self) -> None:
        """Return when at most half as many events wait as may."""
        while not self.overflow.is_set() and (2 * self._events > self._max_messages or 2 * self._event_bytes > self._max_bytes):
            self._room.clear()
            await self._room.wait()

    async def wait(self) -> None:
        """Return when there is something to send, or nothing more will come."""
        if not self._entries and not self.drained:
            self._news.clear()
            await self._news.wait()

    def take(self) -> bytes | None:
        """The next message, or `None`."""
        if not self._entries:
            return None
        entry = self._entries.popleft()
        self._count_out(entry)
        return entry.json()

    def _count_out(self, entry: _Text | _Whole) -> None:
        if entry.execution_id:
            self._events -= 1
            self._event_bytes -= entry.size
            self._room.set()
        else:
            self._others -= 1
            self._other_bytes -= entry.size


def _stream_of(event: _Yield) -> tuple[str, str, str, str | None] | None:
    """What a text chunk may be merged with: chunks with the same answer. `None` for what is no text."""
    chunk = event.yielded_content
    if chunk["type"] != "text_chunk" or not isinstance(chunk["content"], str) or event.is_last_chunk:
        return None
    if chunk.keys() - {"type", "content", "slot"}:
        return None  # fields that a merged chunk would lose
    source = event.source_node_id if isinstance(event, NodeYield) else event.interface_output_key
    return event.type, event.execution_id, source, chunk.get("slot")
