"""Running a function that may block, so that neither it nor its never returning holds up the server."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any, Final

import structlog

_log = structlog.get_logger(__name__)

GRACE_S: Final = 2.0


async def run_blocking(function: Callable[[], Any], name: str, stop: threading.Event, grace_s: float = GRACE_S) -> Any:
    """Run a function in a thread of its own, and give what it returns.

    A thread cannot be stopped from outside. When this is cancelled, the function is told through `stop` and given `grace_s` seconds
    to return; then it is left alone. The thread is a daemon, so it does not keep the process from ending: that is why this is neither a
    `ThreadPoolExecutor` nor anyio's worker threads, both of which the interpreter waits for.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def deliver(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            # A future takes no StopIteration, and must not carry what would end the process.
            wrap = isinstance(error, StopIteration) or not isinstance(error, Exception)
            future.set_exception(RuntimeError(f"{type(error).__name__}: {error}") if wrap else error)

    threading.Thread(target=contextvars.copy_context().run, args=(_work, function, loop, deliver, name), name=name, daemon=True).start()
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait({future}, timeout=grace_s)
        if not future.done():
            _log.warning("a node's thread does not return and is left behind", thread=name)
        elif not future.cancelled():
            future.exception()  # looked at, so that asyncio does not report it as forgotten
        raise


def _work(function: Callable[[], Any], loop: asyncio.AbstractEventLoop, deliver: Callable[..., None], name: str) -> None:
    result, error = None, None
    try:
        result = function()
    except BaseException as raised:
        error = raised
    try:
        loop.call_soon_threadsafe(deliver, result, error)
    except RuntimeError:
        _log.debug("a node's thread outlived the server's event loop", thread=name)
    finally:
        del deliver, error  # the error's trace leads here, and from here to who waits for it
