"""Everything at the same time: each answer is right, and it takes no more memory the longer it goes on."""

import asyncio
import statistics
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import psutil
import pytest

from support.llm import LlmServer, channel
from support.load import Load
from support.server import serve

MIB: Final = 1024 * 1024
MOST_ABOVE_IDLE: Final = 150 * MIB
MOST_GROWTH: Final = 16 * MIB  # of what a full list, a cache or a crowd of requests takes for a moment
THIRD: Final = 1000  # executions: however long they take


async def memory(process: psutil.Process, load: Load, executions: int) -> AsyncIterator[int]:
    """What it takes, again and again, until so many executions more have ended."""
    end = load.executions + executions
    while load.executions < end:
        assert not load.errors, load.errors
        yield process.memory_info().rss
        await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_memory_is_flat_under_a_mixed_load(tmp_path: Path, llm: LlmServer) -> None:
    """Workflows, streams, groups, maps, lists, chats, files and slow viewers, all of them answered as they should be."""
    async with serve(tmp_path, {"llm": channel(llm)}, TAVERNKEEP_LOGGING__LEVEL="warning") as server:
        process = psutil.Process(server.process.pid)
        await server.http.get("/api/nodes")
        idle = process.memory_info().rss
        load = Load(server)
        running = asyncio.create_task(load.run())
        first, second, third = [[rss async for rss in memory(process, load, THIRD)] for _ in range(3)]
        load.stop()
        await running
        assert not load.errors
        assert max(first + second + third) - idle <= MOST_ABOVE_IDLE
        assert statistics.median(third) - statistics.median(second) <= MOST_GROWTH
        metrics = (await server.http.get("/metrics")).text
        assert f'tavernkeep_executions_ended_total{{status="complete"}} {load.executions}.0' in metrics
        assert server.output().count("\n") < 20, server.output()  # nothing was complained of
