"""What waits for a slow viewer."""

import asyncio
import json
from typing import Any

from tavernkeep import Event
from tavernkeep.contracts.events import NodeComplete, NodesReloaded, NodeYield
from tavernkeep_web.outbox import Outbox


def chunk(text: Any, seq: int, node: str = "n", execution: str = "p", **more: Any) -> Event:
    content = {"type": "text_chunk", "content": text} | more
    return NodeYield(node, content, False).of(execution, seq)


def completed(seq: int, size: int, execution: str = "p") -> Event:
    return NodeComplete("n", {"text": "y" * size}).of(execution, seq)


def taken(outbox: Outbox) -> list[dict[str, Any]]:
    found = []
    while (data := outbox.take()) is not None:
        found.append(json.loads(data)["payload"])
    return found


def test_a_viewer_that_keeps_up_gets_each_chunk_as_it_was() -> None:
    """Few waiting messages are not merged."""
    outbox = Outbox(100, 10_000)
    for seq in range(5):
        assert outbox.put(chunk(f"{seq}", seq))
    assert [payload["yieldedContent"]["content"] for payload in taken(outbox)] == ["0", "1", "2", "3", "4"]


def test_adjacent_text_of_one_stream_is_merged_without_loss() -> None:
    """Past a few, text joins the text before it, with the number of the last."""
    outbox = Outbox(100, 100_000)
    for seq in range(1000):
        assert outbox.put(chunk(f"{seq} ", seq))
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


def test_past_the_bound_no_event_is_taken() -> None:
    """By their number and by their bytes; what waits is sent, and makes room. Notices and answers have room of their own."""
    for outbox in (Outbox(16, 10**9), Outbox(10**9, 4096)):
        count = 0
        while outbox.put(completed(count, 200)):
            count += 1
        assert count <= 20
        assert not outbox.put(completed(count, 0))
        outbox.put_message("x", {})
        outbox.put_notice(NodesReloaded(success=True))
        assert not outbox.overflow.is_set()
        assert len(taken(outbox)) == count + 2
        assert outbox.put(completed(count, 200))


def test_an_event_longer_than_the_bound_is_taken() -> None:
    """When there is no other: it has to reach the viewer some time. What waits is never more than the bound and one event."""
    outbox = Outbox(1000, 1024)
    assert outbox.put(completed(1, 100_000))
    assert not outbox.put(completed(2, 0))
    assert len(taken(outbox)) == 1
    assert outbox.put(chunk("z" * 100_000, 2))
    assert not outbox.put(chunk("z", 3))


def test_too_many_notices_and_answers_are_an_overflow() -> None:
    """By messages and by bytes; what comes later is not kept, and nothing of what waited."""
    for outbox in (Outbox(16, 10**9), Outbox(10**9, 1024)):
        assert outbox.put(completed(1, 0))
        for _ in range(100):
            outbox.put_message("x", {"text": "y" * 100})
        assert outbox.overflow.is_set()
        assert outbox.drained
        assert outbox.take() is None
        assert outbox.put(completed(2, 0))
        assert outbox.take() is None


def test_an_answer_longer_than_the_bound_is_sent() -> None:
    """Also with others around it; a viewer that was let go for it would come back for it for ever. Many of them are too much."""
    outbox = Outbox(1000, 1024)
    outbox.put_message("x", {"text": "a"})
    outbox.put_message("x", {"text": "y" * 100_000})
    outbox.put_message("x", {"text": "b"})
    assert [len(str(payload)) > 100_000 for payload in taken(outbox)] == [False, True, False]
    for _ in range(5):
        assert not outbox.overflow.is_set()
        outbox.put_message("x", {"text": "y" * 100_000})
    assert outbox.overflow.is_set()


async def test_a_closed_one_is_drained_when_it_is_empty() -> None:
    """What waits is still taken; nothing is added."""
    outbox = Outbox(100, 10_000)
    outbox.put_message("x", {})
    outbox.close()
    outbox.put_message("y", {})
    outbox.put(completed(1, 0))
    await outbox.wait()
    assert not outbox.drained
    assert outbox.take() is not None
    assert outbox.drained
    await outbox.wait()


def test_what_is_taken_makes_room() -> None:
    """As much as it took, also of texts that were merged."""
    outbox = Outbox(1000, 8192)
    for _ in range(50):
        for seq in range(40):
            assert outbox.put(chunk("x" * 100, seq))
        assert sum(len(payload["yieldedContent"]["content"]) for payload in taken(outbox)) == 4000


def test_what_is_not_wanted_any_more_is_not_sent() -> None:
    """All that waits of one execution, merged texts too, and it makes room; the others and the messages in between stay, in order."""
    outbox = Outbox(40, 10**6)
    for seq in range(1, 21):
        assert outbox.put(completed(seq, 10, "p" if seq % 2 else "q"))
        if seq == 10:
            outbox.put_message("x", {"seq": 100})
    for seq in range(1, 21):
        assert outbox.put(chunk("text", seq, execution="p"))
    outbox.forget("p")
    assert [payload["seq"] for payload in taken(outbox)] == [2, 4, 6, 8, 10, 100, 12, 14, 16, 18, 20]
    for seq in range(40):
        assert outbox.put(completed(seq, 0))


async def test_there_is_room_when_half_of_it_is_free() -> None:
    """Whoever waits for it goes on then, and where the viewer is given up."""
    outbox = Outbox(16, 10**6)
    for seq in range(16):
        outbox.put(completed(seq, 0))
    waiting = asyncio.create_task(outbox.room())
    for _ in range(7):
        outbox.take()
        await asyncio.sleep(0)
    assert not waiting.done()
    outbox.take()
    await waiting
    outbox.put(completed(17, 0))
    waiting = asyncio.create_task(outbox.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    for _ in range(17):
        outbox.put_message("x", {})
    await waiting
