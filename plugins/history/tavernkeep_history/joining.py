"""Joining small blocks: each commit adds one, and thousands of them are slow to read and hardly compressed."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Final

import structlog

from tavernkeep.contracts.storage import Missed, Storage, Write
from tavernkeep_history.damage import UNREADABLE
from tavernkeep_history.models import EventBlock
from tavernkeep_history.packing import Block, joined
from tavernkeep_history.record import Record

_log = structlog.get_logger(__name__)

_AT_ONCE: Final = 200  # blocks that are joined at once
_MANY: Final = 2 * _AT_ONCE  # of an execution that goes on
_FEW: Final = 16  # of one that has ended, for which it is worth while
_SMALL: Final = 64 * 1024  # bytes, compressed: a larger one stays as it is


class Joining:
    """Joins the blocks of executions, apart from the writing, which does not wait for it. What is read meanwhile is whole.

    Args:
        thread: Where it is packed.
    """

    def __init__(self, storage: Storage, thread: Executor) -> None:
        self._storage = storage
        self._thread = thread
        self._crowded: dict[str, Record] = {}
        self._crowd = asyncio.Event()

    def count_written(self, record: Record, blocks: int) -> None:
        """Some more of an execution are written."""
        record.blocks += blocks
        if record.blocks >= (_FEW if record.last else _MANY):
            self._crowded[record.id] = record
            self._crowd.set()

    async def join_always(self) -> None:
        """Join whatever is worth while; until it is cancelled."""
        while True:
            await self._crowd.wait()
            self._crowd.clear()
            crowded, self._crowded = self._crowded, {}
            for record in crowded.values():
                record.blocks = 0
                try:
                    await self.join(record)
                except Exception as error:
                    _log.error("the events of an execution cannot be joined at present", execution=record.id, error=str(error))

    async def join(self, record: Record) -> None:
        """Join what of an execution is to be joined now."""
        while run := await self._next(record):
            count = await self._join(run) if len(run) > 1 else 1
            record.joined = run[count - 1].last_seq

    async def _join(self, run: Sequence[EventBlock]) -> int:
        """Join as many of some blocks as fit into one; tells how many these are."""
        blocks = [Block(row.first_seq, row.last_seq, row.lines, row.inexact, 0) for row in run]
        try:
            whole, count = await asyncio.get_running_loop().run_in_executor(self._thread, joined, blocks)
        except UNREADABLE:
            return len(run)  # whoever reads it is told
        if count > 1:
            await self._replace(run[:count], whole)
        return count

    async def _next(self, record: Record) -> Sequence[EventBlock]:
        """The next small ones that follow each other; none where there are not enough of them yet."""
        rows = await EventBlock.filter(execution_id=record.id, last_seq__gt=record.joined).order_by("last_seq").limit(_AT_ONCE)
        run: list[EventBlock] = []
        for row in rows:
            # Over a hole nothing is joined: it shows whoever has seen more than is recorded.
            if run and (len(row.lines) > _SMALL or row.first_seq != run[-1].last_seq + 1):
                break
            run.append(row)
        return run if len(run) < len(rows) or len(rows) == _AT_ONCE or (record.last and run) else []

    async def _replace(self, rows: Sequence[EventBlock], whole: Block) -> None:
        gone = [Write(EventBlock, None, key={"id": row.id}, must=True) for row in rows]
        try:
            await self._storage.write([*gone, Write(EventBlock, {"execution_id": rows[0].execution_id, **whole.columns()})])
        except Missed:
            _log.info("an execution was forgotten before its events were joined", execution=rows[0].execution_id)
