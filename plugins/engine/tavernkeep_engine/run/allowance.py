"""How many bytes of values may be held: by one run, by its execution, by all executions together."""

from collections.abc import Callable
from typing import Final

import attrs

from tavernkeep_engine.run.plain import ValueRefused

_BLOCK: Final = 64 * 1024  # bytes that are taken from a larger allowance at once, so that most of what is held asks nobody


@attrs.define(eq=False)
class Allowance:
    """So many bytes may be held.

    Attributes:
        most: How many.
        bound: What messages call it: whose it is, and its name in the configuration.
        larger: The allowance that this one is a part of.
        make_room: Called when it is used up; may give some back.
        used: How many are held.
    """

    most: int
    bound: str
    larger: "Allowance | None" = None
    make_room: Callable[[], object] | None = None
    used: int = 0
    _reserved: int = 0
    _released: bool = False

    def part(self) -> "Allowance":
        """An allowance for a part of what is held, which gives back all of it at once."""
        return Allowance(self.most, self.bound, self)

    def take(self, size: int) -> None:
        """Hold so many bytes more.

        Raises:
            ValueRefused: It is more than may be held.
        """
        self.used += size
        if self.used > self._reserved:
            try:
                self._reserve(size)
            except ValueRefused:
                self.used -= size
                raise

    def _reserve(self, size: int) -> None:
        if self.used > self.most and self.make_room is not None:
            self.make_room()
        if self.used <= self._reserved:
            return
        if self.used > self.most:
            raise ValueRefused(
                f"There is no room for {size:,} bytes more: {self.used - size:,} of the {self.most:,} {self.bound} are taken"
            )
        if self.larger is None:
            self._reserved = self.most
            return
        missing = self.used - self._reserved
        more = max(missing, min(_BLOCK, self.most - self._reserved))
        try:
            self.larger.take(more)
        except ValueRefused:
            if more == missing:
                raise
            more = missing
            self.larger.take(more)
        self._reserved += more

    def give_back(self, size: int) -> None:
        """Hold so many bytes less."""
        if self._released:
            return
        self.used -= size
        if self.larger is not None and self._reserved - self.used > 2 * _BLOCK:
            self.larger.give_back(self._reserved - self.used)
            self._reserved = self.used

    def release(self) -> None:
        """Hold nothing any more, and nothing again: what a node gives that nobody waits for is refused."""
        if self._released:
            return
        self.used = self.most = 0
        self.make_room = None  # it leads to what is held
        self._released = True
        if self.larger is not None:
            self.larger.give_back(self._reserved)
            self._reserved = 0
