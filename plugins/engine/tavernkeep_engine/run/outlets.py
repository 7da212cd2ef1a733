"""The workflow's own outputs: what viewers of a run, or the run that it is part of, get of them."""

from collections.abc import Callable, Mapping
from typing import Any

from tavernkeep.contracts.running import Chunk
from tavernkeep_engine.plan.types import InterfaceOutput, Plan, PlanNode
from tavernkeep_engine.run.gather import Gatherer
from tavernkeep_engine.run.streams import OUTSIDE, StreamNetwork, StreamReader
from tavernkeep_engine.run.telling import STREAM_ENDED, Teller, told


class Outlets:
    """Carries the workflow's own outputs out of a run.

    Attributes:
        nested: The streamed outputs are read by another run, through `readers`, at its own pace; else viewers are told of each chunk.
    """

    def __init__(self, plan: Plan, network: StreamNetwork, gatherer: Gatherer, teller: Teller, *, nested: bool) -> None:
        self._plan = plan
        self._gatherer = gatherer
        self._teller = teller
        self.nested = nested
        self._by_node: dict[int, list[InterfaceOutput]] = {}
        self._ended: set[str] = set()  # the streamed outputs whose viewers were told that they ended
        self.readers: dict[str, StreamReader] = {}
        for output in plan.outputs:
            if output.is_stream:
                self._by_node.setdefault(output.node, []).append(output)
                if nested:
                    self.readers[output.key] = network.connect(output.node, output.slot, OUTSIDE)

    def __contains__(self, index: int) -> bool:
        return index in self._by_node

    def note(self, node: PlanNode, chunk: Chunk, wire: dict[str, Any]) -> None:
        """A node gave a chunk."""
        if not self.nested:
            for output in self._by_node.get(node.index, ()):
                if chunk.slot == output.slot or (chunk.slot is None and output.slot in node.shape.stream_outputs):
                    self._teller.interface_chunk(output, wire, last=False)

    def lift(self, node: PlanNode, outputs: Mapping[str, Any]) -> None:
        """A node gave plain values; one where a stream is expected goes as one chunk."""
        for output in self._by_node.get(node.index, ()):
            if output.slot not in outputs:
                continue
            value = outputs[output.slot]
            if not self.nested:
                self._teller.interface_chunk(output, Chunk.of(told(node, output.slot, value)).to_wire(), last=False)
            elif output.slot not in node.shape.stream_outputs:  # else it has come as a stream already
                self.readers[output.key].push(Chunk.of(value))

    def end(self, node: PlanNode) -> None:
        """A node gives nothing more."""
        for output in self._by_node.get(node.index, ()):
            if output.slot in node.shape.stream_outputs or output.slot in self._gatherer.outputs[node.index]:
                self._ended.add(output.key)
                if not self.nested:
                    self._teller.interface_chunk(output, STREAM_ENDED, last=True)

    def close(self) -> None:
        """The run has ended: nothing more comes out of it."""
        for reader in self.readers.values():
            reader.end()

    def outcome(self, failed: Callable[[int], bool]) -> dict[str, Any]:
        """The value of each output that has one, as it was given; a streamed one is a placeholder, or with a nested run left out."""
        found: dict[str, Any] = {}
        for output in self._plan.outputs:
            outputs = self._gatherer.outputs[output.node]
            if output.is_stream:
                if output.key in self._ended and not self.nested:
                    label = f"{output.key} ({output.display_name or output.key})"
                    found[output.key] = {"type": "stream_placeholder", "message": f"Stream started for {label}"}
                continue
            text = None if failed(output.node) else self._gatherer.text(output.node, output.slot)
            if text is not None:
                found[output.key] = text
            elif output.slot in outputs:
                node = self._plan.nodes[output.node]
                found[output.key] = outputs[output.slot] if self.nested else told(node, output.slot, outputs[output.slot])
        return found
