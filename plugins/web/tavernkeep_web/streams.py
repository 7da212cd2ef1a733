"""Answers that go on for as long as something happens: streams of Server-Sent Events."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

import attrs

from tavernkeep_web.presence import Presence

EVENT_STREAM: Final = "text/event-stream"


_LAST_S: Final = 0.2  # for a stream that is closed to go on with what it can tell at once
_CLOSE_S: Final = 2.0  # for all of that


@attrs.frozen
class EventStreams:
    """Ends streams that would go on although they must not.

    Attributes:
        closing: Once it is set, every stream tells what it can tell at once, and ends: a browser comes back and asks for the rest.
    """

    closing: asyncio.Event

    async def kept(self, body: AsyncIterator[bytes], presence: Presence | None) -> AsyncIterator[bytes]:
        """A stream, until it ends, what let its reader in is good no more, or the server stops.

        Args:
            presence: What let its reader in; `None` where anybody may read it.
        """
        clock = asyncio.get_running_loop().time
        closing = asyncio.ensure_future(self.closing.wait())
        shut_out = asyncio.ensure_future(_never() if presence is None else presence.end())
        part: asyncio.Future[bytes] | None = None
        until: float | None = None
        try:
            while True:
                part = asyncio.ensure_future(anext(body))
                if not closing.done():
                    await asyncio.wait({part, closing, shut_out}, return_when=asyncio.FIRST_COMPLETED)
                if closing.done():
                    until = clock() + _CLOSE_S if until is None else until
                    await asyncio.wait({part, shut_out}, timeout=min(_LAST_S, until - clock()), return_when=asyncio.FIRST_COMPLETED)
                if shut_out.done() or not part.done():
                    return
                try:
                    data = part.result()
                except StopAsyncIteration:
                    return
                yield data
        finally:
            for task in (tasks := [task for task in (closing, shut_out, part) if task is not None]):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if isinstance(body, AsyncGenerator):
                await body.aclose()


async def _never() -> None:
    await asyncio.Event().wait()
