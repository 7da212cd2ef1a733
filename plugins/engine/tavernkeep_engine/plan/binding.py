"""Edges become bindings: which output feeds which input, how, in which order, and what of it is only tolerated."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from tavernkeep.contracts.nodes import Kind, NodeMode
from tavernkeep.contracts.slots import Slot, compatible
from tavernkeep.contracts.workflow import Edge, PayloadNode
from tavernkeep.wire import Problem
from tavernkeep_engine.plan.types import STREAMED, Binding, Feed, InputSource, PlanNode

_INDEXED: Final = re.compile(r"((?:(?!__).)+)__([0-9]{1,18})", re.DOTALL)
_UNINDEXED: Final = 10**18

_Arrival = tuple[str, int, int, Edge, PlanNode]  # the slot, its index, the edge's position, the edge, where it comes from


class Binder:
    """Binds the edges of one payload.

    Args:
        everything: The ids of all nodes of the payload, those that are not compiled among them.
        warnings: Gets what is tolerated.
    """

    def __init__(self, everything: set[str], warnings: list[Problem]) -> None:
        self._everything = everything
        self._warnings = warnings
        self._judged: dict[tuple[int, int], str | None] = {}

    def bind(
        self, nodes: list[PlanNode], by_id: Mapping[str, PlanNode], payload_nodes: Sequence[PayloadNode], edges: Sequence[Edge]
    ) -> None:
        """Fill in the values and bindings of each node."""
        incoming: list[list[_Arrival] | None] = [None] * len(nodes)
        for position, edge in enumerate(edges):
            target, source = by_id.get(edge.target_node_id), by_id.get(edge.source_node_id)
            if target is None or source is None or not edge.source_handle or not edge.target_handle:
                self._note_ignored(position, edge)
                continue
            arrivals = incoming[target.index]
            if arrivals is None:
                arrivals = incoming[target.index] = []
            slot, number = _split_handle(edge.target_handle, target.shape.mode)
            arrivals.append((slot, number, position, edge, source))
        for node, arrivals, payload_node in zip(nodes, incoming, payload_nodes, strict=True):
            if arrivals is not None:
                self._bind(node, arrivals, payload_node)

    def _warn(self, path: str, message: str) -> None:
        self._warnings.append(Problem(path, message))

    def _note_ignored(self, position: int, edge: Edge) -> None:
        gone = next((end for end in (edge.source_node_id, edge.target_node_id) if end not in self._everything), None)
        if gone is not None:
            self._warn(f"edges[{position}]", f"is ignored: there is no node {gone!r}")
        elif not edge.source_handle or not edge.target_handle:
            self._warn(f"edges[{position}]", "is ignored: a handle is empty")

    def _bind(self, node: PlanNode, arrivals: list[_Arrival], payload_node: PayloadNode) -> None:
        values: list[tuple[str, int, str]] = []
        bindings: list[Binding] = []
        by_slot: dict[str, list[_Arrival]] = {}
        for arrival in arrivals:
            by_slot.setdefault(arrival[0], []).append(arrival)
        for slot, arriving in by_slot.items():
            multi = slot in node.shape.multi
            if multi:
                arriving = _ordered(arriving, payload_node.input_connection_orders.get(slot))
            elif len(arriving) > 1:
                for _, _, position, _, _ in arriving[:-1]:
                    self._warn(
                        f"edges[{position}]",
                        f"is ignored: a later edge also feeds slot {slot!r} of node {node.id!r}, which takes one",
                    )
                arriving = arriving[-1:]
            target = node.shape.mode.inputs.get(slot)
            if not node.bypassed and slot not in node.shape.live_inputs:
                _note_live(node, slot, arriving)
            feeds = [self._feed(edge, position, source, target) for _, _, position, edge, source in arriving]
            if not multi and feeds[0] is Feed.VALUE:
                values.append((slot, arriving[0][4].index, arriving[0][3].source_handle))
            else:
                sources = [InputSource(entry[4].index, entry[3].source_handle, feed) for entry, feed in zip(arriving, feeds, strict=True)]
                bindings.append(Binding(slot, tuple(sources), multi))
        node.values, node.bindings = values, bindings
        if node.bypassed and node.shape.stream_outputs and any(s.feed in STREAMED for b in bindings for s in b.sources):
            node.kind = Kind.STREAM  # what comes in on a stream may go out on one, so it lasts as long as that does

    def _feed(self, edge: Edge, position: int, source: PlanNode, target: Slot | None) -> Feed:
        given = source.shape.mode.outputs.get(edge.source_handle)
        streams = given is not None and given.is_stream
        wants_stream = target is not None and target.is_stream
        if given is not None and target is not None:
            judged = (id(given), id(target))
            if judged not in self._judged:
                self._judged[judged] = _misfit(given, target)
            if misfit := self._judged[judged]:
                ends = f"from {source.id!r}.{edge.source_handle} to {edge.target_node_id!r}.{edge.target_handle}"
                self._warn(f"edges[{position}]", f"{misfit} ({ends})")
        if streams:
            return Feed.STREAM if wants_stream else Feed.TEXT
        return Feed.LIFTED if wants_stream else Feed.VALUE


def _note_live(node: PlanNode, slot: str, arriving: list[_Arrival]) -> None:
    """What is no data goes only where it is expected."""
    for _, _, _, edge, source in arriving:
        if edge.source_handle in source.shape.live_outputs:
            problem = f"Input {slot!r} of node {node.id} takes no live value, which {source.id}.{edge.source_handle} gives"
            node.problem = node.problem or problem


def _split_handle(handle: str, mode: NodeMode) -> tuple[str, int]:
    """The slot that a target handle names, and its index among the slot's edges.

    An index belongs to a slot that the definition knows; any other handle is taken literally, as dynamic slots may be called anything.
    """
    if "__" in handle and handle not in mode.inputs:
        match = _INDEXED.fullmatch(handle)
        if match and match[1] in mode.inputs:
            return match[1], int(match[2])
    return handle, _UNINDEXED


def _ordered(arriving: list[_Arrival], order: list[str] | None) -> list[_Arrival]:
    """Edges of a multi slot: in the order that the node names, then by the index in the handle, then as they were sent."""
    rank = {edge_id: position for position, edge_id in reversed(list(enumerate(order or ())))}
    return sorted(arriving, key=lambda entry: (rank.get(entry[3].id or "", len(rank)), entry[1], entry[2]))


def _misfit(given: Slot, target: Slot) -> str | None:
    """What is odd about an edge between such slots; it is used all the same."""
    if given.is_stream != target.is_stream:
        return "joins a stream and a slot that is none"
    if not compatible(given, target):
        return f"types do not fit, {given.data_flow_type} and {target.data_flow_type}; the value is passed on as it is"
    return None
