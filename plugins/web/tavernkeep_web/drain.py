"""Ending cleanly: running executions end first, then their viewers are disconnected, and only then the server closes its connections."""

import asyncio
from collections.abc import Callable
from typing import Final

import attrs

from tavernkeep.contracts.app import App

_HYPERCORN_WATCH: Final = "raise_shutdown"


@attrs.define(eq=False)
class Drain:
    """What happens once, between the wish to stop and the end of the server.

    Attributes:
        disconnect: Sends the viewers what waits for them, and disconnects them; nothing while there can be none.
    """

    app: App
    disconnect: Callable[[], None] = lambda: None
    _watched: bool = False
    _task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Drain; a second call waits for the first."""
        await asyncio.shield(self._begin())

    def _begin(self) -> asyncio.Task[None]:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._drain())
        return self._task

    async def _drain(self) -> None:
        await self.app.drain()
        self.disconnect()

    def watch_hypercorn(self) -> None:
        """Drain when the `hypercorn` program, which tells an application nothing before its connections are gone, is told to stop.

        It waits for its signal in a task of a known name. Since Python 3.12 it then waits for every connection to close by itself, so
        that without this a single open WebSocket would keep it from ending.
        """
        if self._watched:
            return
        self._watched = True
        for task in asyncio.all_tasks():
            if getattr(task.get_coro(), "__name__", "") == _HYPERCORN_WATCH:
                task.add_done_callback(lambda _: self._begin())
