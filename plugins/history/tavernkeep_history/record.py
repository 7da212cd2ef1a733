"""What the journal knows of an execution that is open."""

import asyncio
from typing import Any, Final

import attrs

from tavernkeep.clock import now
from tavernkeep.contracts.events import Event, InterfaceYield, NodeProgress, NodeYield
from tavernkeep.contracts.execution import Opening
from tavernkeep.contracts.storage import Unavailable

EVENT: Final = 400  # bytes of an event beside what it carries, roughly
MINOR: Final = (NodeYield, InterfaceYield, NodeProgress)  # what is left out first


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return int(now().timestamp() * 1000)


@attrs.define(eq=False)
class Record:
    """An execution that is open.

    Attributes:
        epoch: Of its life in this process.
        row: Columns that are to be written.
        known: Its row is in the database.
        events: That are to be written and told; those of `left_out` are only told.
        last_seq: The number of the last event; `last_kept` of the last that is to be written, `last_written` of the last that is.
        cut: The nodes of which chunks were left out.
        last_told: The number of the last event that was delivered.
        reserved: Numbers up to this are known to the database to be given out; `wanted` is what it is to know next.
        holding: Events wait to be told until they are written.
        waiters: Who waits until an event is written, with its number.
        last: Nothing more will come.
        tries: How often it, and it alone, could not be written.
        doubtful: Writing it has failed, and may have happened all the same.
        resting: It is tried again after a pause.
        broken: It could not be written: only its end is.
        blocks: How many blocks of its events are written that are not joined; up to the event `joined` they are.
    """

    opening: Opening
    epoch: int
    row: dict[str, Any]
    known: bool
    last_seq: int
    last_told: int
    last_kept: int
    last_written: int
    sealed: str | None = None
    events: list[Event] = attrs.field(factory=list)
    left_out: set[int] = attrs.field(factory=set)
    bytes_waiting: int = 0
    size: int = 0
    chunks: int = 0
    cut: set[str] = attrs.field(factory=set)
    reserved: int = 0
    wanted: int = 0
    holding: bool = True
    waiters: list[tuple[int, asyncio.Future[None]]] = attrs.field(factory=list)
    last: bool = False
    tries: int = 0
    doubtful: bool = False
    resting: bool = False
    broken: str | None = None
    blocks: int = 0
    joined: int = 0

    @property
    def id(self) -> str:
        """That of the execution."""
        return self.opening.execution_id

    def hear(self, error: Unavailable | None = None) -> None:
        """Let those go on who wait for what is written by now; or tell all of them that it cannot be."""
        waiters, self.waiters = self.waiters, []
        for seq, future in waiters:
            if future.done():
                continue
            if error is not None:
                future.set_exception(error)
            elif seq <= self.last_written:
                future.set_result(None)
            else:
                self.waiters.append((seq, future))
