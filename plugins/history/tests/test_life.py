"""A server's life on its database: the next one ends it, a copy that is restored is no crash, and what it cannot take up can be ended."""

import asyncio
import base64
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
import pytest_asyncio

from support.house import GATES, House, started
from tavernkeep.contracts.events import NodeExecuting
from tavernkeep.contracts.execution import ExecutionStatus, Interrupted, Refused
from tavernkeep_history.models import EventBlock, ExecutionRow, LifeRow


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A server, with an execution at work."""
    GATES.clear()
    house = await started(tmp_path, '{"engine": {"shutdownGraceS": 0}}')
    yield house
    await house.app.stop()


async def at_work(house: House) -> str:
    id_ = await house.submit("a")
    await house.until(lambda event: isinstance(event, NodeExecuting) and event.execution_id == id_)
    return id_


@pytest.mark.parametrize("notices", [True, False])
async def test_who_was_replaced_accepts_nothing(house: House, notices: bool) -> None:
    """Whether it has found out by itself or not: nothing of new work is written, what is open stops here, and it says so for good."""
    id_ = await at_work(house)
    blocks, told = await EventBlock.all().count(), len(house.of(id_))
    await LifeRow.filter(id=1).update(name="another's")
    if notices:
        await house.journal.confirm()
        assert "another server" in str(house.journal.problem)
    for _ in range(2):
        with pytest.raises(Refused, match="another server has taken over"):
            await house.submit("b")
    assert "another server" in str(house.journal.problem)
    GATES["a"].set()
    await house.journal.flush()
    assert "another server" in str(house.journal.problem)
    assert await house.scheduler.executions(house.user) == []
    assert await ExecutionRow.all().values_list("id", "status") == [(id_, "running")]
    assert (await EventBlock.all().count(), len(house.of(id_))) == (blocks, told)


async def test_a_copy_has_not_ended_what_was_at_work_in_it(house: House, tmp_path: Path) -> None:
    """A backup of a running server: the first start of it counts nothing, the end of that one counts."""
    id_ = await at_work(house)
    (file,) = tmp_path.rglob("*.sqlite3")
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    for copied, attempts in ((True, 0), (False, 1), (True, 1)):
        await house.kill()
        if copied:
            shutil.copyfile(file, tmp_path / "copy")
            for ending in ("-wal", "-shm"):
                file.with_name(file.name + ending).unlink(missing_ok=True)
            (tmp_path / "copy").rename(file)
        GATES.clear()
        again = await started(tmp_path, '{"engine": {"shutdownGraceS": 0}}')
        house.app, house.outside = again.app, again.outside
        async with asyncio.timeout(30):
            await again.until(lambda event: isinstance(event, NodeExecuting) and event.execution_id == id_)
        row = await ExecutionRow.get(id=id_)
        assert row.attempts == attempts


async def test_what_cannot_be_opened_can_be_interrupted(house: House, tmp_path: Path) -> None:
    """The key is gone for good: the running server ends it, once, tells who watches, and it is as any that was interrupted."""
    id_ = await at_work(house)
    await house.kill()
    (key,) = tmp_path.rglob("master.key")
    key.write_bytes(base64.urlsafe_b64encode(bytes(32)))
    GATES.clear()
    again = await started(tmp_path, '{"engine": {"shutdownGraceS": 0}}')
    house.app, house.outside = again.app, again.outside
    scheduler, user = again.scheduler, again.user
    assert (await ExecutionRow.get(id=id_)).status == "running"
    stranger = attrs.evolve(user, uid="another", is_admin=False)
    assert await scheduler.interrupt(id_, stranger) is Interrupted.UNKNOWN
    assert [await scheduler.interrupt(id_, user) for _ in range(2)] == [Interrupted.DONE, Interrupted.FINISHED]
    (end,) = again.of(id_)
    row = await ExecutionRow.get(id=id_)
    assert (row.status, row.last_seq, end.payload["status"]) == ("interrupted", end.seq, "interrupted")
    info = await scheduler.info(id_, user)
    assert info is not None
    assert info.status is ExecutionStatus.INTERRUPTED
    assert (await scheduler.events_after(id_, user, end.seq - 1) or [])[0].payload == end.payload
