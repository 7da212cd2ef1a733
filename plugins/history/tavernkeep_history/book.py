"""The executions that are open, and what of them waits to be written."""

import asyncio
from collections.abc import Iterable

import attrs

from tavernkeep.contracts.events import Event, NodeYield
from tavernkeep_history.record import Record


@attrs.define(eq=False)
class Book:
    """What the rooms of the journal know together.

    Attributes:
        open: By their ids.
        changed: Of these, those of which something waits.
        refused: The ids of those that were not accepted after all; a commit of which it is said that it failed may yet be found done.
        overtaken: The ids of those that other processes have taken up; they are let go of before the next commit.
        notices: What everybody is told once what happened before is.
        committing: A commit runs.
        closing: What waits is written, and that is the end.
        news: There is something to do; `urgent` where somebody waits for it.
        noted: How many events have come, and `written` how many of them wait no more.
        commits: How often something was written, and `failed` how often that was not possible.
    """

    open: dict[str, Record] = attrs.field(factory=dict)
    changed: dict[str, Record] = attrs.field(factory=dict)
    refused: set[str] = attrs.field(factory=set)
    overtaken: set[str] = attrs.field(factory=set)
    notices: list[Event] = attrs.field(factory=list)
    committing: bool = False
    closing: bool = False
    news: asyncio.Event = attrs.field(factory=asyncio.Event)
    urgent: asyncio.Event = attrs.field(factory=asyncio.Event)
    noted: int = 0
    written: int = 0
    commits: int = 0
    failed: int = 0

    def change(self, record: Record, *, urgent: bool) -> None:
        """Something of an execution is to be written."""
        if not record.resting and (urgent or record.id not in self.changed):
            self.changed[record.id] = record
            self.news.set()
            if urgent:
                self.urgent.set()

    def remove(self, record: Record) -> None:
        """It is not open any more."""
        del self.open[record.id]
        self.changed.pop(record.id, None)

    def hurry(self) -> None:
        """Have what waits written now."""
        self.news.set()
        self.urgent.set()


def leave_out(record: Record, events: Iterable[Event]) -> None:
    """Note that some events of an execution are not recorded."""
    record.cut.update(event.source_node_id for event in events if isinstance(event, NodeYield))
    record.row |= {"complete": False, "cut": sorted(record.cut)}
