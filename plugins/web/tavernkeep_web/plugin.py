"""The plugin: the Quart application, `/ws`, and `tavernkeep serve`."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import click

from tavernkeep import ConfigSection, Route, Services, hookimpl
from tavernkeep.cli import loaded_app
from tavernkeep.contracts.app import App
from tavernkeep_web.config import OriginsConfig, ServerConfig, WebConfig
from tavernkeep_web.drain import Drain

if TYPE_CHECKING:
    from tavernkeep_web.binding import RouteBinding


class WebPlugin:
    """The HTTP and WebSocket surface, on Quart and Hypercorn."""

    def __init__(self) -> None:
        self._document: dict[str, Any] = {}
        self._drain: Drain | None = None

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        return [ConfigSection("web", WebConfig), ConfigSection("server", ServerConfig), ConfigSection("security", OriginsConfig)]

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        return [serve]

    @hookimpl
    def register_services(self, app: App, services: Services, owner: str) -> None:
        self._drain = Drain(app)
        services.add(Drain, self._drain, owner=owner)

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        from tavernkeep_web.surface import Surface

        return Surface(app, lambda: self._document).routes()

    @hookimpl
    def asgi_app(self, app: App) -> Any:
        from tavernkeep_web.application import build_quart
        from tavernkeep_web.bodies import metered
        from tavernkeep_web.gate import Gate
        from tavernkeep_web.openapi import openapi_document
        from tavernkeep_web.sockets import SocketEndpoint

        config = app.config.section(WebConfig)
        gate = Gate.of(config, app.config.section(ServerConfig), app.config.section(OriginsConfig))
        bound = _bound(app)
        self._document = openapi_document(bound, version("tavernkeep-kernel"), has_login=_has_login(app))
        quart = build_quart(app, bound, gate, config)
        socket = SocketEndpoint(app, gate, config)
        drain = self._drain
        assert drain is not None, "services are registered before the surface is built"
        drain.disconnect = socket.close

        async def asgi(scope: Any, receive: Any, send: Any) -> None:
            drain.watch_hypercorn()
            if scope["type"] == "websocket" and scope["path"] == "/ws":
                await socket(scope, receive, send)
            else:
                await quart(*metered(scope, receive), send)

        return asgi


def _has_login(app: App) -> bool:
    """Whether one has to log in: the single user need not, unless there is a route to do it by."""
    return app.config.auth_provider != "local" or any(route.path == "/api/auth/login" for _, route in app.routes)


def _bound(app: App) -> "list[tuple[str, Route, RouteBinding]]":
    """Every route with its handler's signature; a plugin with a handler that cannot be called is put out of service."""
    from tavernkeep_web.binding import RouteBinding

    bound = []
    for name, route in list(app.routes):
        plugin = app.plugins.get(name)
        assert plugin is not None, "routes come from plugins"
        try:
            bound.append((name, route, RouteBinding.of(route)))
        except Exception as error:
            app.plugins.fail(plugin, "register_routes", error)
    return [entry for entry in bound if (plugin := app.plugins.get(entry[0])) and plugin.is_active]


@click.command()
@click.option("--host", help="Listen on this address instead of the configured one.")
@click.option("--port", type=click.IntRange(0, 65535), help="Listen on this port instead of the configured one; 0 takes any free one.")
@click.pass_context
def serve(context: click.Context, host: str | None, port: int | None) -> None:
    """Run the server, until Ctrl-C or SIGTERM."""
    from tavernkeep_web.server import run

    run(loaded_app(context), host, port)
