"""The executions that have ended and can still be asked for."""

from collections import OrderedDict
from collections.abc import Iterator

import attrs

from tavernkeep_engine.run.allowance import Allowance
from tavernkeep_engine.run.plain import ValueRefused
from tavernkeep_engine.schedule.ended import Ended
from tavernkeep_engine.schedule.execution import Execution


@attrs.define(eq=False)
class Memory:
    """Remembers the last executions that have ended.

    Attributes:
        most: How many.
        retained: What they may take, with the values of the executions that run.
    """

    most: int
    retained: Allowance
    _known: OrderedDict[str, Execution | Ended] = attrs.field(factory=OrderedDict)

    def add(self, execution: Execution) -> None:
        """Remember one as it is, until it is packed."""
        self._known[execution.id] = execution

    def settle(self, ended: Ended) -> None:
        """Remember one packed, in the place of it as it was, and forget the oldest where it is too much."""
        execution = self._known[ended.id]
        if isinstance(execution, Execution):
            execution.allowance.release()
        try:
            self.retained.take(ended.size)
        except ValueRefused:  # it is larger than all that there is beside what runs
            del self._known[ended.id]
        else:
            self._known[ended.id] = ended
        while len(self._known) > self.most and isinstance(oldest := next(iter(self._known.values())), Ended):
            self._forget(oldest)

    def forget(self, execution: Execution) -> None:
        """Remember one no longer that could not be packed."""
        self._known.pop(execution.id, None)
        execution.allowance.release()

    def _forget(self, ended: Ended) -> None:
        del self._known[ended.id]
        self.retained.give_back(ended.size)

    def make_room(self) -> None:
        """Forget the oldest until all others, and what runs, are within what they may take; not those that nobody else has yet."""
        packed = [known for known in self._known.values() if isinstance(known, Ended)]
        for ended in packed:
            if self.retained.used <= self.retained.most:
                return
            self._forget(ended)

    def get(self, execution_id: str) -> Execution | Ended | None:
        """One that is remembered."""
        return self._known.get(execution_id)

    def latest_first(self) -> Iterator[Execution | Ended]:
        """All that are remembered, the one that ended last first."""
        return reversed(self._known.values())
