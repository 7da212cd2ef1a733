"""The plugin: the HTTP and WebSocket surface, on Quart and Hypercorn, and `tavernkeep serve`."""

from collections.abc import Callable
from typing import Any

import click

from tavernkeep import ConfigSection, Route, Services, hookimpl
from tavernkeep.contracts.app import App
from tavernkeep_web.command import serve
from tavernkeep_web.config import OriginsConfig, ServerConfig, WebConfig
from tavernkeep_web.drain import Drain


class WebPlugin:
    """The HTTP and WebSocket surface, on Quart and Hypercorn."""

    def __init__(self) -> None:
        self._document: Callable[[], dict[str, Any]] = dict

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        return [ConfigSection("web", WebConfig), ConfigSection("server", ServerConfig), ConfigSection("security", OriginsConfig)]

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        return [serve]

    @hookimpl
    def register_services(self, app: App, services: Services, owner: str) -> None:
        services.add(Drain, Drain(app), owner=owner)

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        from tavernkeep_web.routes import SurfaceRoutes

        return SurfaceRoutes(app, lambda: self._document()).routes()

    @hookimpl
    def asgi_app(self, app: App) -> Any:
        from tavernkeep_web.assembly import bound_routes, documented, entrance_of

        bound = bound_routes(app)
        self._document = documented(app, bound)
        return entrance_of(app, bound)
