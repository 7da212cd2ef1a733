"""How long the event loop is held."""

import asyncio
import time

from support.server import Server
from tavernkeep_console.loop import BUCKETS_S, LoopLag

_HELD_S = 0.15  # by a call that blocks: it lasts at least so long on any machine


async def test_a_blocked_loop_is_seen() -> None:
    """How late it was, that no work was the reason, and, once, in the bucket that it belongs to."""
    lag = LoopLag()
    lag.start()
    time.sleep(_HELD_S)  # noqa: ASYNC251  # what is to be found
    while not sum(lag.counts):
        await asyncio.sleep(0)
    lag.stop()
    longest = lag.longest()
    assert longest.lag_s > 0.1
    assert longest.worked_s < longest.lag_s
    assert sum(lag.counts[BUCKETS_S.index(0.1) + 1 :]) == 1
    assert lag.total_s >= longest.lag_s


async def test_nothing_is_looked_at_after_the_end() -> None:
    """Whoever stops it has no timer left."""
    lag = LoopLag()
    lag.start()
    lag.stop()
    await asyncio.sleep(0.05)
    assert not sum(lag.counts)


async def test_the_metrics_tell_of_it(server: Server) -> None:
    """As a histogram, whose buckets add up, and the longest of the last minute."""
    text = ""
    while "tavernkeep_loop_lag_seconds_count" not in text or "tavernkeep_loop_lag_seconds_count 0.0" in text:
        text = (await server.http.get("/metrics")).text
    found = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("tavernkeep_loop"))
    assert found['tavernkeep_loop_lag_seconds_bucket{le="+Inf"}'] == found["tavernkeep_loop_lag_seconds_count"]
    assert float(found["tavernkeep_loop_longest_lag_seconds"]) >= 0
    assert float(found["tavernkeep_loop_longest_worked_seconds"]) >= 0
