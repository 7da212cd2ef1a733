"""The event loop always gets its turn: nothing that ships here keeps it for more than 50 ms."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from support.watchdog import watchdog
from tavernkeep.contracts.nodes import NodeDefinition
from tavernkeep.contracts.workflow import PayloadNode, WorkflowPayload, payload_from
from tavernkeep.testing import Tavern
from tavernkeep.wire import loads

EXAMPLES = Path(__file__).parents[1] / "examples"
TEXT = "The dragon of the valley sleeps until the first snow. " * 2000  # about 100 kB
VALUES: dict[str, Any] = {
    "STRING": TEXT,
    "INTEGER": 12345,
    "FLOAT": 2.5,
    "BOOLEAN": True,
    "ARRAY": [{"role": "user", "content": TEXT[:100], "name": f"n{i}"} for i in range(1000)],
    "OBJECT": {"entries": [{"keys": ["dragon"], "content": f"entry {i}"} for i in range(1000)], "data": list(range(1000))},
    "BINARY": b"x" * 100_000,
    "WILDCARD": list(range(10_000)),
    "CONVERTIBLE_ANY": TEXT,
}


def test_the_watchdog_bites() -> None:
    """It finds a turn that is too long, and names who took it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def hog() -> None:
        end = time.thread_time() + 0.2
        while time.thread_time() < end:
            pass

    async def hog_once() -> None:
        hog()

    with watchdog(loop, thread) as found:
        asyncio.run_coroutine_threadsafe(hog_once(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    assert len(found.culprits) == 1
    assert "in hog" in found.culprits[0]


def payload_for(definition: NodeDefinition) -> WorkflowPayload:
    inputs = {key: VALUES[slot.data_flow_type.value] for key, slot in definition.inputs.items() if not slot.is_stream}
    inputs = {key: [value] * 100 if definition.inputs[key].multi else value for key, value in inputs.items()}
    inputs |= {key: ", " for key in ("separator", "suffix") if key in inputs}  # else the output has the size of their product
    for key, slot in definition.inputs.items():
        choices = slot.config.get("suggestions")
        if choices and "ComboOption" in slot.match_categories:
            inputs[key] = choices[-1]["value"]
    if definition.type in ("Delay", "WaitForPerson"):
        return WorkflowPayload([], [])
    policy = {"executionPolicy": {"timeoutS": 5}}
    return WorkflowPayload([PayloadNode("n", definition.full_type, inputs, policy)], [])


@pytest.mark.timeout(300)
def test_no_node_keeps_the_loop(tavern: Tavern) -> None:
    """Every node type that ships here, given large inputs, whether it makes anything of them or fails."""
    with watchdog(tavern.loop, tavern.thread) as found:
        for definition in tavern.app.nodes:
            tavern.run(payload_for(definition), check=False)
            assert not found.culprits, (definition.full_type, found.culprits)


def test_no_example_keeps_the_loop(tavern: Tavern) -> None:
    """Every example, ten times at once."""
    stored = {path.stem: loads(path.read_bytes()) for path in EXAMPLES.glob("*.json") if path.stem not in ("expected", "hello")}
    with watchdog(tavern.loop, tavern.thread) as found:
        for name in stored:
            data = {**stored[name], "workflows": {}}
            payload = payload_from(data)
            tavern.run(payload, {"ask": "send"}, check=False)
    assert not found.culprits, found.culprits


def test_a_large_workflow_does_not_keep_the_loop(tavern: Tavern) -> None:
    """5,000 nodes in a chain: compiled and run in turns."""
    nodes = [{"id": f"n{i}", "fullType": "core:TextMerge", "inputs": {"separator": "-", "text_inputs": ["x"]}} for i in range(5000)]
    edges = [
        {"sourceNodeId": f"n{i}", "sourceHandle": "merged_text", "targetNodeId": f"n{i + 1}", "targetHandle": "text_inputs__0"}
        for i in range(4999)
    ]
    with watchdog(tavern.loop, tavern.thread) as found:
        tavern.run(payload_from({"nodes": nodes, "edges": edges}))
    assert not found.culprits, found.culprits
