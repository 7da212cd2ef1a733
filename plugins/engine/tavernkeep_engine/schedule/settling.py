"""What becomes of an execution whose end was told: an archive has it, or it is packed."""

import asyncio
from functools import partial
from typing import Final

import attrs
import structlog

from tavernkeep.contracts.execution import SHUTDOWN, ExecutionArchive, ExecutionJournal
from tavernkeep.contracts.services import Services
from tavernkeep.contracts.storage import Unavailable
from tavernkeep_engine.schedule.ended import Ended, off_the_loop
from tavernkeep_engine.schedule.execution import Execution
from tavernkeep_engine.schedule.memory import Memory

_log = structlog.get_logger(__name__)

_RETRY_S: Final = 1.0
_EACH: Final = 400  # bytes of a node or an event beside its values, roughly
_PART: Final = 8  # the events of one execution take at most one part of what there is for all


@attrs.define(eq=False)
class Settling:
    """Settles executions that have ended.

    Attributes:
        most: How many bytes of one output are kept where there is no archive.
    """

    memory: Memory
    services: Services
    most: int
    _tasks: set[asyncio.Task[None]] = attrs.field(factory=set)
    _closed: bool = False

    def begin(self, execution: Execution) -> None:
        """Everybody has been told of its end: let go of it as soon as what it was can be had all the same."""
        self.memory.add(execution)
        if not self._closed:
            task = asyncio.get_running_loop().create_task(self._settle(execution), name=f"execution {execution.id} is settled")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Leave those as they are that are not settled yet."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _settle(self, execution: Execution) -> None:
        try:
            if await self._is_archived(execution):
                pack = partial(Ended.archived, execution)
            else:
                pack = partial(Ended.whole, execution, self.memory.retained.most // _PART, self.most)
            self.memory.settle(await off_the_loop(pack, _size_of(execution)))
        except Exception:
            _log.exception("an execution that has ended cannot be remembered", execution=execution.id)
            self.memory.forget(execution)

    async def _is_archived(self, execution: Execution) -> bool:
        """Whether an archive has it, which is waited for; not where its end could not be recorded as it was."""
        journal = self.services.find(ExecutionJournal)
        if journal is None or self.services.find(ExecutionArchive) is None:
            return False
        if execution.broken is not None or execution.info().status is not execution.status:
            return False
        if execution.error_info is not None and execution.error_info.get("type") == SHUTDOWN:
            return False  # it stays where it stood, to be gone on with
        while True:
            try:
                await journal.written(execution.id)
                return True
            except Unavailable as error:
                _log.debug("an execution that has ended is not recorded yet", execution=execution.id, error=str(error))
                await asyncio.sleep(_RETRY_S)


def _size_of(execution: Execution) -> int:
    return execution.allowance.used + _EACH * (len(execution.plan.nodes) + len(execution.log.events))
