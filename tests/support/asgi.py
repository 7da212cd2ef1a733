"""Services that a test runs beside the server: a real Hypercorn on a real port."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config


@asynccontextmanager
async def serving(application: Any) -> AsyncIterator[str]:
    """Run an ASGI application on a free port of this machine; gives its URL."""
    config = Config()
    config.accesslog = config.errorlog = None
    config.graceful_timeout = 0.1
    config.keep_alive_timeout = 60
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config.bind = [f"fd://{listener.detach()}"]
    stop = asyncio.Event()
    task = asyncio.create_task(serve(application, config, shutdown_trigger=stop.wait))
    try:
        yield url
    finally:
        stop.set()
        await task
