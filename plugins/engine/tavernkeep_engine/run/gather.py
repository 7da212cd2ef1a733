"""What each node of a run is given: values, joined texts and streams, from the outputs of those before it."""

from collections.abc import Collection
from typing import Any

from tavernkeep.contracts.running import Chunk, NodeFailure
from tavernkeep_engine.plan.types import Binding, Feed, Plan, PlanNode
from tavernkeep_engine.run.streams import StreamNetwork, StreamReader
from tavernkeep_engine.run.values import CONTAINERS, copied


class Gatherer:
    """Holds the outputs of a run, and gathers inputs from them.

    Args:
        secrets: Gets the values of secret inputs.
    """

    def __init__(self, plan: Plan, network: StreamNetwork, secrets: set[str]) -> None:
        self.outputs: list[dict[str, Any]] = [{}] * len(plan.nodes)
        self._nodes = plan.nodes
        self._network = network
        self._secrets = secrets
        self._readers: dict[tuple[int, str], list[StreamReader | None]] = {}
        self._texts: dict[tuple[int, str], list[str]] = {}
        self._not_taken: set[tuple[int, str]] = set()
        self._not_run: set[int] = set()
        for node in plan.nodes:
            for binding in node.bindings:
                if any(source.feed is Feed.STREAM for source in binding.sources):
                    self._readers[node.index, binding.slot] = [
                        network.connect(source.node, source.slot, node.index) if source.feed is Feed.STREAM else None
                        for source in binding.sources
                    ]

    def inputs(self, node: PlanNode) -> dict[str, Any]:
        """The inputs of a node that is about to start; those without a value are left out.

        Raises:
            NodeFailure: One of them cannot be given.
        """
        inputs = node.static.copy()
        outputs = self.outputs
        for slot in node.mutable:
            try:
                inputs[slot] = copied(inputs[slot])
            except RecursionError:  # what is typed in may be nested as deeply as JSON can be read
                raise NodeFailure(f"Input {slot!r} is nested too deeply", slot=slot) from None
        for slot, source, key in node.values:
            given = outputs[source]
            if key in given:
                value = given[key]
                inputs[slot] = self._handed(source, key) if type(value) in CONTAINERS else value
        for binding in node.bindings:
            self._bind(node, binding, inputs)
        for slot in node.shape.stream_inputs:
            if slot in inputs and not node.bypassed:
                inputs[slot] = self._as_stream(node, inputs[slot])
        for slot in node.shape.secret_inputs:
            if isinstance(inputs.get(slot), str):
                self._secrets.add(inputs[slot])
        return inputs

    def _bind(self, node: PlanNode, binding: Binding, inputs: dict[str, Any]) -> None:
        found: list[Any] = []
        for number, source in enumerate(binding.sources):
            if self._is_off(source.node, source.slot):
                continue
            if source.feed is Feed.STREAM:
                found.append(self._readers[node.index, binding.slot][number])
            elif source.feed is Feed.TEXT and (source.node, source.slot) in self._texts:
                found.append(self.text(source.node, source.slot))
            elif source.slot in self.outputs[source.node]:
                found.append(self._handed(source.node, source.slot))
        if found:
            inputs[binding.slot] = found if binding.multi else found[0]

    def _handed(self, source: int, key: str) -> Any:
        """An output as a node is given it: its own to change, unless it is live."""
        value = self.outputs[source][key]
        return value if key in self._nodes[source].shape.live_outputs else copied(value)

    def _as_stream(self, node: PlanNode, value: Any) -> Any:
        if isinstance(value, StreamReader):
            return value
        if isinstance(value, list) and any(isinstance(item, StreamReader) for item in value):
            return [self._as_stream(node, item) for item in value]
        return self._network.single(node.index, value)

    # Joined texts of streams

    def note_text(self, node: PlanNode, chunk: Chunk) -> None:
        """Keep a chunk for the inputs that take the joined text of its stream."""
        if node.joined and chunk.type == "text_chunk":
            for slot in node.joined:
                if chunk.slot is None or chunk.slot == slot:
                    self._texts.setdefault((node.index, slot), []).append(str(chunk.content))

    def end_texts(self, node: PlanNode) -> None:
        """A stream that ended without any text has the empty one."""
        for slot in node.joined - self.outputs[node.index].keys():
            self._texts.setdefault((node.index, slot), [])

    def text(self, index: int, slot: str) -> str | None:
        """The joined text of a stream that has ended; `None` where there is none."""
        pieces = self._texts.get((index, slot))
        return None if pieces is None else "".join(pieces)

    # Ways that are not taken

    def turn_off(self, index: int, slots: Collection[str] | None) -> None:
        """Some outputs of a node, or with `None` all, are on a way that is not taken."""
        if slots is None:
            self._not_run.add(index)
        else:
            self._not_taken.update((index, slot) for slot in slots)

    def _is_off(self, index: int, slot: str) -> bool:
        return index in self._not_run or (index, slot) in self._not_taken

    def is_left_out(self, node: PlanNode) -> bool:
        """Whether a node depends on a way that is not taken: by an input that takes one edge, or by all edges of one that takes several."""
        if not self._not_taken and not self._not_run:
            return False
        if any(self._is_off(source, key) for _, source, key in node.values):
            return True
        return any(all(self._is_off(source.node, source.slot) for source in binding.sources) for binding in node.bindings)
