"""The plugin: the server's own page, its status, and its metrics."""

from typing import TYPE_CHECKING

from tavernkeep import ConfigSection, Route, hookimpl
from tavernkeep.contracts.app import App
from tavernkeep.contracts.bus import Sink
from tavernkeep_console.config import BackendPanelConfig

if TYPE_CHECKING:
    from tavernkeep_console.metrics import Metrics


class ConsolePlugin:
    """The server's own page, its status, and its metrics."""

    def __init__(self) -> None:
        self._metrics: Metrics | None = None

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        return [ConfigSection("security.backendPanel", BackendPanelConfig)]

    @hookimpl
    def event_sink(self, app: App) -> Sink | None:
        if not app.roles:
            return None
        from tavernkeep_console.metrics import Metrics

        self._metrics = Metrics(app)
        return self._metrics.note

    @hookimpl
    async def startup(self) -> None:
        if self._metrics is not None:
            self._metrics.lag.start()

    @hookimpl
    async def shutdown(self) -> None:
        if self._metrics is not None:
            self._metrics.lag.stop()

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        from tavernkeep_console.routes import ConsoleRoutes, MetricsRoutes
        from tavernkeep_console.status import Gatekeeper

        assert self._metrics is not None, "routes are for servers"
        gatekeeper = Gatekeeper(app.config.section(BackendPanelConfig))
        return [*ConsoleRoutes(app, gatekeeper).routes(), *MetricsRoutes(self._metrics).routes()]
