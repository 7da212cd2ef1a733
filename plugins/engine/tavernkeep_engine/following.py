"""What viewers of one execution see of it: as it stands, what they missed, and what happens, wherever that is remembered."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

import attrs

from tavernkeep.contracts.auth import UserContext
from tavernkeep.contracts.bus import EventBus
from tavernkeep.contracts.events import Event, StatusUpdate
from tavernkeep.contracts.execution import EventsLost, Scheduler
from tavernkeep.contracts.http import ApiError
from tavernkeep.wire import dumps

_KEEP_ALIVE_S: Final = 15.0  # what stands between gives up on a connection after 30 to 60
_RECENT: Final = 1000  # events; a reader that is further behind asks the scheduler for them


@attrs.frozen
class Following:
    """Executions as their viewers see them."""

    scheduler: Scheduler
    events: EventBus

    async def missed(self, prompt_id: str, user: UserContext, after: int | None) -> list[Event]:
        """The events with a higher number than one; none for no number.

        Raises:
            ApiError: 404, there is no such execution; 410, they are no longer remembered.
        """
        try:
            missed = await self.scheduler.events_after(prompt_id, user, after)
        except EventsLost as lost:
            raise ApiError(410, str(lost)) from None
        if missed is None:
            raise ApiError(404, no_execution(prompt_id))
        return missed

    async def stream(self, prompt_id: str, user: UserContext, last: int) -> AsyncIterator[bytes]:
        """The events of an execution as Server-Sent Events, until it ends.

        What is not taken yet stays with the scheduler, so that a slow reader costs no memory.
        """
        news, recent = asyncio.Event(), deque[Event](maxlen=_RECENT)

        def note(event: Event) -> None:
            recent.append(event)
            news.set()

        unwatch = self.events.watch(prompt_id, note)
        try:
            waiting = await self.scheduler.events_after(prompt_id, user, last)
            while waiting is not None:  # else it has ended and is forgotten
                for event in waiting:
                    if event.seq <= last:
                        continue
                    last = event.seq
                    yield b"id: %d\ndata: %s\n\n" % (last, event.json())
                    if isinstance(event, StatusUpdate) and event.status.is_final:
                        return
                if not recent:
                    news.clear()
                    try:
                        async with asyncio.timeout(_KEEP_ALIVE_S):
                            await news.wait()
                    except TimeoutError:
                        yield b": waiting\n\n"
                waiting = list(recent)
                recent.clear()
                if waiting and waiting[0].seq > last + 1:
                    waiting = await self.scheduler.events_after(prompt_id, user, last)
        except EventsLost as lost:
            yield b"event: lost\ndata: %s\n\n" % dumps(str(lost))
        finally:
            unwatch()


_SHOWN: Final = 100  # characters of an id that is given back


def no_execution(prompt_id: str) -> str:
    """What is said of an id that is nobody's, or somebody else's."""
    return f"There is no execution {prompt_id[:_SHOWN]!r}."
