"""What waits for a slow viewer."""

import json
from typing import Any

from tavernkeep import Event
from tavernkeep.contracts.events import NodeComplete, NodeYield
from tavernkeep_web.outbox import Outbox


def chunk(text: Any, seq: int, node: str = "n", **more: Any) -> Event:
    content = {"type": "text_chunk", "content": text} | more
    return NodeYield(node, content, False).of("p", seq)


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
