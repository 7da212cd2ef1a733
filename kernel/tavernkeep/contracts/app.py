"""What the application is to a plugin: every hook that needs it is given one as `app`."""

from collections.abc import Callable, Sequence
from typing import Protocol

from tavernkeep.config.sections import ConfigSection
from tavernkeep.config.shown import Config
from tavernkeep.contracts.auth import Revocations
from tavernkeep.contracts.bus import EventBus
from tavernkeep.contracts.http import Route, WebSocketMessage
from tavernkeep.contracts.nodes import NodeRegistry
from tavernkeep.contracts.plugins import InstalledPlugins
from tavernkeep.contracts.services import Services


class App(Protocol):
    """Everything that is there while the server, or one command, runs.

    Attributes:
        sections: The configuration sections of the plugins.
        routes: What the HTTP surface can do, each with the name of its plugin.
        messages: What clients may send over the WebSocket, by type.
        restart: Begins the server anew, where whoever runs it can.
        serving: This is the one server of its data folder, not a command beside it.
    """

    config: Config
    sections: Sequence[ConfigSection]
    services: Services
    events: EventBus
    revocations: Revocations
    nodes: NodeRegistry
    routes: list[tuple[str, Route]]
    messages: dict[str, WebSocketMessage]
    restart: Callable[[], None] | None
    serving: bool

    @property
    def plugins(self) -> InstalledPlugins:
        """Every installed plugin, whatever became of it."""
        ...

    async def drain(self) -> None:
        """Bring running work to an end while viewers are still connected; called once, by what serves, when it is told to stop."""
        ...
