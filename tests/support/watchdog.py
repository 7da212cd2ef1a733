"""Names whatever keeps an event loop busy for too long without giving others their turn."""

import asyncio
import gc
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
    clock = time.pthread_getcpuclockid(thread.ident)
    ident = thread.ident

    def watch() -> None:
        while not stop.is_set():
            answered = threading.Event()
            began = time.clock_gettime(clock)
            loop.call_soon_threadsafe(answered.set)
            stack: Any = None
            while not answered.wait(_LOOK_S) and not stop.is_set():
                if stack is None and time.clock_gettime(clock) - began > LIMIT_S / 2:
                    stack = traceback.format_stack(sys._current_frames()[ident])
            took = time.clock_gettime(clock) - began
            if took > LIMIT_S:
                found.culprits.append(f"{took:.3f} s of work in one turn:\n{''.join(stack or ['(over before it could be looked at)'])}")

    # A server freezes what it has when it has started. The collector would find all that a long test run has made, in whoever's turn it is.
    gc.collect()
    gc.freeze()
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        stop.set()
        watcher.join()
        gc.unfreeze()
