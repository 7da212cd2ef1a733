"""Places: how many nodes of one type may be at work at once (`max_concurrent`).

A place is for work. A node has one from its start to its end, except while it waits for other nodes or for a person: for a chunk, for room
in a stream, for a run that is nested in it, for an answer, for its next attempt. Then it gives its place back, and takes one again, behind
those that wait already, before it goes on. So who has a place waits for nobody who may want one, and places alone can never stop a
workflow: a producer and its consumer may be of one type, a group may hold nodes of its own type, with a limit of one.

A node that does several things at once (a map that runs several workflows) has no place while any of them waits.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from types import TracebackType
from typing import Final, TypeVar

import attrs

T = TypeVar("T")


@attrs.define(eq=False)
class Place:
    """A node's place among those of its type; of a type without a limit, none is needed.

    >>> asyncio.run(UNLIMITED.idle(asyncio.sleep(0, "done")))
    'done'
    """

    _limiter: asyncio.Semaphore | None
    _held: bool = False
    _waits: int = 0
    _over: bool = False

    async def __aenter__(self) -> None:
        await self._take()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over = True
        self._give_back()

    async def idle(self, wait: Awaitable[T]) -> T:
        """Wait for others, without the place meanwhile. Who is cancelled does not wait to have it back."""
        if self._limiter is None:
            return await wait
        self.leave()
        try:
            found = await wait
        except asyncio.CancelledError:
            self._waits -= 1
            raise
        except BaseException:
            await self.come_back()
            raise
        await self.come_back()
        return found

    def leave(self) -> None:
        """A part of the node begins to wait for others."""
        self._waits += 1
        self._give_back()

    async def come_back(self) -> None:
        """It waits no more; when no other part does, it goes on once there is a place."""
        self._waits -= 1
        if not self._waits:
            await self._take()

    async def _take(self) -> None:
        if self._limiter is None or self._held or self._over:
            return
        await self._limiter.acquire()
        if self._held or self._over or self._waits:  # another part of the node was here first, or has begun to wait
            self._limiter.release()
        else:
            self._held = True

    def _give_back(self) -> None:
        if self._held:
            assert self._limiter is not None, "only a limiter gives places"
            self._held = False
            self._limiter.release()


UNLIMITED: Final = Place(None)


@attrs.define(eq=False)
class Places:
    """The places of the nodes of one run.

    Attributes:
        by_type: Shared by all executions.
    """

    by_type: Mapping[str, asyncio.Semaphore]
    _of: dict[str, Place] = attrs.field(factory=dict)

    def limits(self, full_type: str) -> bool:
        """Whether there are only so many places for nodes of a type."""
        return full_type in self.by_type

    def new(self, node_id: str, full_type: str) -> Place:
        """The place of a node that is about to start."""
        place = self._of[node_id] = Place(self.by_type[full_type])
        return place

    def of(self, node_id: str) -> Place:
        """The place of a node that has started."""
        return self._of.get(node_id, UNLIMITED)
