"""How events are stored."""

import json
import math
import zlib
from typing import Any

import pytest

from tavernkeep.contracts.events import Event, NodeComplete, NodeExecuting, NodeYield
from tavernkeep_history.packing import messages_of, packed


def _numbered(*events: Event) -> list[Event]:
    return [event.of("e", number) for number, event in enumerate(events, 1)]


@pytest.mark.parametrize("value", [b"\x00\xff", 2**64, -(2**80), [{"deep": b"x"}], "é", 1.5, None, float("inf")], ids=repr)
def test_every_value_is_given_back_as_it_was(value: Any) -> None:
    """So that nothing that completed runs again."""
    (block,) = packed(_numbered(NodeExecuting("a"), NodeComplete("a", {"out": value})), 1000)
    assert (block.first_seq, block.last_seq, block.inexact) == (1, 2, [])
    message = messages_of(block.lines)[1]
    assert message == {"type": "NODE_COMPLETE", "payload": {"nodeId": "a", "output": {"out": value}, "promptId": "e", "seq": 2}}
    assert type(message["payload"]["output"]["out"]) is type(value)


def test_no_number_is_given_back_as_none() -> None:
    """It is equal to nothing, not even itself."""
    (block,) = packed(_numbered(NodeComplete("a", {"out": math.nan})), 1000)
    assert math.isnan(messages_of(block.lines)[0]["payload"]["output"]["out"])


def test_what_does_not_say_what_a_node_gave_is_noted() -> None:
    """What is hidden, left out because it is large, or described."""
    events = _numbered(
        NodeComplete("a", {"out": "***"}),
        NodeComplete("b", {"out": "x" * 2000}),
        NodeComplete("c", {"out": "<Client>"}, live=["out"]),
        NodeYield("d", {"type": "text_chunk", "content": "key ***"}, False),
        NodeComplete("e", {"out": "x"}),
    )
    (block,) = packed(events, 1000)
    assert block.inexact == [1, 2, 3, 4]
    left_out = messages_of(block.lines)[1]["payload"]["output"]
    assert left_out == {"truncated": True, "limitBytes": 1000, "value": "***"}


def test_many_events_are_several_blocks() -> None:
    """None is lost between them."""
    blocks = packed(_numbered(*(NodeExecuting(str(number)) for number in range(4500))), 1000)
    assert [(block.first_seq, block.last_seq) for block in blocks] == [(1, 2000), (2001, 4000), (4001, 4500)]


def test_blocks_of_earlier_versions_are_read() -> None:
    """They hold JSON, a line each."""
    messages = [{"type": "NODE_EXECUTING", "payload": {"nodeId": "a", "seq": number}} for number in (1, 2)]
    assert messages_of(zlib.compress("\n".join(map(json.dumps, messages)).encode())) == messages
