"""Puts the surface together, of what all plugins have registered."""

import asyncio
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from tavernkeep.contracts.app import App
from tavernkeep.contracts.http import Route
from tavernkeep_web.application import build_quart, check_rule
from tavernkeep_web.binding import RouteBinding
from tavernkeep_web.config import OriginsConfig, ServerConfig, WebConfig
from tavernkeep_web.drain import Drain
from tavernkeep_web.entrance import Entrance
from tavernkeep_web.forwarded import Proxies
from tavernkeep_web.gate import Gate
from tavernkeep_web.openapi import openapi_document
from tavernkeep_web.sockets import SocketEndpoint
from tavernkeep_web.streams import EventStreams

Bound = list[tuple[str, Route, RouteBinding]]


def bound_routes(app: App) -> Bound:
    """Every route with its plugin's name and its handler's signature.

    A plugin with a route that cannot be served, called or documented is put out of service here, where it is known whose the route is: once
    all are put together, a mistake in one would cost the whole surface.
    """
    bound: Bound = []
    for name, route in list(app.routes):
        plugin = app.plugins.get(name)
        assert plugin is not None, "routes come from plugins"
        try:
            check_rule(route)
            entry = (name, route, RouteBinding.of(route))
            openapi_document([entry], "", has_login=True)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            app.plugins.fail(plugin, f"register_routes, for {route},", error)
        else:
            bound.append(entry)
    return [entry for entry in bound if (plugin := app.plugins.get(entry[0])) and plugin.is_active]


def documented(app: App, bound: Bound) -> Callable[[], dict[str, Any]]:
    """What gives the OpenAPI document of the routes; those of a plugin that is put out of service later are not in it any more."""

    @lru_cache(maxsize=1)
    def document(plugins: frozenset[str]) -> dict[str, Any]:
        there = [entry for entry in bound if entry[0] in plugins]
        # The single user need not log in, unless there is a route to do it by.
        has_login = app.config.auth_provider != "local" or any(route.path == "/api/auth/login" for _, route, _ in there)
        return openapi_document(there, version("tavernkeep-kernel"), has_login=has_login)

    return lambda: document(frozenset(name for name, _ in app.routes))


def entrance_of(app: App, bound: Bound) -> Entrance:
    """The ASGI application that serves the routes and `/ws`."""
    config = app.config.section(WebConfig)
    gate = Gate.of(config, app.config.section(ServerConfig), app.config.section(OriginsConfig))
    closing = asyncio.Event()
    drain = app.services.get(Drain)
    drain.disconnect = closing.set
    quart = build_quart(app, bound, gate, config, EventStreams(closing))
    return Entrance(quart, Proxies.of(config, app.config.section(ServerConfig)), SocketEndpoint(app, gate, config, closing), drain)
