"""The plugin: the server's own page, and its status."""

from tavernkeep import Route, hookimpl
from tavernkeep.app import App
from tavernkeep.config import SecurityConfig


class ConsolePlugin:
    """The server's own page, and its status."""

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        from tavernkeep_console.routes import ConsoleRoutes
        from tavernkeep_console.status import Gatekeeper

        return ConsoleRoutes(app, Gatekeeper(app.config.section(SecurityConfig).backend_panel)).routes()
