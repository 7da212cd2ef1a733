"""The journal, made to fail at each of its awaits: the next time that it writes nothing is lost, and nothing there twice."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import attrs
import pytest
import pytest_asyncio

from tavernkeep import UserContext
from tavernkeep.app import Application
from tavernkeep.config import ConfigSource
from tavernkeep.contracts.app import Role
from tavernkeep.contracts.bus import EventBus
from tavernkeep.contracts.events import Event, NodeExecuting, StatusUpdate
from tavernkeep.contracts.execution import ExecutionInfo, ExecutionStatus, Opening, Refused, Scheduler, Submission
from tavernkeep.contracts.storage import Storage
from tavernkeep.contracts.workflow import PayloadNode, WorkflowPayload
from tavernkeep_devkit.cutting import every_cut
from tavernkeep_history.archive import Archive
from tavernkeep_history.config import HistoryConfig
from tavernkeep_history.journal import Journal
from tavernkeep_history.models import EventBlock, ExecutionRow
from tavernkeep_history.record import now_ms
from tavernkeep_history.taking_up import TakingUp
from tavernkeep_history.writing import Entry, Writer
from tavernkeep_secrets.contracts import Secrets

USER = UserContext("u1", "ada", False)
PAYLOAD = WorkflowPayload([PayloadNode("n", "core:TextMerge", inputs={"text_inputs": ["fine"]})], [])


@pytest_asyncio.fixture
async def app(tmp_path: Path) -> AsyncIterator[Application]:
    """Everything that keeps data and runs workflows, without a server."""
    (tmp_path / "config.json").write_text(json.dumps({}))
    app = Application.load(ConfigSource.read(tmp_path / "config.json", {}))
    await app.start(Role.NONE, alone=True)
    yield app
    await app.stop()


def unasked(*_: object) -> None:
    """What nobody is to call."""


async def told_of_one(app: Application) -> list[Event]:
    """All that is told of an execution."""
    told: list[Event] = []
    ended = asyncio.Event()

    def watch(event: Event) -> None:
        told.append(event)
        if isinstance(event, StatusUpdate) and event.status.is_final:
            ended.set()

    await app.services.get(Scheduler).submit(Submission(PAYLOAD, USER, lambda id_: app.events.watch(id_, watch)))
    await ended.wait()
    return told


async def test_what_could_not_be_written_is_written_the_next_time(app: Application) -> None:
    """Each event once, and in order, wherever it failed."""
    told, get = await told_of_one(app), app.services.get
    info = await get(Scheduler).info(told[0].execution_id, USER)
    assert info is not None
    journal = Journal(get(Storage), get(Secrets), EventBus(), HistoryConfig(), TakingUp(Archive(get(Secrets)), get(Storage), 1024))

    async def record() -> None:
        for event in told[1:]:
            journal.note(event)
        await journal._committing.commit()

    async def accept() -> None:
        await ExecutionRow.all().delete()
        assert await EventBlock.all().count() == 0
        journal.open(Opening(info.prompt_id, Submission(PAYLOAD, USER), 1, [], lambda: info, unasked, unasked, unasked, unasked))
        journal.note(told[0])
        assert await journal._committing.commit()

    cuts = 0
    await accept()
    async for cut in every_cut(record, OSError("made to fail")):
        async with asyncio.timeout(30):
            assert await journal._committing.commit()
        rows = await ExecutionRow.all()
        assert [(row.status, row.complete) for row in rows] == [("complete", True)], cut
        numbers = [(block.first_seq, block.last_seq) for block in await EventBlock.all()]
        assert numbers == [(1, 1), (2, told[-1].seq)], cut
        await accept()
        cuts += 1
    assert cuts > 0


async def test_what_was_refused_is_nobodys_earlier_request(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit failed, and was done all the same: who was told no and asks again is not given what is about to be removed."""
    get, real = app.services.get, Writer.write
    journal = Journal(get(Storage), get(Secrets), EventBus(), HistoryConfig(), TakingUp(Archive(get(Secrets)), get(Storage), 1024))
    heard: list[Refused] = []

    async def write(self: Writer, entries: Sequence[Entry]) -> None:
        await real(self, entries)
        if entries:
            raise OSError("made to fail")

    info = ExecutionInfo("a", ExecutionStatus.QUEUED, 1, None)
    submission = Submission(attrs.evolve(PAYLOAD, request_id="r"), USER)
    journal.open(Opening("a", submission, now_ms(), [], lambda: info, unasked, heard.append, unasked, unasked))
    with monkeypatch.context() as failing:
        failing.setattr(Writer, "write", write)
        assert not await journal._committing.commit()
    assert heard
    assert await ExecutionRow.all().count() == 1
    assert await journal.earlier(USER, "r") is None
    assert await journal._committing.commit()
    assert await ExecutionRow.all().count() == 0


async def test_how_long_it_has_run_is_known_with_what_has_happened(app: Application) -> None:
    """A process that is killed tells no more: what is taken up then goes on counting from its last event that is kept."""
    get, ran_ms = app.services.get, [0]
    journal = Journal(get(Storage), get(Secrets), EventBus(), HistoryConfig(), TakingUp(Archive(get(Secrets)), get(Storage), 1024))
    info = ExecutionInfo("a", ExecutionStatus.RUNNING, 1, None)
    told = (unasked, unasked, unasked, unasked)
    journal.open(Opening("a", Submission(PAYLOAD, USER), now_ms(), [], lambda: info, *told, ran_ms=lambda: ran_ms[0]))
    journal.note(StatusUpdate(ExecutionStatus.RUNNING).of("a", 1))
    assert await journal._committing.commit()
    ran_ms[0] = 1234
    journal.note(NodeExecuting("n").of("a", 2))
    assert await journal._committing.commit()
    assert (await ExecutionRow.get(id="a")).duration_ms == 1234


async def test_a_scheduler_that_fails_does_not_end_the_recording(app: Application) -> None:
    """What is called when an execution was taken over is somebody else's code: whatever it raises, others are recorded."""
    get = app.services.get
    journal = Journal(get(Storage), get(Secrets), EventBus(), HistoryConfig(), TakingUp(Archive(get(Secrets)), get(Storage), 1024))
    await journal.start()

    def fail() -> None:
        raise KeyError("made to fail")

    def open_(id_: str) -> None:
        info = ExecutionInfo(id_, ExecutionStatus.QUEUED, 1, None)
        journal.open(Opening(id_, Submission(PAYLOAD, USER), 1, [], lambda: info, lambda: None, unasked, unasked, fail))

    async with asyncio.timeout(30):
        for id_ in "ab":
            open_(id_)
        await journal.flush()
        await ExecutionRow.filter(id__in=["a", "b"]).update(epoch=7)
        await journal.confirm()
        open_("c")
        await journal.flush()
        assert sorted(await ExecutionRow.all().values_list("id", flat=True)) == ["a", "b", "c"]
        assert journal.stats().failed == 0
        await journal.close()
