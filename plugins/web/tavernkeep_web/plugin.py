"""The plugin: the Quart application, `/ws`, and `tavernkeep serve`."""

from importlib.metadata import version
from typing import Any

import click

from tavernkeep import ConfigSection, Route, hookimpl
from tavernkeep.app import App
from tavernkeep.cli import loaded_app
from tavernkeep.config import SecurityConfig, ServerConfig
from tavernkeep_web.config import WebConfig


class WebPlugin:
    """The HTTP and WebSocket surface, on Quart and Hypercorn."""

    def __init__(self) -> None:
        self._document: dict[str, Any] = {}

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        return [ConfigSection("web", WebConfig)]

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        return [serve]

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        from tavernkeep_web.surface import Surface

        return Surface(app, lambda: self._document).routes()

    @hookimpl
    def asgi_app(self, app: App) -> Any:
        from tavernkeep_web.application import build_quart
        from tavernkeep_web.binding import Binding
        from tavernkeep_web.gate import Gate
        from tavernkeep_web.openapi import openapi_document
        from tavernkeep_web.sockets import SocketEndpoint

        config = app.config.section(WebConfig)
        gate = Gate.of(config, app.config.section(ServerConfig), app.config.section(SecurityConfig))
        bound = [(plugin, route, Binding.of(route)) for plugin, route in app.routes]
        self._document = openapi_document(bound, version("tavernkeep-kernel"))
        quart = build_quart(app, [(route, binding) for _, route, binding in bound], gate, config)
        socket = SocketEndpoint(app, gate, config)

        async def asgi(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket" and scope["path"] == "/ws":
                await socket(scope, receive, send)
            else:
                await quart(scope, receive, send)

        return asgi


@click.command()
@click.option("--host", help="Listen on this address instead of the configured one.")
@click.option("--port", type=click.IntRange(0, 65535), help="Listen on this port instead of the configured one; 0 takes any free one.")
@click.pass_context
def serve(context: click.Context, host: str | None, port: int | None) -> None:
    """Run the server, until Ctrl-C or SIGTERM."""
    from tavernkeep_web.server import run

    run(loaded_app(context), host, port)
