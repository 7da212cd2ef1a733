"""Streams between nodes: bounded buffers, several consumers each, and no deadlock.

A producer waits while any of its consumers has too much unread. Bounded buffers alone can deadlock a graph that unbounded ones would not
(a consumer that first reads one stream to its end, while the other fills up and holds back what feeds the first). So when a wait would
close a circle, the buffer in question is given more room instead: the rule of Parks, "Bounded Scheduling of Process Networks" (1995).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs

from tavernkeep.contracts.running import Chunk, StreamFailed
from tavernkeep_engine.run.allowance import Allowance
from tavernkeep_engine.run.places import UNLIMITED, Place
from tavernkeep_engine.run.values import CONTAINERS, copied

DEFAULT_ROOM: Final = 64
OUTSIDE: Final = -1  # the consumer of a nested run's streamed outputs: no node of its own
_ROOM_BYTES: Final = 1024 * 1024  # of chunks that a stream holds unread before its producer waits, at first
_SHARE: Final = 8  # of what there is room for in all, no stream takes more than one part at first

_Waits = Callable[[int], Iterable[int]]


@attrs.define(eq=False)
class StreamReader:
    """One consumer's end of one stream; what a node gets for a stream input.

    Attributes:
        room: How many chunks may wait here unread before the producer is held back.
        room_bytes: How many bytes of them.
    """

    producer: int
    consumer: int
    slot: str
    room: int
    room_bytes: int
    _network: "StreamNetwork"
    _chunks: deque[tuple[Chunk, int]] = attrs.field(factory=deque)
    _held: int = 0
    _news: asyncio.Event = attrs.field(factory=asyncio.Event)
    _ended: bool = False
    _failure: str | None = None
    _left: bool = False

    def __aiter__(self) -> "StreamReader":
        return self

    async def __anext__(self) -> Chunk:
        while not self._chunks:
            if self._failure is not None:
                raise StreamFailed(self._failure)
            if self._ended or self._left:
                raise StopAsyncIteration
            self._news.clear()
            await self._network.wait_to_read(self, self._news)
        chunk, size = self._chunks.popleft()
        self._network.allowance.give_back(size)
        self._held -= size
        if not self.is_full:
            self._network.wake_producer(self.producer)
        if type(chunk.content) in CONTAINERS or chunk.extra is not None:
            return attrs.evolve(chunk, content=copied(chunk.content), extra=copied(chunk.extra))
        return chunk

    @property
    def has_news(self) -> bool:
        """Whether who waits here is about to go on."""
        return self._news.is_set()

    @property
    def is_full(self) -> bool:
        """Whether the producer has to wait for this consumer."""
        return (len(self._chunks) >= self.room or self._held >= self.room_bytes) and not self._left

    def push(self, chunk: Chunk, size: int = 0) -> None:
        """Add a chunk; the producer asks `is_full` afterwards.

        Args:
            size: How many bytes it takes while it is unread, where nobody else has counted it.

        Raises:
            ValueRefused: There is no room for them.
        """
        if not self._left:
            self._network.allowance.take(size)
            self._held += size
            self._chunks.append((chunk, size))
            self._news.set()

    def end(self, failure: str | None = None) -> None:
        """No more chunks come; with a message, because the producer failed."""
        if not self._ended:
            self._ended, self._failure = True, failure
            self._news.set()

    def leave(self) -> None:
        """The consumer is done: nothing is kept for it, and nobody waits for it."""
        self._left = True
        self._network.allowance.give_back(self._held)
        self._held = 0
        self._chunks.clear()
        self._news.set()
        self._network.wake_producer(self.producer)


@attrs.define(eq=False)
class StreamNetwork:
    """All streams of one execution.

    Attributes:
        waits_for: Tells which nodes a node that has not started, or waits for a free place, is waiting for; none for one that is at work.
        allowance: What the chunks may take that are unread, each as often as it is.
        room: How many chunks each buffer holds at first.
        place_of: The place that a node gives back while it waits here.
        on_wait: Called when a node begins to wait here.
    """

    waits_for: _Waits
    allowance: Allowance
    room: int = DEFAULT_ROOM
    place_of: Callable[[int], Place] = lambda _: UNLIMITED
    on_wait: Callable[[], None] = lambda: None
    _by_producer: dict[int, list[StreamReader]] = attrs.field(factory=dict)
    _by_consumer: dict[int, list[StreamReader]] = attrs.field(factory=dict)
    _wakers: dict[int, asyncio.Event] = attrs.field(factory=dict)
    _reading: dict[int, list[StreamReader]] = attrs.field(factory=dict)
    _writing: set[int] = attrs.field(factory=set)

    def connect(self, producer: int, slot: str, consumer: int) -> StreamReader:
        """A new end of a producer's stream; it sees all that is sent from now on."""
        reader = StreamReader(producer, consumer, slot, self.room, self._room_bytes(), self)
        self._by_producer.setdefault(producer, []).append(reader)
        self._by_consumer.setdefault(consumer, []).append(reader)
        return reader

    def single(self, consumer: int, value: Any) -> StreamReader:
        """A stream of one chunk."""
        reader = StreamReader(-1, consumer, "", self.room, self._room_bytes(), self)
        reader.push(Chunk.of(value))
        reader.end()
        return reader

    def _room_bytes(self) -> int:
        return max(1, min(_ROOM_BYTES, self.allowance.most // _SHARE))

    def has_readers(self, producer: int) -> bool:
        """Whether any node consumes the producer's streams."""
        return producer in self._by_producer

    async def send(self, producer: int, chunk: Chunk, size: int) -> None:
        """Hand a chunk of so many bytes to whoever reads it, and wait until there is room for the next.

        Raises:
            ValueRefused: There are too many bytes that nobody has read.
        """
        readers = self._by_producer.get(producer)
        if readers is None:
            return
        for reader in readers:
            if chunk.slot is None or chunk.slot == reader.slot:
                reader.push(chunk, size)
        while any(reader.is_full for reader in readers):
            waker = self._wakers.setdefault(producer, asyncio.Event())
            waker.clear()
            await self.place_of(producer).idle(self._wait_to_write(producer, waker))

    async def _wait_to_write(self, producer: int, waker: asyncio.Event) -> None:
        self._writing.add(producer)
        try:
            self.relieve()
            self.on_wait()
            await waker.wait()
        finally:
            self._writing.discard(producer)

    def send_value(self, producer: int, slot: str, value: Any) -> None:
        """Hand a plain value, as one chunk, to who reads that slot as a stream."""
        for reader in self._by_producer.get(producer, ()):
            if reader.slot == slot:
                reader.push(Chunk.of(value))

    def end(self, producer: int, failure: str | None = None) -> None:
        """The producer has finished, or failed with a message."""
        for reader in self._by_producer.get(producer, ()):
            reader.end(failure)

    def leave(self, consumer: int) -> None:
        """A consumer has ended, whether it read to the end or not."""
        for reader in self._by_consumer.get(consumer, ()):
            reader.leave()

    def close(self) -> None:
        """The run has ended: its nodes read nothing any more; who reads from outside reads what there is."""
        for consumer in self._by_consumer:
            if consumer != OUTSIDE:
                self.leave(consumer)
        self._by_producer.clear()  # readers lead here: a circle
        self._by_consumer.clear()

    def wake_producer(self, producer: int) -> None:
        """Let a producer that waits look again whether there is room."""
        if producer in self._writing:
            self._wakers[producer].set()

    async def wait_to_read(self, reader: StreamReader, news: asyncio.Event) -> None:
        """A consumer found nothing to read; returns when there is something, or nothing more will come."""
        await self.place_of(reader.consumer).idle(self._wait_to_read(reader, news))

    async def _wait_to_read(self, reader: StreamReader, news: asyncio.Event) -> None:
        self._reading.setdefault(reader.consumer, []).append(reader)
        try:
            self.relieve()
            self.on_wait()
            await news.wait()
        finally:
            self._reading[reader.consumer].remove(reader)

    def waits(self, node: int) -> bool:
        """Whether a node waits here, and nothing has come for it yet."""
        if node in self._writing:
            return not self._wakers[node].is_set()
        reading = self._reading.get(node, [])
        return bool(reading) and not any(reader.has_news for reader in reading)

    def relieve(self) -> None:
        """Give room to each waiting producer that would otherwise wait, through others, for itself."""
        for producer in tuple(self._writing):
            full = [reader for reader in self._by_producer[producer] if reader.is_full]
            if self._reaches([reader.consumer for reader in full], producer):
                for reader in full:
                    reader.room *= 2
                    reader.room_bytes *= 2
                self._wakers[producer].set()

    def _reaches(self, start: list[int], goal: int) -> bool:
        seen: set[int] = set()
        while start:
            node = start.pop()
            if node == goal:
                return True
            if node not in seen:
                seen.add(node)
                start += self._blocked_by(node)
        return False

    def _blocked_by(self, node: int) -> list[int]:
        blockers = list(self.waits_for(node))
        blockers += [reader.producer for reader in self._reading.get(node, ())]
        if node in self._writing:
            blockers += [reader.consumer for reader in self._by_producer[node] if reader.is_full]
        return blockers
