"""The recorder, cut off and made to fail at each of its awaits: the next time that it writes nothing is lost, and nothing there twice."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tavernkeep import UserContext
from tavernkeep.app import Application
from tavernkeep.config import ConfigSource
from tavernkeep.contracts.events import Event, StatusUpdate
from tavernkeep.contracts.execution import Scheduler, Submission
from tavernkeep.contracts.storage import Storage
from tavernkeep.contracts.workflow import PayloadNode, WorkflowPayload
from tavernkeep_devkit.cutting import every_cut
from tavernkeep_history.config import HistoryConfig
from tavernkeep_history.models import EventBlock, ExecutionRow
from tavernkeep_history.recorder import Recorder
from tavernkeep_secrets.contracts import Secrets

USER = UserContext("u1", "ada", False)


@pytest_asyncio.fixture
async def app(tmp_path: Path) -> AsyncIterator[Application]:
    """Everything that keeps data and runs workflows, without a server."""
    (tmp_path / "config.json").write_text(json.dumps({}))
    app = Application.load(ConfigSource.read(tmp_path / "config.json", {}))
    await app.start(serving=False, alone=True)
    yield app
    await app.stop()


async def told_of_one(app: Application) -> list[Event]:
    """All that is told of an execution."""
    told: list[Event] = []
    ended = asyncio.Event()

    def watch(event: Event) -> None:
        told.append(event)
        if isinstance(event, StatusUpdate) and event.status.is_final:
            ended.set()

    payload = WorkflowPayload([PayloadNode("n", "core:TextMerge", inputs={"text_inputs": ["fine"]})], [])
    await app.services.get(Scheduler).submit(Submission(payload, USER, lambda id_: app.events.watch(id_, watch)))
    await ended.wait()
    return told


@pytest.mark.parametrize("error", [None, OSError("made to fail")], ids=["cancelled", "failed"])
async def test_what_could_not_be_written_is_written_the_next_time(app: Application, error: Exception | None) -> None:
    """Each event once, and in order."""
    told, get = await told_of_one(app), app.services.get
    recorder = Recorder(get(Storage), lambda: get(Scheduler), get(Secrets), HistoryConfig())

    async def record() -> None:
        for event in told:
            recorder.note(event)
        await recorder.flush()

    cuts = 0
    async for cut in every_cut(record, error):
        async with asyncio.timeout(30):
            await recorder.flush()
        rows = await ExecutionRow.all()
        assert [(row.status, row.complete) for row in rows] == [("complete", True)], cut
        numbers = [(block.first_seq, block.last_seq) for block in await EventBlock.all()]
        assert numbers == [(told[0].seq, told[-1].seq)], cut
        await ExecutionRow.all().delete()
        assert await EventBlock.all().count() == 0
        cuts += 1
    assert cuts > 0
