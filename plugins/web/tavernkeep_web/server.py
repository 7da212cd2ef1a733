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
import structlog
from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config as HypercornConfig

from tavernkeep.app import Application
from tavernkeep.config import StartError
from tavernkeep.contracts.app import Role
from tavernkeep.contracts.auth import AuthProvider
from tavernkeep_web.addresses import path_of
from tavernkeep_web.config import ServerConfig, WebConfig
from tavernkeep_web.drain import Drain

_log = structlog.get_logger(__name__)

_EXAMPLE: Final = "examples/chat.json"
# Longer than clients keep a connection that they do not use (5 to 15 s): what they send as it is closed is lost. It is also how long
# somebody may take who never ends a request.
_IDLE_S: Final = 20.0
_DRAIN_S: Final = 3.0  # for requests that are being answered when the server is told to stop


async def run_server(app: Application, host: str | None, port: int | None) -> int:
    """Serve until SIGINT or SIGTERM; gives the exit code, which is 0 when all that was to end did.

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


async def _serve(app: Application, listener: socket.socket) -> int:
    host, port = listener.getsockname()[:2]
    stop = _stop_of(app)
    if not await _has_started(app, stop):
        return 0 if app.ending.clean else 1
    try:
        app.services.get(AuthProvider).check_listening(host)
        _let_none_stall(listener, app.config.section(WebConfig).stalled_s)
        listener.listen()  # whoever reads that it is ready may come at once
        click.echo(_banner(host, port, path_of(app.config.section(ServerConfig).base_path or "")), err=True)
        config = HypercornConfig()
        config.bind = [f"fd://{listener.detach()}"]  # from here on the socket is Hypercorn's, to close as well
        config.accesslog = None
        config.errorlog = logging.getLogger("hypercorn.error")
        config.graceful_timeout = _DRAIN_S
        config.keep_alive_timeout = _IDLE_S
        # Above the application's own limit, whose error says more than a closed connection.
        config.websocket_max_message_size = 2 * app.config.section(WebConfig).max_body_bytes
        config.h11_max_incomplete_size = 64 * 1024
        serving = asyncio.create_task(hypercorn_serve(_started(app), config, shutdown_trigger=lambda: _told_to_stop(app, stop)))
        if await app.outlast(serving):
            serving.result()
        else:
            serving.cancel()
    finally:
        await app.stop()
    return 0 if app.ending.clean else 1


def _stop_of(app: Application) -> asyncio.Event:
    """Set when the server is to stop, whether or not it is to begin anew then."""
    stop = asyncio.Event()

    def restart() -> None:
        if not stop.is_set():  # else it is to stop, and not to begin anew
            app.ending.then = _begin_anew
            stop.set()

    def end() -> None:
        app.ending.then = None
        stop.set()

    app.restart = restart
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end)
    app.ending.listen()
    return stop


async def _has_started(app: Application, stop: asyncio.Event) -> bool:
    """Start the app; `False` where it was told to stop before it was up, and is down again."""
    task, up = asyncio.current_task(), False
    assert task is not None, "this is a coroutine"

    def told(_: object) -> None:
        if stop.is_set() and not up:
            task.cancel()

    waiting = asyncio.create_task(stop.wait())
    waiting.add_done_callback(told)
    try:
        await app.start(Role.ALL)
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
        task.uncancel()
    else:
        up = True
    waiting.cancel()
    return up


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


def _let_none_stall(listener: socket.socket, longest_s: float) -> None:
    """End connections whose other end takes nothing for so long. Nothing above the system could: it waits for them to take what is left."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, min(round(longest_s * 1000), 2**31 - 1))
        asyncio.get_running_loop().set_exception_handler(_note)


def _note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Hypercorn leaves it to the event loop that a connection has timed out while it was being closed; that is no error of the server."""
    if isinstance(context.get("exception"), TimeoutError) and "client_connected_cb" in context["message"]:
        _log.info("a connection whose other end took nothing was ended")
    else:
        loop.default_exception_handler(context)


def _banner(host: str, port: int, base_path: str) -> str:
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}{base_path}"
    tries = f"{sys.argv[0]} run {_EXAMPLE}" if Path(_EXAMPLE).exists() else f"curl {url}/api/nodes"
    return f"tavernkeep is ready at {url}\n  the API: {url}/docs\n  try:     {tries}\n  stop:    Ctrl-C"


def run(app: Application, host: str | None, port: int | None) -> int:
    """Run the server on the fastest event loop that is installed; gives the exit code."""
    return app.ending.run(run_server(app, host, port), _loop_factory())


def _begin_anew() -> None:
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
