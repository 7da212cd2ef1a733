"""Small blocks are joined, and what is read is the same before, meanwhile and after."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from tavernkeep import UserContext
from tavernkeep.contracts.events import Event, NodeYield
from tavernkeep.contracts.execution import Opening, Submission
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep.testing import PATIENCE_S
from tavernkeep_devkit.cutting import every_cut
from tavernkeep_history import archive, joining
from tavernkeep_history.archive import Archive
from tavernkeep_history.joining import Joining
from tavernkeep_history.models import EventBlock, ExecutionRow
from tavernkeep_history.packing import events_of, packed
from tavernkeep_history.plugin import HistoryPlugin
from tavernkeep_history.record import Record
from tavernkeep_storage_sqlite.config import SqliteConfig
from tavernkeep_storage_sqlite.provider import SqliteStorage

USER = UserContext("u", "u", is_admin=True)
READER = Archive(cast("Any", None))


@pytest_asyncio.fixture
async def storage(tmp_path: Path) -> AsyncIterator[SqliteStorage]:
    storage = SqliteStorage(tmp_path / "db.sqlite3", SqliteConfig())
    await storage.open(HistoryPlugin().register_models())
    await storage.migrate()
    yield storage
    await storage.close()


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as thread:
        yield thread


def record(*, ended: bool) -> Record:
    def nothing(*_: Any) -> None: ...

    opening = Opening("e", Submission(WorkflowPayload([], []), USER), 0, [], nothing, nothing, nothing, nothing, nothing)  # type: ignore[arg-type]
    return Record(opening, 1, {}, True, 0, 0, 0, 0, last=ended)


def event(number: int, text: str = "word") -> Event:
    return NodeYield("n", {"type": "text_chunk", "content": f"{text} {number}"}, is_last_chunk=False).of("e", number)


async def write(*numbers: int, text: str = "word") -> None:
    """Each as a commit of its own."""
    if not await ExecutionRow.exists(id="e"):
        await ExecutionRow.create(id="e", user_id="u", user={}, status="complete", submitted_at=0, warnings=[], payload="")
    blocks = [block for number in numbers for block in packed([event(number, text)], 10_000_000)]
    await EventBlock.bulk_create(EventBlock(execution_id="e", **block.columns()) for block in blocks)


async def numbers() -> list[int]:
    return [event.seq async for events, _ in READER.pieces("e") for event in events]


async def spans() -> list[tuple[int, int]]:
    return [(block.first_seq, block.last_seq) for block in await EventBlock.all()]


async def test_those_of_one_that_has_ended_are_joined(storage: SqliteStorage, thread: ThreadPoolExecutor) -> None:
    """They become few, with the same events, in a tenth of the room."""
    await write(*range(1, 501))
    before = sum(len(block.lines) for block in await EventBlock.all())
    await Joining(storage, thread).join(record(ended=True))
    after = await EventBlock.all()
    assert [(block.first_seq, block.last_seq) for block in after] == [(1, 200), (201, 400), (401, 500)]
    found = [event.payload for block in after for event in events_of(block.lines)]
    assert found == [event(number).payload for number in range(1, 501)]
    assert sum(len(block.lines) for block in after) < before / 10


async def test_those_of_one_that_goes_on_are_joined_now_and_then(storage: SqliteStorage, thread: ThreadPoolExecutor) -> None:
    """Where there are many; the last ones wait for others."""
    of = record(ended=False)
    await write(*range(1, 450))
    await Joining(storage, thread).join(of)
    assert await spans() == [(1, 200), (201, 400), *((number, number) for number in range(401, 450))]
    assert of.joined == 400
    await write(*range(450, 470))
    of.last = True
    await Joining(storage, thread).join(of)
    assert await spans() == [(1, 200), (201, 400), (401, 469)]
    assert await numbers() == list(range(1, 470))


async def test_it_begins_by_itself_where_there_are_enough(storage: SqliteStorage, thread: ThreadPoolExecutor) -> None:
    """Some of one that has ended, many of one that goes on; a few are left alone."""
    await write(*range(1, 21))
    joining = Joining(storage, thread)
    going_on, ended = record(ended=False), record(ended=True)
    joining.count_written(going_on, 20)
    joining.count_written(ended, 1)
    task = asyncio.create_task(joining.join_always())
    for _ in range(20):
        await storage.check()
    assert len(await spans()) == 20
    joining.count_written(ended, 19)
    async with asyncio.timeout(PATIENCE_S):
        while await spans() != [(1, 20)]:
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


async def test_over_a_hole_nothing_is_joined(storage: SqliteStorage, thread: ThreadPoolExecutor) -> None:
    """Else who has seen a number that is not recorded would not be told to start over."""
    await write(*range(1, 11), *range(20, 31))
    await Joining(storage, thread).join(record(ended=True))
    assert await spans() == [(1, 10), (20, 30)]


async def test_large_ones_stay_as_they_are(storage: SqliteStorage, thread: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read at once stays bounded."""
    monkeypatch.setattr(joining, "_SMALL", 1000)
    await write(*range(1, 10))
    await write(10, text="".join(chr(0x4E00 + number * 7 % 20000) for number in range(3000)))
    await write(*range(11, 20))
    await Joining(storage, thread).join(record(ended=True))
    assert await spans() == [(1, 9), (10, 19)]
    assert await numbers() == list(range(1, 20))


async def test_who_reads_meanwhile_has_each_event_once(
    storage: SqliteStorage, thread: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a joined block begins before what has been read."""
    monkeypatch.setattr(archive, "_AT_ONCE", 5)
    await write(*range(1, 31))
    found: list[int] = []
    async for events, _ in READER.pieces("e"):
        if len(found) == 7:
            await Joining(storage, thread).join(record(ended=True))
            assert await spans() == [(1, 30)]
        found += [event.seq for event in events]
    assert found == list(range(1, 31))


async def test_one_that_is_forgotten_meanwhile_stays_forgotten(
    storage: SqliteStorage, thread: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it comes back."""
    await write(*range(1, 31))
    real = joining.joined

    async def forget() -> None:
        await ExecutionRow.all().delete()

    loop = asyncio.get_running_loop()

    def joined(blocks: Any) -> Any:
        asyncio.run_coroutine_threadsafe(forget(), loop).result()
        return real(blocks)

    monkeypatch.setattr(joining, "joined", joined)
    await Joining(storage, thread).join(record(ended=True))
    assert await spans() == []


@pytest.mark.parametrize("error", [None, OSError("made to fail")], ids=["cancelled", "failed"])
async def test_wherever_it_is_cut_off_every_event_is_there_once(
    storage: SqliteStorage, thread: ThreadPoolExecutor, error: Exception | None
) -> None:
    """Before, or joined."""
    joining = Joining(storage, thread)
    async for _ in every_cut(lambda: joining.join(record(ended=True)), error):
        await storage.check()
        assert await numbers() == list(range(1, len(await numbers()) + 1))
        await EventBlock.all().delete()
        await write(*range(1, 31))
