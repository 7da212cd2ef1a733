"""A run on behalf of a node of another run: its streamed outputs are read by that node, its batch outputs are there at the end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Protocol

from tavernkeep.execution import ExecutionStatus
from tavernkeep.running import Chunk, NodeFailure, StreamFailed, Subflow
from tavernkeep_engine.outlets import Outlets
from tavernkeep_engine.streams import StreamReader

_Pieces = AsyncGenerator[tuple[str, Chunk], None]


class Inner(Protocol):
    """What there is to a run, seen from here."""

    outlets: Outlets
    outcome: dict[str, Any]
    failures: list[dict[str, Any]]

    async def execute(self) -> ExecutionStatus:
        """Run to the end."""
        ...


class NestedRun:
    """See `tavernkeep.running.SubRun`.

    Args:
        on_end: Called once, when it has ended.
    """

    def __init__(self, run: Inner, subflow: Subflow, on_end: Callable[[], object]) -> None:
        self._run = run
        self._subflow = subflow
        self._on_end = on_end

    @property
    def outputs(self) -> Mapping[str, Any]:
        """Its batch outputs."""
        return self._run.outcome

    async def __aiter__(self) -> AsyncIterator[tuple[str, Chunk]]:
        task = asyncio.get_running_loop().create_task(self._run.execute(), name=f"workflow {self._subflow.reference}")
        try:
            async with aclosing(_merged(self._run.outlets.readers)) as pieces:
                async for piece in pieces:
                    yield piece
            status = await task
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
            self._on_end()
        if status is ExecutionStatus.ERROR:
            first = self._run.failures[0]
            message = f"node {first['nodeId']!r} of workflow {self._subflow.name!r} failed: {first['message']}"
            raise NodeFailure(message, retryable=bool(first.get("retryable")))
        if status is ExecutionStatus.INTERRUPTED:
            raise NodeFailure(f"workflow {self._subflow.name!r} was interrupted")


async def _merged(readers: Mapping[str, StreamReader]) -> _Pieces:
    """The chunks of several streams as they come, each with its key. A stream that fails ends: the run itself tells why."""
    pieces: asyncio.Queue[tuple[str, Chunk] | None] = asyncio.Queue(1)

    async def pump(key: str, reader: StreamReader) -> None:
        try:
            async for chunk in reader:
                await pieces.put((key, chunk))
        except StreamFailed:
            pass
        await pieces.put(None)

    tasks = [asyncio.get_running_loop().create_task(pump(key, reader)) for key, reader in readers.items()]
    try:
        left = len(tasks)
        while left:
            piece = await pieces.get()
            if piece is None:
                left -= 1
            else:
                yield piece
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
