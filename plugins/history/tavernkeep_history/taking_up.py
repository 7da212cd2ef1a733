"""Taking up what processes left open: each execution gets its next epoch, so that what they still write about it is void."""

from collections.abc import AsyncIterator, Container, Mapping
from typing import Any, Final

import attrs
import structlog

from tavernkeep.contracts.events import Event, StatusUpdate
from tavernkeep.contracts.execution import ExecutionStatus, Unfinished
from tavernkeep.contracts.storage import WANTING, Storage, Unavailable
from tavernkeep_history.archive import Archive, user_of
from tavernkeep_history.life import Life
from tavernkeep_history.models import EventBlock, ExecutionRow
from tavernkeep_history.packing import packed
from tavernkeep_history.recall import AtWork, at_work
from tavernkeep_history.record import now_ms
from tavernkeep_secrets.contracts import KeyMissing

_log = structlog.get_logger(__name__)

_OPEN: Final = tuple(status.value for status in ExecutionStatus if not status.is_final)


@attrs.define(eq=False)
class TakingUp:
    """Takes up, and gives up.

    Attributes:
        most: How many bytes of one message are kept.
        resume: Whether anything goes on at all.
        life: That in which it is done; `None` where this is no server.
    """

    archive: Archive
    storage: Storage
    most: int
    resume: bool = True
    life: Life | None = None
    _unopened: dict[str, int] = attrs.field(factory=dict)  # what cannot be opened with the key that is there, with its epoch
    _taken: dict[str, Unfinished] = attrs.field(factory=dict)  # what was taken up, and has neither gone on nor been given up

    async def unfinished(self, here: Container[str] = ()) -> AsyncIterator[Unfinished]:
        """See `tavernkeep.contracts.execution.ExecutionJournal`.

        Args:
            here: The ids of those that this process has: accepted, or taken up when it was asked before.
        """
        if not self.resume:
            await self.give_all_up(here)
            return
        if self.life is not None:
            await self.life.begin()
        wanting: Exception | None = None
        for execution_id in await ExecutionRow.filter(status__in=_OPEN).order_by("number").values_list("id", flat=True):
            row = await ExecutionRow.get_or_none(id=execution_id, status__in=_OPEN)
            if row is None or row.id in here:
                continue
            try:
                taken = self._taken.get(row.id)
                if taken is None or taken.epoch != row.epoch:  # else it could not go on, for no reason of its own: that was no life of it
                    taken = await self._take(row)
            except KeyMissing as error:  # a slip of the operator's, who can make it good: it goes on at a start with the key
                _log.error("an execution stays as it stands: what it runs cannot be opened", execution=row.id, reason=str(error))
                self._unopened[row.id] = row.epoch
                continue
            except WANTING as error:  # that may be had another time, and others may need less
                _log.error("an execution cannot be read at present", execution=row.id, reason=str(error) or type(error).__name__)
                wanting = error
                continue
            except Exception as error:  # its row, its payload or a block of its events is damaged: that is nobody else's trouble
                if isinstance(error, Unavailable) and error.reason != "corrupt":
                    raise
                _log.exception("what is recorded of an execution cannot be read", execution=row.id)
                said = f"What is recorded of the execution cannot be read, so it cannot go on: {error or type(error).__name__}"
                await self._end(row.id, row.epoch, row.epoch, {"message": said})
                continue
            if taken is not None:
                self._taken[row.id] = taken
                yield taken
                if row.id in here:
                    del self._taken[row.id]
        if wanting is not None:
            raise Unavailable("busy", f"Not all that is recorded can be read: {wanting or type(wanting).__name__}")

    async def _take(self, row: ExecutionRow) -> Unfinished | None:
        payload, user = await self.archive.payload_of(row), user_of(row)
        was = await at_work(self.archive.pieces(row.id)) if row.started_at is not None else AtWork([], is_suspect=False)
        is_copy = self.life is not None and self.life.is_first_of_copy  # what was at work when a backup was made has ended nothing
        attempts = row.attempts + (was.is_suspect and not row.paused and not is_copy)
        # Taken up by somebody else meanwhile, it is theirs.
        mine = ExecutionRow.filter(id=row.id, epoch=row.epoch, status__in=_OPEN)
        if not await mine.update(epoch=row.epoch + 1, attempts=attempts, paused=False):
            return None
        _log.info("takes up an execution", execution=row.id, epoch=row.epoch + 1, nodes_at_work=len(was.nodes))
        return Unfinished(
            row.id,
            row.epoch + 1,
            payload,
            user,
            row.submitted_at,
            row.started_at,
            last_seq_of(row),
            attempts,
            was.nodes,
            lambda: self.archive.recall(row),
            row.duration_ms or 0,
        )

    async def give_up(self, unfinished: Unfinished, error_info: Mapping[str, Any]) -> None:
        """See `tavernkeep.contracts.execution.ExecutionJournal`."""
        await self._end(unfinished.execution_id, unfinished.epoch, unfinished.epoch, error_info)
        self._taken.pop(unfinished.execution_id, None)

    async def give_all_up(self, here: Container[str] = ()) -> None:
        """Nobody goes on with anything but what this process has."""
        for row in await ExecutionRow.filter(status__in=_OPEN).order_by("number").only("id", "epoch"):
            if row.id not in here:
                await self._end(row.id, row.epoch, row.epoch + 1, {"message": "The server was stopped in the middle of it."})

    async def interrupt(self, row: ExecutionRow) -> bool:
        """Nobody goes on with an execution that no process runs, as somebody wishes; `False` where it has ended."""
        return await self._end(row.id, row.epoch, row.epoch + 1, None, ExecutionStatus.INTERRUPTED) is not None

    async def interrupt_unopened(self, execution_id: str) -> Event | None:
        """The same for one that could not be opened when the others were taken up; gives its end, `None` where it is none of these."""
        epoch = self._unopened.get(execution_id)
        if epoch is None:
            return None
        end = await self._end(execution_id, epoch, epoch + 1, None, ExecutionStatus.INTERRUPTED)
        self._unopened.pop(execution_id, None)
        return end

    async def _end(
        self,
        execution_id: str,
        epoch: int,
        raised: int,
        error_info: Mapping[str, Any] | None,
        status: ExecutionStatus = ExecutionStatus.ERROR,
    ) -> Event | None:
        async with self.storage.transaction():
            row = await ExecutionRow.get_or_none(id=execution_id, epoch=epoch, status__in=_OPEN).only("id", "last_seq", "reserved_seq")
            if row is None:
                return None
            seq = last_seq_of(row) + 1
            end = StatusUpdate(status, error_info).of(execution_id, seq)
            columns = {"status": status.value, "error_info": error_info, "completed_at": now_ms(), "last_seq": seq}
            await ExecutionRow.filter(id=execution_id, epoch=epoch).update(epoch=raised, **columns)
            for block in packed([end], self.most):
                await EventBlock.create(execution_id=execution_id, **block.columns())
        return end


def last_seq_of(row: ExecutionRow) -> int:
    """The number of the last event that may have been told.

    One more than was reserved: a client that saw the last of these before the end sees that there is a hole behind it.
    """
    last: int = row.last_seq
    return max(last, row.reserved_seq + 1) if row.reserved_seq else last
