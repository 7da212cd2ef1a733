"""The end of the process: in order while there is time for that, and in any case when there is no more.

Nothing that runs can be made to end from outside: no coroutine that ignores its cancellation, no thread, no hook that holds up the event
loop. And the interpreter waits for them: for tasks when a loop is closed, for threads before it ends. So a thread watches the time.
"""

import asyncio
import functools
import math
import os
import queue
import re
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final, NoReturn

import attrs
import structlog

_SHARE: Final = 1 / 3  # of the time that is left, for one thing of many: whatever hangs, there is some for the rest
_LEAST_S: Final = 1.0
_LAST_S: Final = 3.0  # for what was cancelled before, and did not end
_LOOK_S: Final = 0.05
_NAMED: Final = 20
_NO_NAME: Final = re.compile(r"Task-\d+")

_log = structlog.get_logger(__name__)


def leave(code: int) -> NoReturn:
    """End the process at once, whatever it still does. Nothing else here does that."""
    os._exit(code)


@attrs.define(eq=False)
class Ending:
    """How long the end may take, what has a part in it, and what is left when the time is over.

    Attributes:
        most_s: How long it may take, without what `grace` gives.
        hooks: The hooks that are being awaited at present.
        clean: Whether all that was to end did.
        then: What comes in the place of the process, where anything does.
    """

    most_s: float
    hooks: Collection[str]
    clean: bool = True
    then: Callable[[], object] | None = None
    _code: int = 1
    _brief: bool = False
    _deadline: float = math.inf
    _limit: asyncio.Timeout | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _begun: "queue.SimpleQueue[None]" = attrs.field(factory=queue.SimpleQueue)  # of which a signal handler may put
    _times_told: int = 0
    _hurried: asyncio.Event = attrs.field(factory=asyncio.Event)
    _at_once: int | None = None
    _over: threading.Event = attrs.field(factory=threading.Event)

    def begin(self) -> None:
        """The time is running from now on, if it was not before."""
        if self._deadline == math.inf:
            self._deadline = time.monotonic() + self.most_s
            self._begun.put(None)

    @asynccontextmanager
    async def share(self) -> AsyncIterator[None]:
        """Some of the time that is left, for one thing of many.

        Raises:
            TimeoutError: It took longer, and was cancelled.
        """
        seconds, around = max(_LEAST_S, (self._deadline - time.monotonic()) * _SHARE), self._limit
        try:
            async with asyncio.timeout(seconds) as limit:
                self._limit = limit
                yield
        except TimeoutError:
            if limit.expired():
                raise TimeoutError(f"it has not come to its end within {seconds:.1f} s, and is left") from None
            raise
        finally:
            self._limit = around

    async def grace(self, work: Collection["asyncio.Task[Any]"], seconds: float) -> float:
        """See `tavernkeep.contracts.app.App`."""
        self.begin()
        began = time.monotonic()
        self._put_off(seconds)
        hurried = asyncio.create_task(self._hurried.wait())
        ended = asyncio.create_task(asyncio.wait(set(work)))
        try:
            await asyncio.wait([hurried, ended], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurried.cancel()
            ended.cancel()
            self._put_off(time.monotonic() - began - seconds)
        until = self._limit and self._limit.when()
        return _LEAST_S if until is None else max(0.0, until - asyncio.get_running_loop().time())

    def _put_off(self, seconds: float) -> None:
        self._deadline += seconds
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule((self._limit.when() or 0) + seconds)

    # Where the process is ours

    def run(self, main: Coroutine[Any, Any, int], loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> int:
        """Run the main coroutine of a process, which gives its exit code; soon after that it ends, whatever it still does."""
        self.watch()
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            self._loop = runner.get_loop()
            try:
                self._code = runner.run(main)
            finally:
                self.be_brief(self._code)
        if self.then is not None:
            self.then()
        return self._code

    def be_brief(self, code: int) -> None:
        """All has been done that had to be: what does not end by itself now is not waited for."""
        self._code, self._brief = code, True
        self.begin()
        self._deadline = min(self._deadline, time.monotonic() + _LAST_S)

    def listen(self) -> None:
        """Heed SIGINT and SIGTERM beside who heeds them already: once is the beginning, twice ends all graces, thrice is the end."""
        self._loop = asyncio.get_running_loop()
        if threading.current_thread() is not threading.main_thread():
            return  # who runs this heeds signals, if anybody does
        for number in (signal.SIGINT, signal.SIGTERM):
            if callable(before := signal.getsignal(number)):
                signal.signal(number, functools.partial(self._hear, before))

    def _hear(self, before: Callable[[int, Any], Any], number: int, frame: Any) -> None:
        self._times_told += 1
        self.begin()
        if self._times_told == 2 and self._loop is not None:
            self._loop.call_soon_threadsafe(self._hurried.set)
        elif self._times_told > 2:
            self._at_once = number
        before(number, frame)

    def watch(self) -> None:
        """End the process when the time is over; whoever calls this owns it."""
        # Both from the start: there may be no thread to be had later. What is said is said in one of its own, as who holds the lock of the
        # log may be what hangs.
        saying = threading.Thread(target=self._say, name="the last word", daemon=True)
        saying.start()
        threading.Thread(target=self._watch, args=(saying,), name="the end", daemon=True).start()

    def _watch(self, saying: threading.Thread) -> None:
        self._begun.get()
        while self._at_once is None and time.monotonic() < self._deadline:
            time.sleep(_LOOK_S)
        self._over.set()
        saying.join(_LEAST_S)
        try:
            if self._at_once is None and self.then is not None:
                self.then()
        finally:
            leave(self._code if self._at_once is None else 128 + self._at_once)

    def _say(self) -> None:
        self._over.wait()
        left = list(self._left())
        if self._brief and not left and self._at_once is None:
            return  # only the interpreter itself was slow
        why = "the process ends" if self._at_once is None else "the process ends at once, as it was told three times"
        at = sys._current_frames().get(threading.main_thread().ident or 0)
        where = at and f"{at.f_code.co_filename}:{at.f_lineno}"
        _log.error(f"{why}; what has not come to an end is left", left=left[:_NAMED], number=len(left), main_thread_at=where)

    def _left(self) -> Iterator[str]:
        yield from self.hooks
        tasks = asyncio.all_tasks(self._loop) if self._loop is not None else set()
        yield from sorted(task.get_name() for task in tasks if not task.done() and not _NO_NAME.fullmatch(task.get_name()))
        frames = sys._current_frames()
        for thread in threading.enumerate():
            frame = frames.get(thread.ident or 0)
            waits = frame is not None and frame.f_code.co_name == "_worker"  # for work, in an executor: it ends when it is told
            if not (thread.daemon or waits or thread is threading.main_thread()):
                yield f"thread {thread.name}"
