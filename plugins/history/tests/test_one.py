"""One execution as it is shown, whatever happens to it meanwhile."""

import asyncio
from pathlib import Path

import pytest

from support.house import GATES, started
from tavernkeep.contracts.events import NodeExecuting
from tavernkeep.contracts.execution import ExecutionArchive
from tavernkeep_history.again import RunningAgain
from tavernkeep_history.archive import Archive
from tavernkeep_history.bodies import EventsQuery
from tavernkeep_history.models import ExecutionRow
from tavernkeep_history.routes import HistoryRoutes
from tavernkeep_history.told import Told


async def test_what_ends_while_it_is_read_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not said to run behind an event that says that it is complete."""
    GATES.clear()
    house = await started(tmp_path)
    try:
        archive = house.app.services.get(ExecutionArchive)
        assert isinstance(archive, Archive)
        id_ = await house.submit("a")
        await house.until(lambda event: isinstance(event, NodeExecuting))
        real = Archive.told_of

        async def told_of(self: Archive, row: ExecutionRow) -> Told:
            told = await real(self, row)
            GATES.setdefault("a", asyncio.Event()).set()
            await house.ended(id_)
            return told

        monkeypatch.setattr(Archive, "told_of", told_of)
        routes = HistoryRoutes(archive, RunningAgain(archive, None), house.scheduler, None)  # type: ignore[arg-type] # nothing is run again
        shown = await routes.one(id_, EventsQuery(), house.user)
        assert shown.events[-1]["payload"]["status"] == shown.execution.status == "complete"
        assert shown.execution.node_status["a"].status == "complete"
    finally:
        await house.app.stop()
