"""The executions that have ended and can still be asked for."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

import attrs

from tavernkeep_engine.run.allowance import Allowance
from tavernkeep_engine.schedule.execution import Execution

_NODES: Final = 200_000  # over all of them; a node with its results is about a kilobyte


@attrs.define(eq=False)
class Memory:
    """Remembers the last executions that have ended.

    Attributes:
        most: How many.
        retained: What their values take, with those of the executions that run.
    """

    most: int
    retained: Allowance
    _ended: OrderedDict[str, Execution] = attrs.field(factory=OrderedDict)
    _nodes: int = 0

    def add(self, execution: Execution) -> None:
        """Remember one, and forget the oldest where it is too much."""
        self._ended[execution.id] = execution
        self._nodes += len(execution.plan.nodes)
        while self._ended and (len(self._ended) > self.most or self._nodes > _NODES):
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        _, forgotten = self._ended.popitem(last=False)
        self._nodes -= len(forgotten.plan.nodes)
        forgotten.allowance.release()

    def make_room(self) -> None:
        """Forget the oldest until the values of all others are within what they may take."""
        while self._ended and self.retained.used > self.retained.most:
            self._forget_oldest()

    def get(self, execution_id: str) -> Execution | None:
        """One that is remembered."""
        return self._ended.get(execution_id)

    def latest_first(self) -> Iterator[Execution]:
        """All that are remembered, the one that ended last first."""
        return reversed(self._ended.values())
