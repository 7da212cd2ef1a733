"""What viewers of one execution see of it: as it stands, what they missed, and what happens, wherever that is remembered."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Final

import attrs
import structlog

from tavernkeep.contracts.auth import UserContext
from tavernkeep.contracts.bus import EventBus
from tavernkeep.contracts.events import Event
from tavernkeep.contracts.execution import EventsLost, Scheduler, is_the_end
from tavernkeep.contracts.http import ApiError
from tavernkeep.contracts.storage import Unavailable
from tavernkeep.wire import dumps

_log = structlog.get_logger(__name__)

_KEEP_ALIVE_S: Final = 15.0  # what stands between gives up on a connection after 30 to 60
_AT_ONCE: Final = 500  # events that are asked for at once
_PIECE: Final = 64 * 1024  # bytes that are sent at once, where there are so many


@attrs.frozen
class Following:
    """Executions as their viewers see them."""

    scheduler: Scheduler
    events: EventBus

    async def goes_on(self, prompt_id: str, user: UserContext, after: int | None) -> bool:
        """Whether there are events with a higher number than one, or may be some yet; for no number, only the latter.

        Raises:
            ApiError: 404, there is no such execution; 410, they are no longer remembered.
        """
        has_ended = await self._has_ended(prompt_id, user)  # asked first: when it ends meanwhile, that is found
        try:
            found = await self.scheduler.events_after(prompt_id, user, after, 1)
        except EventsLost as lost:
            raise ApiError(410, str(lost)) from None
        if found is None:
            raise ApiError(404, no_execution(prompt_id))
        return bool(found) or not has_ended

    async def stream(self, prompt_id: str, user: UserContext, last: int) -> AsyncIterator[bytes]:
        """The events of an execution as Server-Sent Events, until it ends.

        What is not taken yet stays with the scheduler, so that a slow reader costs no memory.
        """
        news = asyncio.Event()
        unwatch = self.events.watch(prompt_id, lambda _: news.set())
        has_ended = False
        try:
            while (found := await self.scheduler.events_after(prompt_id, user, last, _AT_ONCE)) is not None:
                end = next((number for number, event in enumerate(found, 1) if is_the_end(event)), None)
                for piece in _pieces(found[:end]):
                    yield piece
                if end is not None:
                    return
                if found:
                    last = found[-1].seq
                elif has_ended:
                    return
                elif not (has_ended := await self._has_ended(prompt_id, user)):
                    try:
                        async with asyncio.timeout(_KEEP_ALIVE_S):
                            await news.wait()
                    except TimeoutError:
                        yield b": waiting\n\n"
                news.clear()
        except EventsLost as lost:
            yield b"event: lost\ndata: %s\n\n" % dumps(str(lost))
        except Unavailable as unavailable:  # a browser comes back, and asks for the rest
            _log.error("a stream of events ends early", execution=prompt_id, reason=unavailable.reason, problem=str(unavailable))
        finally:
            unwatch()

    async def _has_ended(self, prompt_id: str, user: UserContext) -> bool:
        info = await self.scheduler.info(prompt_id, user)
        return info is None or info.status.is_final


def _pieces(events: list[Event]) -> Iterator[bytes]:
    """Events as they are sent, several small ones together."""
    piece: list[bytes] = []
    size = 0
    for event in events:
        piece.append(b"id: %d\ndata: %s\n\n" % (event.seq, event.json()))
        event.let_go()
        size += len(piece[-1])
        if size > _PIECE:
            yield b"".join(piece)
            piece, size = [], 0
    if piece:
        yield b"".join(piece)


_SHOWN: Final = 100  # characters of an id that is given back


def no_execution(prompt_id: str) -> str:
    """What is said of an id that is nobody's, or somebody else's."""
    return f"There is no execution {prompt_id[:_SHOWN]!r}."
