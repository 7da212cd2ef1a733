"""A run on behalf of a node of another run: its streamed outputs are read by that node, its batch outputs are there at the end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Protocol

from tavernkeep.contracts.execution import ExecutionStatus
from tavernkeep.contracts.running import Chunk, NodeFailure, StreamFailed, Subflow, merged
from tavernkeep_engine.run.outlets import Outlets
from tavernkeep_engine.run.places import Place
from tavernkeep_engine.run.values import copied


class Inner(Protocol):
    """What there is to a run, seen from here."""

    outlets: Outlets
    failures: list[dict[str, Any]]

    @property
    def outcome(self) -> dict[str, Any]:
        """The workflow's own outputs, once it has ended."""
        ...

    async def execute(self) -> ExecutionStatus:
        """Run to the end."""
        ...

    def answer(self, node_id: str, value: Any) -> bool:
        """Give a node the answer that it waits for; tells whether any such node waits."""
        ...

    def waits(self) -> bool:
        """Whether all of it that is at work waits for people."""
        ...

    def release(self) -> None:
        """Count nothing of it as held any more."""
        ...


class NestedRun:
    """See `tavernkeep.contracts.running.SubRun`.

    Args:
        place: That of the node on whose behalf it is.
        begin: Called when it begins; what that gives is called when it has ended.
    """

    def __init__(self, run: Inner, subflow: Subflow, place: Place, begin: Callable[[], Callable[[], object]]) -> None:
        self._run = run
        self._subflow = subflow
        self._place = place
        self._begin = begin

    @property
    def outputs(self) -> Mapping[str, Any]:
        """Its batch outputs; each time a copy, so that who changes it changes nothing that was told."""
        return copied(self._run.outcome)  # type: ignore[no-any-return]

    async def __aiter__(self) -> AsyncIterator[tuple[str, Chunk]]:
        end = self._begin()
        task = asyncio.get_running_loop().create_task(self._run.execute(), name=f"workflow {self._subflow.reference}")
        try:
            readers = self._run.outlets.readers
            try:
                async with aclosing(merged(readers)) as pieces:
                    while (piece := await self._place.idle(anext(pieces, None))) is not None:
                        yield piece
            except StreamFailed:
                for reader in readers.values():
                    reader.leave()  # the run goes on to its end, and tells then what failed
            status = await self._place.idle(task)
        finally:
            try:
                if not task.done():
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
            finally:
                end()
        if status is ExecutionStatus.ERROR:
            first = self._run.failures[0]
            message = f"node {first['nodeId']!r} of workflow {self._subflow.name!r} failed: {first['message']}"
            raise NodeFailure(message, retryable=bool(first.get("retryable")))
        if status is ExecutionStatus.INTERRUPTED:
            raise NodeFailure(f"workflow {self._subflow.name!r} was interrupted")
