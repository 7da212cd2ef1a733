"""The executions that one viewer watches.

What happens goes into its outbox as it is told. What there is no room for there is forgotten, and had again from whoever remembers it once
the viewer has taken what waits: so it sees every event once and in order, however slow it is, and costs no more than its outbox.
"""

import asyncio
import functools
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import attrs
import structlog

from tavernkeep.contracts.bus import EventBus
from tavernkeep.contracts.events import Event
from tavernkeep.contracts.execution import EventsLost, is_the_end
from tavernkeep.contracts.storage import Unavailable
from tavernkeep_web.outbox import Outbox

_log = structlog.get_logger(__name__)

_AT_ONCE: Final = 500  # events that are had again at once
_AGAIN_S: Final = 1.0  # until a database that was unavailable is asked once more

Fetch = Callable[[str, int, int], Awaitable[list[Event] | None]]


@attrs.define(eq=False)
class _Watched:
    """One of them.

    Attributes:
        last: The number of the last event that went into the outbox, or was not wanted.
        behind: What is told is forgotten; it will be had again.
        newest: The number of the last event that was told while it was behind.
    """

    execution_id: str
    last: int
    behind: bool
    newest: int = 0
    unwatch: Callable[[], None] = lambda: None


class Watching:
    """What one viewer watches.

    Args:
        fetch: Gives events of an execution after a number, at most so many, as `Scheduler.events_after` does.
        tell: Sends the viewer a message that is no event.
    """

    def __init__(self, events: EventBus, outbox: Outbox, fetch: Fetch, tell: Callable[[str, Mapping[str, Any]], None]) -> None:
        self._events = events
        self._outbox = outbox
        self._fetch = fetch
        self._tell = tell
        self._watched: dict[str, _Watched] = {}
        self._behind: deque[_Watched] = deque()
        self._catching_up: asyncio.Task[None] | None = None

    def watch(self, execution_id: str, after: int | None = None) -> None:
        """See `tavernkeep.contracts.http.Client`."""
        if after is None:
            if execution_id not in self._watched:
                self._begin(_Watched(execution_id, 0, behind=False))
            return
        self.unwatch(execution_id)
        self._begin(watched := _Watched(execution_id, after, behind=True))
        self._fall_behind(watched)

    def _begin(self, watched: _Watched) -> None:
        self._watched[watched.execution_id] = watched
        watched.unwatch = self._events.watch(watched.execution_id, functools.partial(self._see, watched))

    def unwatch(self, execution_id: str) -> None:
        """See `tavernkeep.contracts.http.Client`."""
        if (watched := self._watched.get(execution_id)) is not None:
            self._end(watched)
            self._outbox.forget(execution_id)

    def _end(self, watched: _Watched) -> None:
        watched.unwatch()
        self._watched.pop(watched.execution_id, None)

    async def close(self) -> None:
        """Watch nothing more."""
        for watched in list(self._watched.values()):
            self._end(watched)
        if self._catching_up is not None:
            self._catching_up.cancel()
            await asyncio.wait([self._catching_up])

    def _see(self, watched: _Watched, event: Event) -> None:
        if watched.behind:
            watched.newest = event.seq
        elif event.seq > watched.last:  # else it was had from where it was kept before it was told
            if self._outbox.put(event):
                self._sent(watched, event)
            else:
                watched.behind, watched.last, watched.newest = True, event.seq - 1, event.seq
                self._fall_behind(watched)

    def _sent(self, watched: _Watched, event: Event) -> None:
        watched.last = event.seq
        if is_the_end(event):
            self._end(watched)

    # What was forgotten

    def _fall_behind(self, watched: _Watched) -> None:
        self._behind.append(watched)
        if self._catching_up is None or self._catching_up.done():
            self._catching_up = asyncio.get_running_loop().create_task(self._catch_up(), name="viewer catches up")

    async def _catch_up(self) -> None:
        """Have some events of each again, in turn, until none is behind."""
        while self._behind:
            watched = self._behind.popleft()
            await self._outbox.room()
            try:
                if self._is_watched(watched):
                    await self._go_on(watched)
            except Unavailable as unavailable:
                _log.error("a viewer waits for the database", reason=unavailable.reason, problem=str(unavailable))
                await asyncio.sleep(_AGAIN_S)
            except Exception as error:
                _log.exception("the events of an execution cannot be had again", execution=watched.execution_id)
                self._give_up(watched, f"The events cannot be read: {type(error).__name__}")
            if self._is_watched(watched) and watched.behind:
                self._behind.append(watched)
            await asyncio.sleep(0)  # what is still in memory is had without a pause

    async def _go_on(self, watched: _Watched) -> None:
        try:
            found = await self._fetch(watched.execution_id, watched.last, _AT_ONCE)
        except EventsLost as lost:
            if self._is_watched(watched):
                self._error(watched, str(lost))
                watched.last = max(watched.last, lost.first - 1)
            return
        if not self._is_watched(watched):
            return
        if found is None:
            self._give_up(watched, "There is no such execution any more.")
            return
        for event in found:
            while not self._outbox.put(event):
                await self._outbox.room()
                if not self._is_watched(watched):
                    return
            event.let_go()
            self._sent(watched, event)
            if not self._is_watched(watched):  # that was its end
                return
        if not found and watched.last < watched.newest:
            self._error(watched, f"the events up to number {watched.newest} are no longer remembered")
            watched.last = watched.newest
        if watched.newest or not found:  # else nothing was told yet, and only that there is no more says how far it goes
            watched.behind = watched.last < watched.newest

    def _is_watched(self, watched: _Watched) -> bool:
        """Whether it is, and was not asked for anew meanwhile."""
        return self._watched.get(watched.execution_id) is watched

    def _give_up(self, watched: _Watched, why: str) -> None:
        self._error(watched, why)
        if self._is_watched(watched):
            self._end(watched)

    def _error(self, watched: _Watched, why: str) -> None:
        self._tell("error", {"message": why, "promptId": watched.execution_id})
