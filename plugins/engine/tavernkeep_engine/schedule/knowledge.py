"""What is known of executions: of those that are in memory by these, of all others by the archive."""

import asyncio
import itertools
import re
from collections.abc import Callable
from functools import partial
from typing import Final

import attrs

from tavernkeep.contracts.auth import UserContext
from tavernkeep.contracts.events import Event
from tavernkeep.contracts.execution import EventsLost, ExecutionArchive, ExecutionDetail, ExecutionInfo
from tavernkeep_engine.schedule.ended import Ended, off_the_loop
from tavernkeep_engine.schedule.execution import Execution
from tavernkeep_engine.schedule.memory import Memory

_RECENT: Final = 20
_NONE: Final = 2**62  # no event has a higher number
_LOOKS: Final = 50  # at memory, for what is forgotten there while the archive is read
_SOON_S: Final = 0.02
_ID: Final = re.compile(r"[\w-]{1,100}", re.ASCII)  # the archive need not know what its database makes of anything else


@attrs.frozen(eq=False)
class Knowledge:
    """Answers for the scheduler.

    Attributes:
        open: Those that have not ended, or whose end is not told yet.
        ended: Those that have, and are remembered.
        find_archive: The archive, where there is one.
    """

    open: dict[str, Execution]
    ended: Memory
    find_archive: Callable[[], ExecutionArchive | None]

    def find(self, execution_id: str, user: UserContext) -> Execution | Ended | None:
        """One that is in memory, if the user may see it."""
        found = self.open.get(execution_id) or self.ended.get(execution_id)
        if found is None or not found.may_be_seen_by(user):
            return None
        return found if isinstance(found, Ended) or found.is_accepted else None

    def executions(self, user: UserContext) -> list[ExecutionInfo]:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        return [execution.info() for execution in self.open.values() if execution.is_accepted and execution.may_be_seen_by(user)]

    async def recent(self, user: UserContext) -> list[ExecutionInfo]:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        found = [execution.info() for execution in self.ended.latest_first() if execution.may_be_seen_by(user)][:_RECENT]
        if len(found) < _RECENT and (archive := self.find_archive()) is not None:
            known = {info.prompt_id for info in found}
            older = (info for info in await archive.recent(user, _RECENT) if info.prompt_id not in known)
            found += itertools.islice(older, _RECENT - len(found))
        return found

    async def info(self, execution_id: str, user: UserContext) -> ExecutionInfo | None:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        if (execution := self.find(execution_id, user)) is not None:
            return execution.info()
        archive = self._archive_of(execution_id)
        return await archive.info(execution_id, user) if archive else None

    async def detail(self, execution_id: str, user: UserContext) -> ExecutionDetail | None:
        """See `tavernkeep.contracts.execution.Scheduler`."""
        execution = self.find(execution_id, user)
        if isinstance(execution, Execution):
            return execution.detail()
        if execution is not None and (detail := await off_the_loop(execution.detail, execution.size)) is not None:
            return detail
        archive = self._archive_of(execution_id)
        return await archive.detail(execution_id, user) if archive else None

    async def events_after(self, execution_id: str, user: UserContext, seq: int | None, limit: int | None = None) -> list[Event] | None:
        """See `tavernkeep.contracts.execution.Scheduler`: the last look is at memory, so that nothing falls in between."""
        archive = self._archive_of(execution_id)
        older: list[Event] = []
        last = seq if seq is None else min(seq, _NONE)
        for _ in range(_LOOKS):
            lost: int | None = None  # its first number, and not the error: that holds this frame, and with it all that was read
            newer: list[Event] | None = None
            found: list[Event] | None = None
            if (execution := self.find(execution_id, user)) is not None:
                try:
                    if isinstance(execution, Execution):
                        newer = execution.log.after(last, execution.last_told, limit)
                    else:
                        newer = await off_the_loop(partial(execution.after, last, limit), execution.size)
                except EventsLost as error:
                    if archive is None:
                        raise
                    lost = error.first
            if newer is not None:
                return older + newer
            if archive is not None:
                try:
                    found = await archive.events_after(execution_id, user, _NONE if last is None else last, limit)
                except EventsLost as error:
                    raise EventsLost(str(error), error.first if lost is None else min(error.first, lost)) from None
            if found and limit is not None:
                return found  # whoever wants more comes again
            if found:
                older += found
                last = found[-1].seq
            elif lost is None:
                return older or found
            else:  # told and forgotten again, and not in the archive yet: it soon is
                await asyncio.sleep(_SOON_S)
        raise EventsLost(f"the events of execution {execution_id} come faster than they can be read again", lost or 0)

    def _archive_of(self, execution_id: str) -> ExecutionArchive | None:
        return self.find_archive() if _ID.fullmatch(execution_id) else None
