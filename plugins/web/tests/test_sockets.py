"""Viewers of a server that keeps little for each."""

from collections.abc import Mapping
from typing import Any

import httpx2
import pytest

from tavernkeep.testing import Message, Socket, is_final, output_of, statuses

LONG = 100_000


@pytest.fixture(scope="module")
def tavern_config() -> Mapping[str, Any]:
    """Room for four kilobytes."""
    return {"web": {"socketQueueBytes": 4096}}


def test_a_message_longer_than_its_bound_reaches_a_viewer(socket: Socket) -> None:
    """With all that comes before and after it, to the end."""
    node = {"id": "n", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["x" * LONG]}}
    messages = socket.run({"nodes": [node], "edges": []})
    assert statuses(messages)[-1] == "complete"
    assert len(output_of(messages, "n")["merged_text"]) == LONG


@pytest.mark.parametrize("batch", [False, True])
def test_what_a_viewer_missed_reaches_it(socket: Socket, http: httpx2.Client, batch: bool) -> None:
    """Many times what is kept for it: all of it in order, and not the end of the socket. Asked for once more it begins anew."""
    nodes = [{"id": f"n{i}", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["x" * 10_000]}} for i in range(50)]
    id_ = http.post("/api/prompt", json={"nodes": nodes, "edges": []}).json()["promptId"]
    with http.stream("GET", f"/api/prompt/{id_}/events") as answer:
        last = int([line for line in answer.iter_lines() if line.startswith("id: ")][-1][4:])
    socket.send("HELLO", {"batch": batch})
    for _ in range(2):
        socket.send("SUBSCRIBE", {"promptId": id_, "after": 0})
    messages: list[Message] = []
    while not any(map(is_final, messages)):
        frame = socket.wait(socket.viewer.receive_any())
        messages += frame if isinstance(frame, list) else [frame]
    numbers = [message["payload"]["seq"] for message in messages if "seq" in message["payload"]]
    assert numbers[-last:] == list(range(1, last + 1))
    assert numbers[:-last] == list(range(1, len(numbers) - last + 1))
