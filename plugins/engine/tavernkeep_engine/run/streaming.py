"""Nodes that give chunks while they run, and bypassed nodes that pass on the chunks that come in."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Final

import attrs

from tavernkeep.contracts.execution import Recorded
from tavernkeep.contracts.running import Chunk, ExecutionContext, NodeContext, Outputs
from tavernkeep_engine.plan.types import PlanNode
from tavernkeep_engine.run.allowance import Allowance
from tavernkeep_engine.run.attempts import AT_ONCE, Attempts, off_the_loop
from tavernkeep_engine.run.failures import ErrorChunk, message_of
from tavernkeep_engine.run.gather import Gatherer
from tavernkeep_engine.run.outlets import Outlets
from tavernkeep_engine.run.streams import StreamNetwork, StreamReader
from tavernkeep_engine.run.telling import Teller
from tavernkeep_engine.run.values import Given, own_chunk, size_of

SLICE_S: Final = 0.005  # how long nodes may run in line before others on the event loop get their turn


@attrs.frozen(eq=False)
class Streaming:
    """Carries the chunks of one run: to viewers, to the nodes that read them, and out of the workflow.

    Attributes:
        clock: Seconds, monotonic.
        allowance: What the values of the run may take.
        most: How many bytes one value may take.
    """

    clock: Callable[[], float]
    context: ExecutionContext
    network: StreamNetwork
    gatherer: Gatherer
    outlets: Outlets
    teller: Teller
    attempts: Attempts
    allowance: Allowance
    most: int

    async def run(self, node: PlanNode, inputs: dict[str, Any]) -> Given:
        """Run a streaming node to its end; gives its batch outputs."""
        execute = node.shape.mode.execute
        assert execute is not None, "the compiler notes a node without a function as a problem"
        shown = [0]

        async def attempt() -> Given:
            context = NodeContext(self.context, node.id, node.full_type, node.config)
            return await self._send_all(node, execute(inputs, context), shown)

        try:
            return await self.attempts.at(node, attempt, lambda: not shown[0] and not node.shape.stream_inputs)
        except ErrorChunk:
            raise
        except BaseException as error:
            if not self.attempts.state.stopping:
                self._show(node, Chunk("error_chunk", message_of(error)), 0)
            raise

    async def replay(self, node: PlanNode, recorded: Recorded) -> Given:
        """Give again what a streaming node gave before."""
        return await self._send_all(node, _replayed(recorded), [0])

    async def _send_all(self, node: PlanNode, pieces: Any, shown: list[int]) -> Given:
        """Run an async generator: send each chunk to viewers and consumers; gives the batch outputs.

        Args:
            shown: Its first item counts the chunks.
        """
        outputs: dict[str, Any] = {}
        index, consumed = node.index, self.network.has_readers(node.index)
        slice_end = self.clock() + SLICE_S
        try:
            async for piece in pieces:
                if isinstance(piece, Outputs):
                    outputs.update(piece)
                    continue
                chunk, size = await self._own(piece)
                if node.joined:
                    self.allowance.take(size)
                shown[0] += 1
                self._show(node, chunk, size)
                if chunk.type == "error_chunk":
                    raise ErrorChunk.of(chunk)
                if consumed:
                    await self.network.send(index, chunk, size)
                if self.clock() > slice_end:
                    await asyncio.sleep(0)
                    slice_end = self.clock() + SLICE_S
        finally:
            await pieces.aclose()
        return await off_the_loop(lambda most: Given.of(outputs, most, node.shape.live_outputs), self.most)

    async def _own(self, piece: Any) -> tuple[Chunk, int]:
        """What a node yielded as a chunk, the execution's own, and its size in bytes."""
        if type(piece) is str and piece.isascii() and len(piece) <= AT_ONCE:  # nearly all there are
            return Chunk("text_chunk", piece), len(piece)
        return await off_the_loop(lambda most: own_chunk(piece, most), self.most)

    def _show(self, node: PlanNode, chunk: Chunk, size: int) -> None:
        wire = chunk.to_wire()
        self.teller.chunk(node, chunk, size, wire)
        self.outlets.note(node, chunk, wire)
        self.gatherer.note_text(node, chunk)

    async def relay(self, node: PlanNode, streams: Mapping[str, StreamReader]) -> None:
        """Pass on what comes in, chunk by chunk, until it ends.

        Args:
            streams: By output, where its chunks come from.
        """
        async with asyncio.TaskGroup() as group:
            for slot, reader in streams.items():
                group.create_task(self._pump(node, slot, reader))

    async def _pump(self, node: PlanNode, slot: str, reader: StreamReader) -> None:
        async for chunk in reader:
            passed = attrs.evolve(chunk, slot=slot)
            self.outlets.note(node, passed, chunk.to_wire())
            self.gatherer.note_text(node, passed)
            await self.network.send(node.index, passed, size_of(passed.content))

    def lift(self, node: PlanNode, outputs: Mapping[str, Any]) -> None:
        """Plain values where streams were expected go as one chunk."""
        for slot in node.shape.stream_outputs:
            if slot in outputs:
                self.network.send_value(node.index, slot, outputs[slot])
        self.outlets.lift(node, outputs)

    def end(self, node: PlanNode, failure: str | None = None) -> None:
        """A node has ended, or failed with a message: it gives no more chunks, and reads none."""
        self.network.end(node.index, failure)
        self.network.leave(node.index)
        if failure is None and node.streams:
            self.gatherer.end_texts(node)


async def _replayed(recorded: Recorded) -> AsyncGenerator[Any, None]:
    for chunk in recorded.chunks:
        yield chunk
    yield Outputs(recorded.outputs)
