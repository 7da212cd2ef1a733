"""Whom the nodes of a run wait for that are not at work: what the deadlock rule of streams asks."""

from collections.abc import Collection, Iterable

import attrs

from tavernkeep_engine.plan.types import Plan
from tavernkeep_engine.run.places import UNLIMITED, Place, Places
from tavernkeep_engine.run.state import NodeState, State
from tavernkeep_engine.run.tasks import Tasks


@attrs.frozen(eq=False)
class Waiting:
    """See `tavernkeep_engine.run.streams.StreamNetwork`.

    Attributes:
        held: The nodes that wait for one of the places of the run.
    """

    plan: Plan
    state: State
    places: Places
    tasks: Tasks
    held: Collection[int]

    def waits_for(self, index: int) -> Iterable[int]:
        """The nodes that a node waits for."""
        states = self.state.nodes
        if index < 0 or states[index] is not NodeState.PENDING:
            return ()
        if index in self.held:
            return self.tasks.nodes
        node = self.plan.nodes[index]
        return [
            source
            for source in node.sources
            if states[source] is NodeState.PENDING or (states[source] is NodeState.EXECUTING and source not in node.streamed_by)
        ]

    def place_of(self, index: int) -> Place:
        """The place of a node, which it gives back while it waits in a stream."""
        return self.places.of(self.plan.nodes[index].id) if index >= 0 else UNLIMITED
