"""Where everything comes in: what is no request for a route or a socket is turned away, the rest goes to who serves it."""

from typing import Any
from urllib.parse import urlsplit

import attrs

from tavernkeep.wire import dumps
from tavernkeep_web.drain import Drain
from tavernkeep_web.forwarded import Proxies, told
from tavernkeep_web.incoming import metered
from tavernkeep_web.sockets import SocketEndpoint, refuse_handshake


@attrs.frozen
class Entrance:
    """An ASGI application in front of the two that serve.

    Attributes:
        routes: The ASGI application of the HTTP routes.
        proxies: Tell where a request comes from, and below which path the server is shown.
        socket: `/ws`.
        drain: Is to know of the program that serves this, if it is `hypercorn`.
    """

    routes: Any
    proxies: Proxies
    socket: SocketEndpoint
    drain: Drain

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request or a handshake."""
        self.drain.watch_hypercorn()
        if scope["type"] == "lifespan":
            await self.routes(scope, receive, send)
            return
        if scope.get("http_version") == "2" and scope["scheme"] in ("http", "ws"):
            await _refuse(scope, receive, send, 505, "Without TLS this server speaks HTTP/1.1 alone, and upgrades to WebSocket alone.")
            return
        path = _path(scope["path"])
        if path is None:
            await _refuse(scope, receive, send, 400, "What is asked for must be a path.")
            return
        arrival = self.proxies.arrival(scope)
        inside = told({**scope, "path": _below(arrival.base_path, path), "root_path": ""}, arrival)
        if scope["type"] == "http":
            await self.routes(*metered(inside, receive), send)
        elif inside["path"] == "/ws":
            await self.socket(inside, receive, send)
        else:
            await _refuse(scope, receive, send, 404, f"There is no socket at {path[:200]}; it is at {arrival.base_path}/ws.")


def _path(target: str) -> str | None:
    """The path in a request's target, which may be a whole address (RFC 9112, 3.2.2); `None` where there is none in it."""
    if target.startswith("/") or target == "*":
        return target
    try:
        parts = urlsplit(target)
    except ValueError:
        return None
    return (parts.path or "/") if parts.scheme in ("http", "https") and parts.netloc else None


def _below(base_path: str, path: str) -> str:
    """A path without that which the server is shown below, which some proxies take off and others do not."""
    if base_path and (path == base_path or path.startswith(f"{base_path}/")):
        return path[len(base_path) :] or "/"
    return path


async def _refuse(scope: Any, receive: Any, send: Any, status: int, message: str) -> None:
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        await refuse_handshake(scope, send, status, message)
        return
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": dumps({"error": message})})
