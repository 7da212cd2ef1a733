"""The event loop always gets its turn: nothing that ships here does more in one than a fixed number of steps, however much it is given."""

import asyncio
import threading
from pathlib import Path

import pytest

from support.large import large_chain, large_payload
from support.turns import MOST_STEPS, counted_turns
from tavernkeep.contracts.workflow import payload_from
from tavernkeep.testing import Tavern
from tavernkeep.wire import loads

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize("work", ["calls", "generator"])
def test_a_turn_that_is_too_long_is_found(work: str) -> None:
    """And whose it is; one that is as long as may be is not."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def hog(steps: int) -> None:
        if work == "calls":
            for _ in range(steps):
                abs(1)
        else:
            sum(1 for _ in range(steps))

    with counted_turns(loop) as found:
        asyncio.run_coroutine_threadsafe(hog(MOST_STEPS - 1000), loop).result()
        assert not found.culprits
        asyncio.run_coroutine_threadsafe(hog(MOST_STEPS), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    assert len(found.culprits) == 1
    assert "in hog" in found.culprits[0]


def test_no_node_keeps_the_loop(tavern: Tavern) -> None:
    """Every node type that ships here, given large inputs, whether it makes anything of them or fails."""
    with counted_turns(tavern.loop) as found:
        for definition in tavern.app.nodes:
            tavern.run(large_payload(definition), check=False)
            assert not found.culprits, (definition.full_type, found.culprits)


def test_no_example_keeps_the_loop(tavern: Tavern) -> None:
    """Every example."""
    with counted_turns(tavern.loop) as found:
        for path in EXAMPLES.glob("*.json"):
            if path.stem not in ("expected", "hello"):
                tavern.run(payload_from({**loads(path.read_bytes()), "workflows": {}}), {"ask": "send"}, check=False)
    assert not found.culprits, found.culprits


def test_a_large_workflow_does_not_keep_the_loop(tavern: Tavern) -> None:
    """5,000 nodes in a chain are compiled and run in turns."""
    with counted_turns(tavern.loop) as found:
        tavern.run(payload_from(large_chain(5_000)))
    assert not found.culprits, found.culprits
