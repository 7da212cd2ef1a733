"""`tavernkeep serve`: the application under Hypercorn, in this process."""

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Final

import click
from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config as HypercornConfig

from tavernkeep.app import Application
from tavernkeep.config import StartError
from tavernkeep.contracts.app import Role
from tavernkeep.contracts.auth import AuthProvider
from tavernkeep_web.config import ServerConfig, WebConfig
from tavernkeep_web.drain import Drain

_EXAMPLE: Final = "examples/chat.json"
_DRAIN_S: Final = 3.0  # for requests that are being answered when the server is told to stop


async def run_server(app: Application, host: str | None, port: int | None) -> bool:
    """Serve until SIGINT or SIGTERM; tells whether the server is to begin anew.

    Args:
        host: Instead of `server.backend.host`.
        port: Instead of `server.backend.port`; 0 takes any free one.

    Raises:
        StartError: The address cannot be listened on, or the app cannot start.
    """
    address = app.config.section(ServerConfig).backend
    listener = _listen(address.host if host is None else host, address.port if port is None else port)
    try:
        return await _serve(app, listener)
    finally:
        listener.close()


async def _serve(app: Application, listener: socket.socket) -> bool:
    host, port = listener.getsockname()[:2]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    again = False

    def restart() -> None:
        nonlocal again
        again = True
        stop.set()

    app.restart = restart
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await app.start(Role.ALL)
    try:
        app.services.get(AuthProvider).check_listening(host)
        click.echo(_banner(host, port), err=True)
        config = HypercornConfig()
        config.bind = [f"fd://{listener.detach()}"]  # from here on the socket is Hypercorn's, to close as well
        config.accesslog = None
        config.errorlog = logging.getLogger("hypercorn.error")
        config.graceful_timeout = _DRAIN_S
        # Above the application's own limit, whose error says more than a closed connection.
        config.websocket_max_message_size = 2 * app.config.section(WebConfig).max_body_bytes
        config.h11_max_incomplete_size = 64 * 1024
        await hypercorn_serve(_started(app), config, shutdown_trigger=lambda: _told_to_stop(app, stop))
    finally:
        await app.stop()
    return again


async def _told_to_stop(app: Application, stop: asyncio.Event) -> None:
    await stop.wait()
    await app.services.get(Drain).run()


def _started(app: Application) -> Any:
    """The app as an ASGI application that is up already: what is to be said of its start was said before Hypercorn had a part in it."""

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app.asgi(scope, receive, send)
            return
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})

    return asgi


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise StartError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; set server.backend.host and port, or stop what is there"
        ) from None
    listener.setblocking(False)
    listener.set_inheritable(True)
    return listener


def _banner(host: str, port: int) -> str:
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    tries = f"{sys.argv[0]} run {_EXAMPLE}" if Path(_EXAMPLE).exists() else f"curl {url}/api/nodes"
    return f"tavernkeep is ready at {url}\n  the API: {url}/docs\n  try:     {tries}\n  stop:    Ctrl-C"


def run(app: Application, host: str | None, port: int | None) -> None:
    """Run the server on the fastest event loop that is installed."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        again = runner.run(run_server(app, host, port))
    if again:
        # A new process image, and not a new loop: what was imported, and what plugins have put into modules, is then as new as the rest.
        os.execv(sys.executable, [sys.executable, "-m", "tavernkeep", *sys.argv[1:]])  # noqa: S606 - its own arguments  # nosec B606


def _loop_factory() -> Any:
    if sys.platform == "win32":
        return None
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
