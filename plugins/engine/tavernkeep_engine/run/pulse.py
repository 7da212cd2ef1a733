"""Whether the process stood still: then what it runs may be another's by now."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import structlog

from tavernkeep.contracts.storage import WANTING, Unavailable

_log = structlog.get_logger(__name__)

_BEAT_S: Final = 0.2
_STILL_S: Final = 0.6
_RETRY_S: Final = 1.0


@attrs.define(eq=False)
class Pulse:
    """Beats while the process goes on, and is looked at before a node begins.

    Whoever takes over from a process that stands still has to start another one, or to wait until its lease has ended: that takes longer
    than what is noticed here. So nothing begins in a process that was frozen, or whose event loop was, before it
    knows what is still its own.

    Attributes:
        clock: Seconds, monotonic.
        confirm: Finds out what other processes have taken up, and stops that here.
    """

    clock: Callable[[], float]
    confirm: Callable[[], Awaitable[None]]
    _last: float = float("inf")
    _coming_to: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    def has_missed(self) -> bool:
        """Whether the process stood still, and has not found out yet what became of its executions."""
        return self.clock() - self._last > _STILL_S

    async def come_to(self) -> None:
        """Return when it has found out, and what is another's is being stopped."""
        async with self._coming_to:
            while self.has_missed():
                try:
                    still_s = self.clock() - self._last
                    await self.confirm()
                    self._last = self.clock()
                    _log.debug("the process stood still", seconds=round(still_s, 1))
                except (Unavailable, *WANTING) as error:
                    _log.error("whose the executions are by now cannot be found out at present", error=str(error))
                    await asyncio.sleep(_RETRY_S)

    async def beat_always(self) -> None:
        """Beat; until it is cancelled."""
        self._last = self.clock()
        while True:
            await asyncio.sleep(_BEAT_S)
            await self.come_to()
            self._last = self.clock()
