"""The tasks of a run: one for each node that is at work and not in line."""

import asyncio
from collections.abc import Callable, Collection
from typing import Final

_CANCEL_ROUNDS: Final = 3  # how often a node that ignores its cancellation is cancelled again
_CANCEL_WAIT_S: Final = 2.0


class Tasks:
    """Keeps the tasks of one run, each with the number of its node.

    Attributes:
        busy: How many of them take one of the places of the run.
    """

    def __init__(self) -> None:
        self.busy = 0
        self._tasks: dict[asyncio.Task[None], int] = {}

    def __bool__(self) -> bool:
        return bool(self._tasks)

    @property
    def nodes(self) -> Collection[int]:
        """The numbers of the nodes at work."""
        return self._tasks.values()

    def add(
        self, task: "asyncio.Task[None]", index: int, on_end: Callable[[int, BaseException | None], None], *, takes_place: bool
    ) -> None:
        """Keep a task until it has ended.

        Args:
            on_end: Called then, with the number of its node and what it raised. The task alone holds it: it leads to who holds this.
        """
        self._tasks[task] = index
        self.busy += takes_place

        def ended(task: "asyncio.Task[None]") -> None:
            del self._tasks[task]
            self.busy -= takes_place
            on_end(index, None if task.cancelled() else task.exception())

        task.add_done_callback(ended)

    async def end(self) -> None:
        """Cancel all. Those of `nodes` that are still there go on all the same, and are left behind."""
        for _ in range(_CANCEL_ROUNDS):
            if not self._tasks:
                break
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=_CANCEL_WAIT_S)
