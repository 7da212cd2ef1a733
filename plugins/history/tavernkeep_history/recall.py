"""What an execution goes on with: the results that nodes gave, the answers that people gave, and which nodes were at work."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import attrs

from tavernkeep.contracts.events import (
    Event,
    NodeAnswered,
    NodeBypassed,
    NodeComplete,
    NodeError,
    NodeExecuting,
    NodeRetrying,
    NodeSkipped,
    NodeWaiting,
    NodeYield,
    StatusUpdate,
)
from tavernkeep.contracts.execution import ExecutionStatus, Recall, Recorded

# Events that follow each other, and the numbers of those that do not say what a node gave.
Pieces = AsyncIterator[tuple[Sequence[Event], frozenset[int]]]


@attrs.define
class _Story:
    """What its events tell of an execution so far."""

    cut: frozenset[str] | None
    nodes: dict[str, Recorded] = attrs.field(factory=dict)
    answers: dict[str, list[Any]] = attrs.field(factory=dict)
    _chunks: dict[str, list[Mapping[str, Any]] | None] = attrs.field(factory=dict)

    def take(self, event: Event, *, exact: bool) -> None:
        """One more."""
        match event:
            case NodeExecuting():
                self._begin(event.node_id)
                self.nodes.pop(event.node_id, None)
            case NodeAnswered():
                self.answers.setdefault(event.node_id, []).append(event.value)
            case NodeError():
                self.answers.pop(event.node_id, None)
            case NodeRetrying():
                self.answers.pop(event.node_id, None)
                self._begin(event.node_id)
            case NodeYield() if (kept := self._chunks.get(event.source_node_id)) is not None:
                if exact:
                    kept.append(event.yielded_content)
                else:
                    self._chunks[event.source_node_id] = None
            case NodeComplete():
                self.answers.pop(event.node_id, None)
                kept = self._chunks.pop(event.node_id, None)
                if exact and kept is not None:
                    self.nodes[event.node_id] = Recorded(dict(event.output), kept, event.not_taken or ())

    def _begin(self, node_id: str) -> None:
        self._chunks[node_id] = None if self.cut is None or node_id in self.cut else []


async def recalled(pieces: Pieces, cut: frozenset[str] | None) -> Recall:
    """What the nodes gave that completed, where it is all there and as it was; and what people answered to those that did not.

    Args:
        cut: The nodes of which chunks were left out; `None` where that can be any.
    """
    story = _Story(cut)
    async for events, inexact in pieces:
        for event in events:
            story.take(event, exact=event.seq not in inexact)
    return Recall(story.nodes, story.answers)


@attrs.frozen
class AtWork:
    """What an execution was about when its process ended.

    Attributes:
        nodes: Those that had begun, and neither ended nor waited for a person.
        is_suspect: It may have been what ended the process: nodes were at work; or it had just begun, and nobody knows of any node yet.
    """

    nodes: list[str]
    is_suspect: bool


async def at_work(pieces: Pieces) -> AtWork:
    """What an execution was about at the end of its last life.

    In each life it waits first: until it runs no node of it is at work; then those are that were before.
    """
    working: dict[str, None] = {}
    asking: dict[str, None] = {}
    before: tuple[dict[str, None], dict[str, None]] = ({}, {})
    runs = has_nodes = False
    async for events, _ in pieces:
        for event in events:
            match event:
                case StatusUpdate(status=ExecutionStatus.RUNNING):
                    runs, (working, asking) = True, before
                case StatusUpdate():
                    runs, before = False, (before[0] | working, before[1] | asking)
                    working, asking = {}, {}
                case NodeExecuting() | NodeAnswered():
                    has_nodes = True
                    working[event.node_id] = None
                    asking.pop(event.node_id, None)
                case NodeWaiting() | NodeComplete() | NodeError() | NodeSkipped() | NodeBypassed():
                    has_nodes = True
                    working.pop(event.node_id, None)
                    asking.pop(event.node_id, None)
                    if isinstance(event, NodeWaiting):
                        asking[event.node_id] = None
    # A node in which another one asks waits with it; what else is in it is there itself where it is at work.
    found = [node_id for node_id in working if not any(other.startswith(f"{node_id}/") for other in asking)]
    return AtWork(found, bool(found) or (runs and not has_nodes))
