"""Work that is not cut off half way: what somebody has begun to write is finished, also when nobody waits for it any more.

A request whose client hangs up is cancelled, at whatever `await` it stands. A write path of more than one step (a file and a row, two
rows, a row and what is kept of it in memory) would then be half done.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """Await something to its end; a cancellation that comes meanwhile is held off until then.

    Raises:
        asyncio.CancelledError: It came. The work has ended by then, well or not.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # nobody is there to be told: what asked has been cancelled
        raise cancelled
    return task.result()


def finishing(work: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Make an async function one that finishes what it has begun: see `finish`."""

    @functools.wraps(work)
    async def whole(*args: P.args, **kwargs: P.kwargs) -> T:
        return await finish(work(*args, **kwargs))

    return whole
