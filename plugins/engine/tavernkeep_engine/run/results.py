"""What came of the nodes of a run: what is left of it when it has ended."""

from typing import Any

import attrs

from tavernkeep.contracts.execution import NodeStatus
from tavernkeep.logs import hide
from tavernkeep_engine.plan.types import Plan
from tavernkeep_engine.run.state import NodeState, State
from tavernkeep_engine.run.telling import shown
from tavernkeep_engine.run.values import Described, description


@attrs.define(eq=False)
class Results:
    """Where each node of a run stands, and what it gave. It leads to nothing that runs, so that no circle keeps a run in memory.

    Attributes:
        outputs: Of each node, by its number.
        outcome: The workflow's own outputs, once it has ended.
    """

    plan: Plan
    state: State
    outputs: list[dict[str, Any]]
    secrets: set[str]
    outcome: dict[str, Any] = attrs.field(factory=dict)

    def status_of(self, index: int) -> NodeStatus:
        """What became of a node so far."""
        state = self.state.nodes[index]
        output = None
        if state in (NodeState.COMPLETE, NodeState.BYPASSED):
            output = shown(self.plan.nodes[index], self.outputs[index], streams=state is NodeState.BYPASSED)
        return NodeStatus(state.value, hide(output, self.secrets), self.state.errors.get(index))

    def forget_live(self) -> None:
        """Keep no live value, only what it was; for a run that has ended."""
        for node in self.plan.nodes:
            if node.shape.live_outputs:
                outputs = self.outputs[node.index]
                live = {slot: Described(description(outputs[slot])) for slot in node.shape.live_outputs & outputs.keys()}
                self.outputs[node.index] = outputs | live
