"""What the application is to a plugin: every hook that needs it is given one as `app`."""

import asyncio
import enum
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Protocol

from tavernkeep.config.sections import ConfigSection
from tavernkeep.config.shown import Configuration
from tavernkeep.contracts.auth import Revocations
from tavernkeep.contracts.bus import EventBus
from tavernkeep.contracts.http import Route, WebSocketMessage
from tavernkeep.contracts.nodes import NodeRegistry
from tavernkeep.contracts.plugins import InstalledPlugins, Plugin, Reloaded
from tavernkeep.contracts.services import Services


class Role(enum.Flag):
    """What a process does. A server that stands alone does all of it, a command beside it nothing."""

    NONE = 0
    FRONT = enum.auto()  # answers HTTP and sockets
    WORKER = enum.auto()  # runs executions; of those that were left open only where it is a keeper too
    KEEPER = enum.auto()  # looks after the database and the data folder, as where something is forgotten or swept
    ALL = FRONT | WORKER | KEEPER


class App(Protocol):
    """Everything that is there while the server, or one command, runs.

    Attributes:
        sections: The configuration sections of the plugins.
        routes: What the HTTP surface can do, each with the name of its plugin.
        messages: What clients may send over the WebSocket, by type.
        restart: Begins the server anew, where whoever runs it can.
        roles: What this process does.
    """

    config: Configuration
    sections: Sequence[ConfigSection]
    services: Services
    events: EventBus
    revocations: Revocations
    nodes: NodeRegistry
    routes: list[tuple[str, Route]]
    messages: dict[str, WebSocketMessage]
    restart: Callable[[], None] | None
    roles: Role

    @property
    def plugins(self) -> InstalledPlugins:
        """Every installed plugin, whatever became of it."""

    def needed(self, without: Iterable[str] = ()) -> dict[str, str]:
        """The plugins without which the server would not start, each with the reason.

        Args:
            without: Plugins that will not be there either.
        """

    async def reload(self) -> Reloaded:
        """Look at the plugin folders again: load, reread, take out. Executions that run keep the nodes that they began with.

        Raises:
            ConfigError: The configuration file, which says where they are and which are off, cannot be read any more.
        """

    async def switch(self, plugin: Plugin, *, enabled: bool) -> bool:
        """Let a plugin run, or not, from now on; `False` where that needs a restart. The configuration file says so already."""

    async def grace(self, work: "Collection[asyncio.Task[Any]]", seconds: float) -> float:
        """Let work go on that was promised so much time at a stop, beside what that may take; less where it is told to stop again.

        Returns:
            How many seconds the hook that asks may take from then on; after that it is cancelled.
        """

    async def drain(self) -> None:
        """Bring running work to an end while viewers are still connected; called once, by what serves, when it is told to stop."""
