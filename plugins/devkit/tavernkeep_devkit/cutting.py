"""Cuts asynchronous code off at each of its awaits, one after the other: what is left must be all of it or nothing.

    async for cut in every_cut(lambda: store.put(name)):
        assert await store.is_whole(name)

Awaits of tasks that the work starts are counted as well. The cut is a cancellation of the work, as when a client hangs up, or an error that
is raised at that await, as when a disk fails: while what is awaited goes on, or when it has happened.
"""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from typing import Any, Final, TypeVar

import attrs

T = TypeVar("T")
_MOST: Final = 2000


@attrs.define(eq=False)
class Cut:
    """One way to cut the work off.

    Attributes:
        at: The await at which it was, counted from 0.
        error: What was raised there; `None` for a cancellation.
        happened: Whether what is awaited there has happened first.
        raised: What the work ended with; `None` where it ended well all the same.
        tasks: That of the work, and those that it started.
    """

    at: int
    error: Exception | None
    happened: bool = False
    raised: BaseException | None = None
    tasks: "list[asyncio.Task[Any]]" = attrs.field(factory=list, repr=False)
    _passed: int = 0
    _task: "asyncio.Task[Any] | None" = None

    @property
    def reached(self) -> bool:
        """Whether the work got that far."""
        return self._passed > self.at

    def passes(self, waits_for: Any) -> bool:
        """Count an await; tells whether the error is to be raised there."""
        if self.error is not None and self._is_asyncio_wait(waits_for):
            return False
        self._passed += 1
        if self._passed != self.at + 1:
            return False
        if self.error is not None:
            return True
        assert self._task is not None, "it runs"
        self._task.cancel()
        return False

    def _is_asyncio_wait(self, waits_for: Any) -> bool:
        """`asyncio.wait` raises nothing but a cancellation: errors are those of the tasks that are waited for."""
        calls = [call for task in self.tasks for call, _ in getattr(task, "_callbacks", None) or ()]
        return any(cell.cell_contents is waits_for for call in calls for cell in getattr(call, "__closure__", None) or ())

    async def run(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Run the work, and cut it off."""
        loop = asyncio.get_running_loop()
        before = loop.get_task_factory()
        loop.set_task_factory(_stepped)
        token = _cut.set(self)
        try:
            self._task = asyncio.create_task(work())
        finally:
            _cut.reset(token)
        try:
            await asyncio.wait([self._task])
            self.raised = asyncio.CancelledError() if self._task.cancelled() else self._task.exception()
        finally:
            loop.set_task_factory(before)


_cut: contextvars.ContextVar[Cut | None] = contextvars.ContextVar("cut", default=None)


def _stepped(loop: asyncio.AbstractEventLoop, work: Any, context: contextvars.Context | None = None) -> "asyncio.Task[Any]":
    cut = context.get(_cut) if context is not None else _cut.get()
    if cut is None:
        return asyncio.Task(work, loop=loop, context=context)
    task: asyncio.Task[Any] = asyncio.Task(_as_coroutine(_Steps(work, cut)), loop=loop, context=context)
    cut.tasks.append(task)
    return task


async def _as_coroutine(steps: "_Steps") -> Any:
    return await steps


@attrs.define(eq=False)
class _Steps:
    """A coroutine, from await to await."""

    work: Coroutine[Any, Any, Any]
    cut: Cut

    def __await__(self) -> Generator[Any, Any, Any]:
        send: Any = None
        error: BaseException | None = None
        while True:
            try:
                waits_for = self.work.throw(error) if error is not None else self.work.send(send)
            except StopIteration as end:
                return end.value
            error = None
            failing = self.cut.passes(waits_for)
            if failing and not self.cut.happened:
                error = self.cut.error
                continue
            try:
                send = yield waits_for
            except BaseException as raised:
                error = raised
            else:
                error = self.cut.error if failing else None


async def every_cut(
    work: Callable[[], Coroutine[Any, Any, Any]], error: Exception | None = None, *, happened: bool = False
) -> AsyncIterator[Cut]:
    """Run the work again and again, cut off at its first await, its second, and so on; ends when it was not reached any more.

    Gives each cut, so that what it left behind can be looked at (and tidied up) before the next.

    Args:
        error: What is raised at the await; a cancellation when left out.
        happened: Let what is awaited happen before the error is raised, as when the step after it fails. What a thread does goes on
            when nobody waits for it, so this is for work of which threads do a part.
    """
    for at in range(_MOST):
        cut = Cut(at, error, happened)
        await cut.run(work)
        if not cut.reached:
            if cut.raised is not None:
                raise cut.raised
            return
        yield cut
    raise AssertionError(f"the work has more than {_MOST} awaits")
