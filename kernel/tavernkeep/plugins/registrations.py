"""The ledger: whatever a plugin registers, with its owner; undone in one place, at any time."""

from collections.abc import Callable
from typing import Final

import attrs
import structlog

KERNEL: Final = "kernel"

Undo = Callable[[], object]

_log = structlog.get_logger(__name__)


class Taken(ValueError):
    """Somebody has registered it before."""


@attrs.define
class Registrations:
    """What each plugin has registered, by the plugin's name, and how it is taken back.

    Attributes:
        settle: Called with what two want, who has it and who comes: raises `Taken`, or makes the one that has it give it back.
    """

    settle: Callable[[str, str, str], None]
    _undo: dict[str, list[Undo]] = attrs.field(factory=dict)
    _owners: dict[str, str] = attrs.field(factory=dict)

    def add(self, owner: str, undo: Undo) -> None:
        """Note something that a plugin registered."""
        self._undo.setdefault(owner, []).append(undo)

    def take(self, owner: str, what: str) -> None:
        """Note something that can be had once, in words: `the command 'serve'`.

        Raises:
            Taken: Another plugin has it; naming both distributions.
        """
        if (there := self._owners.get(what)) is not None and not there == owner == KERNEL:
            self.settle(what, there, owner)
        self._owners[what] = owner
        self.add(owner, lambda: self._owners.pop(what))

    def undo(self, owner: str) -> None:
        """Take back all that a plugin registered, the last first."""
        for undo in reversed(self._undo.pop(owner, [])):
            try:
                undo()
            except Exception:
                _log.exception("a registration could not be taken back", plugin=owner)
