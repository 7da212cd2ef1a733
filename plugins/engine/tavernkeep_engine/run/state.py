"""Where the nodes of a run stand."""

import enum
from typing import Any

import attrs


class NodeState(enum.Enum):
    """Where a node stands; the values are those of `nodeStatus`."""

    PENDING = "pending"
    EXECUTING = "executing"
    COMPLETE = "complete"
    ERROR = "error"
    SKIPPED = "skipped"
    BYPASSED = "bypassed"


@attrs.define(eq=False)
class State:
    """Where a run and each of its nodes stand.

    Attributes:
        nodes: By the node's number.
        open: How many have not ended.
        stopping: The run is being ended: nothing more starts, and what a node raises now is no failure of its own.
        errors: What failed nodes failed of, as viewers may see it, by the node's number.
        failures: The same in the order in which they failed.
    """

    nodes: list[NodeState]
    open: int
    stopping: bool = False
    errors: dict[int, dict[str, Any]] = attrs.field(factory=dict)
    failures: list[dict[str, Any]] = attrs.field(factory=list)

    @classmethod
    def of(cls, count: int) -> "State":
        """Of a run with so many nodes, before it starts."""
        return cls([NodeState.PENDING] * count, count)

    def end(self, index: int, state: NodeState) -> None:
        """A node has ended."""
        self.nodes[index] = state
        self.open -= 1
