"""What is counted at the door, and what is told of it."""

from collections import Counter

import attrs

from tavernkeep.contracts.storage import Reason, StorageStats, Unavailable


@attrs.define(eq=False)
class Counts:
    """What has been asked of a connection; see `StorageStats`."""

    statements: int = 0
    transactions: int = 0
    waiting: int = 0
    waited_s: float = 0.0
    worked_s: float = 0.0
    failed: Counter[str] = attrs.field(factory=Counter)

    def unavailable(self, reason: Reason, message: str) -> Unavailable:
        """Count a failure; gives the error to raise."""
        self.failed[reason] += 1
        return Unavailable(reason, message)

    def shown(self) -> StorageStats:
        """As they are now."""
        return StorageStats(self.statements, self.transactions, self.waiting, self.waited_s, self.worked_s, dict(self.failed))
