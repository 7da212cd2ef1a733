"""Names whatever keeps an event loop busy for too long without giving others their turn."""

import asyncio
import gc
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

LIMIT_S = 0.05
_LOOK_S = 0.005


@attrs.define
class Watchdog:
    """What it found: for each turn that took too long, the stack in the middle of it.

    A turn counts by the processor time of the loop's own thread, so that a busy machine is not mistaken for a busy loop.
    """

    culprits: list[str] = attrs.field(factory=list)


@contextmanager
def watchdog(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> Iterator[Watchdog]:
    """Watch a loop that runs in a thread."""
    found = Watchdog()
    stop = threading.Event()
    assert thread.ident is not None
    ident, clock = thread.ident, time.pthread_getcpuclockid(thread.ident)
    # asyncio has no public place to measure a turn; one that is measured from another thread has that one's waiting for the GIL in it.
    take_turn = loop._run_once  # type: ignore[attr-defined]
    current: float | None = None
    looked: dict[float, str] = {}

    def timed() -> None:
        nonlocal current
        began = current = time.thread_time()
        take_turn()
        took = time.thread_time() - began
        current = None
        if took > LIMIT_S:
            found.culprits.append(f"{took:.3f} s of work in one turn:\n{looked.get(began, '(over before it could be looked at)')}")

    def look() -> None:
        while not stop.wait(_LOOK_S):
            began = current
            if began is not None and began not in looked and time.clock_gettime(clock) - began > LIMIT_S / 2:
                looked[began] = "".join(traceback.format_stack(sys._current_frames()[ident]))

    # A server freezes what it has when it has started. The collector would find all that a long test run has made, in whoever's turn it is.
    gc.collect()
    gc.freeze()
    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    loop._run_once = timed  # type: ignore[attr-defined]
    try:
        yield found
    finally:
        loop._run_once = take_turn  # type: ignore[attr-defined]
        stop.set()
        watcher.join()
        gc.unfreeze()
