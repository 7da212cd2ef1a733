"""An ASGI application under a real Hypercorn, on a real port, in the event loop that is running."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config


@asynccontextmanager
async def serving(application: Any) -> AsyncIterator[str]:
    """Serve an application, which is up already, on a free port of this machine; gives its URL."""
    config = Config()
    config.accesslog = config.errorlog = None
    config.graceful_timeout = 0.1
    config.keep_alive_timeout = 60
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config.bind = [f"fd://{listener.detach()}"]
    stop = asyncio.Event()
    task = asyncio.create_task(serve(_without_lifespan(application), config, shutdown_trigger=stop.wait))
    try:
        yield url
    finally:
        stop.set()
        await task


def _without_lifespan(application: Any) -> Any:
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await application(scope, receive, send)
            return
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})

    return asgi
