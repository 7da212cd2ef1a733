"""Resting: while all of an execution waits for people, which may take weeks, it has no place among those that run."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs

T = TypeVar("T")


@attrs.define(eq=False)
class Rest:
    """Whether an execution rests.

    Attributes:
        leave: Called when it begins to rest: it gives its place back.
        come_back: Called when it wants one again; whoever gives it calls `end`.
        questions: How many wait for an answer.
        all_waits: Tells whether all that is at work waits for people, or for what does.
    """

    leave: Callable[[], None]
    come_back: Callable[[], None]
    questions: int = 0
    all_waits: Callable[[], bool] = lambda: False  # until there is a run
    _over: asyncio.Event | None = None
    _coming: bool = False

    @property
    def rests(self) -> bool:
        """Whether it has no place now."""
        return self._over is not None

    def look(self) -> None:
        """Something of it waits from now on: if that was the last, it rests."""
        if self.questions and self._over is None and self.all_waits():
            self._over = asyncio.Event()
            self.leave()

    async def until(self, wait: Awaitable[T]) -> T:
        """Wait for something, and then for a place. Who holds anything that others may want gives it back meanwhile."""
        found = await wait
        await self.over()
        return found

    async def over(self) -> None:
        """Something of it goes on: return when it has a place again."""
        if (over := self._over) is not None:
            self.want()
            await over.wait()

    def want(self) -> None:
        """Something of it goes on, and does not wait for the place."""
        if self._over is not None and not self._coming:
            self._coming = True
            self.come_back()  # may have a place at once

    def end(self) -> None:
        """It has a place, or needs none any more because it is to end."""
        if self._over is not None:
            self._over.set()
            self._over, self._coming = None, False

    def close(self) -> None:
        """It has ended: hold nothing that holds this."""
        self.end()
        self.leave = self.come_back = _nothing
        self.all_waits = _never


def _nothing() -> None:
    """What has ended neither leaves nor comes back."""


def _never() -> bool:
    return False
