"""What waits for a slow viewer."""

import asyncio
import json
from typing import Any

from tavernkeep import Event
from tavernkeep.contracts.events import NodeComplete, NodeYield
from tavernkeep_web.outbox import Outbox


def chunk(text: Any, seq: int, node: str = "n", **more: Any) -> Event:
    content = {"type": "text_chunk", "content": text} | more
    return NodeYield(node, content, False).of("p", seq)


def completed(seq: int, size: int) -> Event:
    return NodeComplete("n", {"text": "y" * size}).of("p", seq)


def taken(outbox: Outbox) -> list[dict[str, Any]]:
    found = []
    while (data := outbox.take()) is not None:
        found.append(json.loads(data)["payload"])
    return found


def test_a_viewer_that_keeps_up_gets_each_chunk_as_it_was() -> None:
    """Few waiting messages are not merged."""
    outbox = Outbox(100, 10_000)
    for seq in range(5):
        outbox.put(chunk(f"{seq}", seq))
    assert [payload["yieldedContent"]["content"] for payload in taken(outbox)] == ["0", "1", "2", "3", "4"]


def test_adjacent_text_of_one_stream_is_merged_without_loss() -> None:
    """Past a few, text joins the text before it, with the number of the last."""
    outbox = Outbox(100, 100_000)
    for seq in range(1000):
        outbox.put(chunk(f"{seq} ", seq))
    payloads = taken(outbox)
    assert len(payloads) < 20
    assert "".join(payload["yieldedContent"]["content"] for payload in payloads) == "".join(f"{seq} " for seq in range(1000))
    assert payloads[-1]["seq"] == 999


def test_what_differs_is_not_merged() -> None:
    """Another node, another slot, other fields, or a message in between keep texts apart."""
    outbox = Outbox(1000, 100_000)
    for seq in range(20):
        outbox.put(chunk("x", seq))
    before = len(taken(outbox))
    assert before < 20
    for seq in range(20):
        outbox.put(chunk("x", seq, node=f"n{seq % 2}"))
    assert len(taken(outbox)) == 20
    for seq in range(20):
        outbox.put(chunk("x", seq, slot=f"s{seq % 2}"))
    assert len(taken(outbox)) == 20
    for seq in range(20):
        outbox.put(chunk("x", seq, tokens=1))
    assert len(taken(outbox)) == 20
    for seq in range(20):
        outbox.put(NodeComplete("n", {}).of("p", seq) if seq % 2 else chunk("x", seq))
    assert len(taken(outbox)) == 20


def test_past_the_bound_it_overflows_and_holds_nothing() -> None:
    """By messages and by bytes; what comes later is not kept."""
    for outbox in (Outbox(16, 10**9), Outbox(10**9, 1024)):
        for _ in range(100):
            outbox.put_message("x", {"text": "y" * 100})
        assert outbox.overflow.is_set()
        assert outbox.drained
        assert outbox.take() is None


async def test_a_closed_one_is_drained_when_it_is_empty() -> None:
    """What waits is still taken; nothing is added."""
    outbox = Outbox(100, 10_000)
    outbox.put_message("x", {})
    outbox.close()
    outbox.put_message("y", {})
    await outbox.wait()
    assert not outbox.drained
    assert outbox.take() is not None
    assert outbox.drained
    await outbox.wait()


def test_a_message_longer_than_the_bound_is_sent() -> None:
    """Also with others around it; a viewer that was let go for it would come back for it for ever. Many of them are too much."""
    outbox = Outbox(1000, 1024)
    outbox.put_message("x", {"text": "a"})
    outbox.put(completed(1, 100_000))
    outbox.put(chunk("z" * 100_000, 2))
    outbox.put_message("x", {"text": "b"})
    assert [len(str(payload)) > 100_000 for payload in taken(outbox)] == [False, True, True, False]
    for seq in range(5):
        assert not outbox.overflow.is_set()
        outbox.put(completed(seq, 100_000))
    assert outbox.overflow.is_set()


def test_what_is_taken_makes_room() -> None:
    """As much as it took, also of texts that were merged past what a message counts for."""
    outbox = Outbox(1000, 8192)
    for _ in range(50):
        for seq in range(40):
            outbox.put(chunk("x" * 100, seq))
        assert not outbox.overflow.is_set()
        assert sum(len(payload["yieldedContent"]["content"]) for payload in taken(outbox)) == 4000


async def test_what_a_viewer_asks_for_again_has_room() -> None:
    """However much it is: it comes in order, before what is new, and `caught_up` returns once it is sent."""
    outbox = Outbox(16, 1024)
    outbox.put_message("x", {"seq": 101})
    outbox.resume(completed(seq, 100) for seq in range(1, 101))
    waiting = asyncio.create_task(outbox.caught_up())
    await asyncio.sleep(0)
    await outbox.wait()
    assert not waiting.done()
    assert [payload["seq"] for payload in taken(outbox)] == [*range(1, 102)]
    await waiting


async def test_one_that_is_let_go_is_waited_for_no_more() -> None:
    """`caught_up` returns; nothing of what it had asked for is kept."""
    outbox = Outbox(16, 1024)
    outbox.resume([completed(1, 0)])
    waiting = asyncio.create_task(outbox.caught_up())
    await asyncio.sleep(0)
    for _ in range(17):
        outbox.put_message("x", {})
    await waiting
    outbox.resume([completed(1, 0)])
    assert outbox.take() is None
    await outbox.caught_up()
