"""What viewers of one execution see of it: as it stands, what they missed, and what happens, wherever that is remembered."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

import attrs

from tavernkeep.contracts.auth import UserContext
from tavernkeep.contracts.bus import EventBus
from tavernkeep.contracts.events import Event, StatusUpdate
from tavernkeep.contracts.execution import EventsLost, ExecutionArchive, ExecutionDetail, Scheduler
from tavernkeep.contracts.http import ApiError
from tavernkeep.wire import dumps

_KEEP_ALIVE_S: Final = 15.0  # what stands between gives up on a connection after 30 to 60
_RECENT: Final = 1000  # events; a reader that is further behind asks the scheduler for them
_NONE: Final = 2**62  # no event has a higher number
_LOOKS: Final = 50  # at memory, for what is forgotten there while the archive is read
_SOON_S: Final = 0.02
_ID: Final = re.compile(r"[\w-]{1,100}", re.ASCII)  # the archive need not know what its database makes of anything else


@attrs.frozen
class Following:
    """Executions as their viewers see them: those that the scheduler remembers, and those that only the archive does."""

    scheduler: Scheduler
    events: EventBus
    archive: ExecutionArchive | None

    async def detail(self, prompt_id: str, user: UserContext) -> ExecutionDetail | None:
        """An execution with its results."""
        if not _ID.fullmatch(prompt_id):
            return None
        detail = self.scheduler.detail(prompt_id, user)
        return await self.archive.detail(prompt_id, user) if detail is None and self.archive else detail

    async def missed(self, prompt_id: str, user: UserContext, after: int | None) -> list[Event]:
        """The events with a higher number than one; none for no number.

        Raises:
            ApiError: 404, there is no such execution; 410, they are no longer remembered.
        """
        try:
            missed = await self._events_after(prompt_id, user, after)
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
            waiting = await self._events_after(prompt_id, user, last)
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
                    waiting = await self._events_after(prompt_id, user, last)
        except EventsLost as lost:
            yield b"event: lost\ndata: %s\n\n" % dumps(str(lost))
        finally:
            unwatch()

    async def _events_after(self, prompt_id: str, user: UserContext, seq: int | None) -> list[Event] | None:
        """From memory, and what is no longer there from the archive; the last look is at memory, so that nothing falls in between."""
        if not _ID.fullmatch(prompt_id):
            return None
        older: list[Event] = []
        last = seq if seq is None else min(seq, _NONE)
        for _ in range(_LOOKS):
            lost: EventsLost | None = None
            try:
                newer = self.scheduler.events_after(prompt_id, user, last)
            except EventsLost as error:
                if self.archive is None:
                    raise
                newer, lost = None, error
            if newer is not None:
                return older + newer
            found = await self.archive.events_after(prompt_id, user, _NONE if last is None else last) if self.archive else None
            if found:
                older += found
                last = found[-1].seq
            elif lost is None:
                return older or found
            else:  # told and forgotten again, and not in the archive yet: it soon is
                await asyncio.sleep(_SOON_S)
        raise EventsLost(f"the events of execution {prompt_id} come faster than they can be read again")


_SHOWN: Final = 100  # characters of an id that is given back


def no_execution(prompt_id: str) -> str:
    """What is said of an id that is nobody's, or somebody else's."""
    return f"There is no execution {prompt_id[:_SHOWN]!r}."
