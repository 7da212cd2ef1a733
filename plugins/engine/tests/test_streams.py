"""Streams between nodes: order, back-pressure, early leaving, failure, and the deadlock rule."""

import asyncio

import pytest

from tavernkeep import Chunk, StreamFailed
from tavernkeep.testing import PATIENCE_S
from tavernkeep_engine.run.allowance import Allowance
from tavernkeep_engine.run.plain import ValueRefused
from tavernkeep_engine.run.streams import StreamNetwork

KIB = 1024


def network(room: int = 2, waits: dict[int, list[int]] | None = None, allowance: Allowance | None = None) -> StreamNetwork:
    return StreamNetwork(lambda index: (waits or {}).get(index, []), allowance or Allowance(KIB, "bytes"), room)


def text(number: int) -> Chunk:
    return Chunk("text_chunk", str(number))


async def test_every_reader_gets_every_chunk_in_order() -> None:
    """Several consumers of one stream each see all of it."""
    streams = network(room=100)
    readers = [streams.connect(0, "out", consumer) for consumer in (1, 2)]
    for number in range(10):
        await streams.send(0, text(number), 1)
    streams.end(0)
    for reader in readers:
        assert [chunk.content async for chunk in reader] == [str(number) for number in range(10)]


async def test_a_chunk_for_one_slot_goes_there_alone() -> None:
    """A chunk with a slot reaches the readers of that output and no other."""
    streams = network(room=100)
    one, two = streams.connect(0, "one", 1), streams.connect(0, "two", 2)
    await streams.send(0, Chunk("text_chunk", "for one", slot="one"), 1)
    await streams.send(0, Chunk("text_chunk", "for all"), 1)
    streams.end(0)
    assert [chunk.content async for chunk in one] == ["for one", "for all"]
    assert [chunk.content async for chunk in two] == ["for all"]


async def test_a_full_reader_holds_the_producer_back() -> None:
    """Sending waits while a consumer has as much unread as its room, and goes on when it reads."""
    streams = network(room=2)
    reader = streams.connect(0, "out", 1)
    await streams.send(0, text(1), 1)
    sending = asyncio.create_task(streams.send(0, text(2), 1))
    await asyncio.sleep(0)
    assert not sending.done()
    assert (await anext(reader)).content == "1"
    await sending


async def test_large_chunks_hold_the_producer_back() -> None:
    """However few they are; what is read or left unread is held no longer."""
    allowance = Allowance(8 * KIB, "bytes")
    streams = network(room=100, allowance=allowance)
    reader = streams.connect(0, "out", 1)
    await streams.send(0, text(1), KIB - 1)
    sending = asyncio.create_task(streams.send(0, text(2), 1))
    await asyncio.sleep(0)
    assert not sending.done()
    await anext(reader)
    await sending
    assert allowance.used == 1
    streams.leave(1)
    assert allowance.used == 0


async def test_more_than_may_be_held_unread_is_refused() -> None:
    """Where a buffer grows so that nothing waits for ever, it grows up to what there is room for."""
    streams = network(room=1, waits={1: [2], 2: [0]}, allowance=Allowance(KIB, "bytes"))
    streams.connect(0, "out", 1)
    async with asyncio.timeout(PATIENCE_S):
        await streams.send(0, text(1), KIB // 2)
        await streams.send(0, text(2), KIB // 2)
        with pytest.raises(ValueRefused, match="no room for 1 bytes more"):
            await streams.send(0, text(3), 1)


async def test_a_reader_that_leaves_holds_nobody_back() -> None:
    """A consumer that stops early is sent nothing more."""
    streams = network(room=1)
    streams.connect(0, "out", 1)
    sending = asyncio.create_task(streams.send(0, text(1), 1))
    await asyncio.sleep(0)
    streams.leave(1)
    await sending
    await streams.send(0, text(2), 1)


async def test_a_failed_producer_fails_its_readers_after_what_it_sent() -> None:
    """What was sent before the failure is read first; then the iterator raises."""
    streams = network(room=100)
    reader = streams.connect(0, "out", 1)
    await streams.send(0, text(1), 1)
    streams.end(0, "it broke")
    assert (await anext(reader)).content == "1"
    with pytest.raises(StreamFailed, match="it broke"):
        await anext(reader)


async def test_a_wait_that_would_close_a_circle_is_given_room() -> None:
    """A consumer that waits for something which waits for the full producer would wait for ever; its buffer grows instead."""
    streams = network(room=1, waits={1: [2], 2: [0]})
    streams.connect(0, "out", 1)
    async with asyncio.timeout(PATIENCE_S):
        for number in range(10):
            await streams.send(0, text(number), 1)


async def test_a_value_is_a_stream_of_one_chunk() -> None:
    """A plain value in a stream slot arrives as one chunk, a text as text."""
    streams = network()
    assert [chunk async for chunk in streams.single(1, "x")] == [Chunk("text_chunk", "x")]
    assert [chunk async for chunk in streams.single(1, {"a": 1})] == [Chunk("custom", {"a": 1})]
