"""What is recorded, read: pages of executions, one with its results, its events, and what of it need not run again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, TypeVar

import attrs
from tortoise.expressions import Q

from tavernkeep import ApiError, UserContext
from tavernkeep.contracts.events import Event
from tavernkeep.contracts.execution import EventsLost, ExecutionDetail, ExecutionInfo, ExecutionStatus, Recall
from tavernkeep.contracts.storage import Unavailable
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep_history.damage import UNREADABLE, Damaged, read
from tavernkeep_history.models import EventBlock, ExecutionRow
from tavernkeep_history.packing import events_of, measured, messages_of
from tavernkeep_history.recall import Pieces, recalled
from tavernkeep_history.told import Told
from tavernkeep_history.writing import payload_of
from tavernkeep_secrets.contracts import Secrets

T = TypeVar("T")

_AT_ONCE: Final = 50  # blocks; each is of one commit, so most are small
_FEW: Final = 8  # blocks, where only some events are wanted
_TINY: Final = 1024  # bytes, compressed: a thread would take longer to be woken than reading them takes
_LARGE: Final = 1024 * 1024  # bytes of events after which no more are read than were wanted


@attrs.frozen
class Archive:
    """See `tavernkeep.contracts.execution.ExecutionArchive`."""

    secrets: Secrets

    async def find(self, execution_id: str, user: UserContext) -> ExecutionRow | None:
        """The row of an execution that the user may see."""
        row = await ExecutionRow.get_or_none(id=execution_id)
        return row if row and (user.is_admin or row.user_id == user.uid) else None

    async def get(self, execution_id: str, user: UserContext) -> ExecutionRow:
        """The row of an execution.

        Raises:
            ApiError: 404, there is none that the user may see.
        """
        row = await self.find(execution_id, user)
        if row is None:
            raise ApiError(404, f"There is no execution {execution_id[:100]!r}.")
        return row

    async def page(self, wanted: Q, limit: int) -> list[ExecutionRow]:
        """The latest executions that fit."""
        return await ExecutionRow.filter(wanted).limit(limit)

    async def recent(self, user: UserContext, most: int) -> list[ExecutionInfo]:
        """See `ExecutionArchive`."""
        mine = Q() if user.is_admin else Q(user_id=user.uid)
        ended = Q(status__in=[status.value for status in ExecutionStatus if status.is_final])
        return [_info_of(row) for row in await self.page(mine & ended, most)]

    async def info(self, execution_id: str, user: UserContext) -> ExecutionInfo | None:
        """See `ExecutionArchive`."""
        row = await self.find(execution_id, user)
        return _info_of(row) if row else None

    async def detail(self, execution_id: str, user: UserContext) -> ExecutionDetail | None:
        """See `ExecutionArchive`."""
        row = await self.find(execution_id, user)
        return await self.detail_of(row) if row else None

    async def detail_of(self, row: ExecutionRow) -> ExecutionDetail:
        """An execution with its results, as its events tell them."""
        return (await self.told_of(row)).detail(row)

    async def told_of(self, row: ExecutionRow) -> Told:
        """What came of an execution, as far as it can be read."""
        told = Told()
        try:
            told.begin(await self.payload_of(row))
        except ApiError:  # damaged, or sealed with a key that is gone
            told.damage.append("its workflow")
        if row.user is None or row.warnings is None:
            told.damage.append("a part of what is known of it as a whole")
        async for block, after in self.blocks(row.id):
            try:
                events = await _read(block, events_of, after)
            except Damaged as damaged:
                told.damage.append(damaged.what)
                continue
            for event in events:
                told.take(event)
        return told

    async def events_after(self, execution_id: str, user: UserContext, seq: int, limit: int | None = None) -> list[Event] | None:
        """See `ExecutionArchive`."""
        row = await self.find(execution_id, user)
        if row is None:
            return None
        found: list[Event] = []
        size = 0
        try:
            async for block, after in self.blocks(row.id, seq, _AT_ONCE if limit is None else _FEW):
                events, bytes_ = await _read(block, measured, after)
                found += events
                size += bytes_
                if limit is not None and (len(found) >= limit or size > _LARGE):
                    break
        except Damaged as damaged:
            if limit is None or not found:
                raise EventsLost(str(damaged), damaged.until + 1) from damaged
        found = found[:limit]
        if not row.complete:
            return _without_holes(found, seq, row)
        if found and 0 < seq < found[0].seq - 1 and not await EventBlock.exists(execution_id=row.id, first_seq__lte=seq, last_seq__gte=seq):
            why = f"event {seq} of execution {execution_id} was not recorded before the server ended; start over"
            raise EventsLost(why, found[0].seq)
        return found

    async def messages(self, execution_id: str, after: int = 0) -> AsyncIterator[list[dict[str, Any]]]:
        """The messages with a higher number, in order, some at a time; without those that cannot be read."""
        async for block, seen in self.blocks(execution_id, after):
            with contextlib.suppress(Damaged):
                yield await _read(block, messages_of, seen)

    async def blocks(self, execution_id: str, after: int = 0, at_once: int = _AT_ONCE) -> AsyncIterator[tuple[EventBlock, int]]:
        """The blocks that hold the events with a higher number, one at a time, each with the number from which on it is new.

        Blocks are joined at any time: a later one may have in it what an earlier one had.
        """
        while True:
            some = await _some_blocks(execution_id, after, at_once)
            for block in some:
                yield block, after
                after = block.last_seq
            if len(some) < at_once:
                return

    async def payload_of(self, row: ExecutionRow) -> WorkflowPayload:
        """What was submitted.

        Raises:
            ApiError: 503, it was sealed with another key.
            Damaged: It cannot be read.
        """
        return await asyncio.to_thread(payload_of, row, self.secrets)

    async def pieces(self, execution_id: str) -> Pieces:
        """All events, a block at a time.

        Raises:
            Damaged: Some of them cannot be read.
        """
        async for block, after in self.blocks(execution_id):
            yield await _read(block, events_of, after), frozenset(block.inexact)

    async def recall(self, row: ExecutionRow) -> Recall:
        """What need not run again."""
        cut = None if row.cut is None and not row.complete else frozenset(row.cut or ())
        return await recalled(self.pieces(row.id), cut)

    async def check(self, row: ExecutionRow) -> None:
        """Look whether all of its events can be read.

        Raises:
            Damaged: They cannot.
        """
        async for _ in self.pieces(row.id):
            pass


def _without_holes(events: list[Event], seq: int, row: ExecutionRow) -> list[Event]:
    """Of an execution of which some events were left out, those that come right after a number; later ones for who knows of the hole."""
    if row.last_seq > seq and (not events or events[0].seq > seq + 1):
        why = f"not all events of execution {row.id} were recorded: there were too many"
        raise EventsLost(why, events[0].seq if events else row.last_seq + 1)
    return [event for number, event in enumerate(events, seq + 1) if event.seq == number]


def user_of(row: ExecutionRow) -> UserContext:
    """Whoever submitted it, as they were then.

    Raises:
        Damaged: That cannot be read.
    """
    user = row.user
    try:
        return UserContext(row.user_id, user["username"], user["isAdmin"], frozenset(user["scopes"]), credential=user.get("credential", ""))
    except UNREADABLE as error:
        raise Damaged(row.id, "with which rights it ran") from error


async def _read(block: EventBlock, reader: Callable[[bytes, int], T], after: int) -> T:
    """See `read`; an execution that runs for long has tens of thousands of blocks, of an event or two."""
    if len(block.lines) <= _TINY:
        return read(block, reader, after)
    return await asyncio.to_thread(read, block, reader, after)


async def _some_blocks(execution_id: str, after: int, most: int) -> list[EventBlock]:
    """The first blocks of an execution after an event; of one whose pages in the database are damaged, where it stands and nothing else."""
    wanted = EventBlock.filter(execution_id=execution_id, last_seq__gt=after).order_by("last_seq").limit(most)
    try:
        return await wanted
    except Unavailable as error:
        if error.reason != "corrupt":
            raise
    found = []
    for place in await wanted.only("id", "first_seq", "last_seq"):
        try:
            block = await EventBlock.get_or_none(id=place.id)
        except Unavailable as error:
            if error.reason != "corrupt":
                raise
            block = EventBlock(execution_id=execution_id, first_seq=place.first_seq, last_seq=place.last_seq, lines=b"", inexact=[])
        if block is not None:  # else it was joined to others meanwhile
            found.append(block)
    return found


def _info_of(row: ExecutionRow) -> ExecutionInfo:
    return ExecutionInfo(row.id, row.stands, row.submitted_at, row.workflow_name, row.started_at, row.completed_at)
