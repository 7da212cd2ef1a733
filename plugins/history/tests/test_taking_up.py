"""What a process left open when it ended: who goes on, in which order, with whose rights, and who does not."""

import asyncio
import base64
import pkgutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_asyncio

from support.house import GATES, House, is_final, recording, started
from tavernkeep import UserContext
from tavernkeep.contracts.auth import AuthProvider
from tavernkeep.contracts.events import Event, NodeComplete, NodeExecuting, NodeWaiting, StatusUpdate
from tavernkeep.contracts.execution import ExecutionArchive, ExecutionStatus, Recall, Refused
from tavernkeep.contracts.storage import Unavailable
from tavernkeep_accounts.contracts import Accounts
from tavernkeep_history.archive import Archive
from tavernkeep_history.journal import Journal
from tavernkeep_history.models import EventBlock, ExecutionRow
from tavernkeep_history.taking_up import TakingUp

CONFIG = '{"execution": {"max_concurrent_workflows": %d}, "engine": {"shutdownGraceS": 0}}'


@attrs.define(eq=False)
class Lives:
    """One installation, through the lives of its server."""

    folder: Path
    most: int = 4
    config: str = CONFIG
    house: House | None = None

    async def begin(self) -> House:
        """The next life."""
        GATES.clear()
        self.house = await started(self.folder, self.config % self.most)
        return self.house

    async def end(self, *, told_to: bool) -> None:
        """The server stops, or is gone between one step and the next."""
        house, self.house = self.house, None
        assert house is not None, "it lives"
        if told_to:
            await house.app.drain()
            await house.app.stop()
        else:
            await house.kill()

    async def again(self, *, told_to: bool = False) -> House:
        """End this life, and begin the next."""
        await self.end(told_to=told_to)
        return await self.begin()


@pytest_asyncio.fixture
async def lives(tmp_path: Path) -> AsyncIterator[Lives]:
    lives = Lives(tmp_path)
    await lives.begin()
    yield lives
    if lives.house is not None:
        await lives.house.app.stop()


def at_work(house: House, id_: str) -> bool:
    return any(isinstance(event, NodeExecuting) for event in house.of(id_))


async def working(house: House, *ids: str) -> None:
    for id_ in ids:
        await house.until(lambda event, id_=id_: isinstance(event, NodeExecuting) and event.execution_id == id_)  # type: ignore[misc]


async def test_all_is_there_before_anything_is_served_and_in_its_order(lives: Lives) -> None:
    """Those that had begun first, then as they were accepted; the limits are for newcomers."""
    lives.most = 1
    house = await lives.again()
    ids = [await house.submit("a") for _ in range(5)]
    await working(house, ids[0])
    house = await lives.again()
    assert [info.prompt_id for info in await house.scheduler.executions(house.user)] == ids
    GATES.setdefault("a", asyncio.Event()).set()
    for id_ in ids:
        await house.ended(id_)
    begun = [event.execution_id for event in house.told if isinstance(event, StatusUpdate) and event.status is ExecutionStatus.RUNNING]
    assert begun == ids
    assert await ExecutionRow.filter(epoch=2, status="complete").count() == 5


async def test_five_ends_in_its_midst_are_the_last(lives: Lives) -> None:
    """It then ends in an error that is recorded like any other, with the nodes that were at work, and nothing of it starts."""
    house = lives.house
    assert house is not None
    id_ = await house.submit("a", "b")
    GATES.setdefault("b", asyncio.Event()).set()
    await house.until(lambda event: isinstance(event, NodeComplete) and event.node_id == "b")
    for _ in range(5):
        await working(house, id_)
        assert is_alive(await house.scheduler.info(id_, house.user))
        house = await lives.again()
    detail = await house.scheduler.detail(id_, house.user)
    assert detail is not None
    assert detail.status is ExecutionStatus.ERROR
    assert detail.completed_at is not None
    assert detail.error_info is not None
    assert detail.error_info["nodesAtWork"] == ["a"]
    assert "5 times" in detail.error_info["message"]
    events = await house.app.services.get(ExecutionArchive).events_after(id_, house.user, 0)
    assert events is not None
    assert is_final(events[-1])
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert not house.of(id_)


def is_alive(info: object) -> bool:
    return info is not None and not info.status.is_final  # type: ignore[attr-defined]


async def test_who_was_told_to_stop_is_no_suspect(lives: Lives) -> None:
    """Whatever was at work when a server was told to stop goes on, as often as that happens; and who was only queued always does."""
    house = lives.house
    assert house is not None
    id_ = await house.submit("a")
    for _ in range(7):
        await working(house, id_)
        house = await lives.again(told_to=True)
    row = await ExecutionRow.get(id=id_)
    assert (row.attempts, row.epoch) == (0, 8)


async def test_what_is_not_possible_at_the_start_is_done_later_and_once(lives: Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database fails in the middle of it: who had been taken up by then, and who came since, is left alone, and nobody is a suspect."""
    house = lives.house
    assert house is not None
    ids = [await house.submit("a") for _ in range(3)]
    await working(house, *ids)
    await lives.end(told_to=True)
    provider = type(house.app.services.get(AuthProvider))
    renew, asked, fails = provider.renew, [], True

    async def renew_or_not(self: Any, user: UserContext) -> UserContext | None:
        asked.append(user)
        if fails and len(asked) > 1:
            raise Unavailable("locked", "the database is locked")
        return await renew(self, user)

    monkeypatch.setattr(provider, "renew", renew_or_not)
    monkeypatch.setattr("tavernkeep_engine.schedule.scheduler._RETRY_S", 0)
    house = await lives.begin()
    await working(house, ids[0])  # it waits for none of those that cannot go on
    newcomer = await house.submit("a")
    await working(house, newcomer)
    while len(asked) < 6:  # it is tried again and again
        await asyncio.sleep(0)
    fails = False
    await working(house, *ids)
    rows = await ExecutionRow.filter(id__in=[*ids, newcomer]).order_by("number")
    assert [(row.epoch, row.attempts) for row in rows] == [(2, 0), (2, 0), (2, 0), (1, 0)]
    GATES.setdefault("a", asyncio.Event()).set()
    for id_ in (*ids, newcomer):
        await house.ended(id_)
        assert [event.node_id for event in house.of(id_) if isinstance(event, NodeExecuting)] == ["a"]


@pytest.mark.parametrize("where", ["tavernkeep_history.archive.Archive.payload_of", "tavernkeep_engine.plan.prepare.Preparer.prepare"])
@pytest.mark.parametrize("error", [MemoryError(), OSError(24, "Too many open files"), RuntimeError("can't start new thread")])
async def test_what_there_is_no_room_for_at_the_start_goes_on_later(
    lives: Lives, monkeypatch: pytest.MonkeyPatch, where: str, error: Exception
) -> None:
    """Memory, descriptors or threads are wanting, by no fault of its own: it is neither ended nor suspected, and others do not wait."""
    house = lives.house
    assert house is not None
    ids = [await house.submit("a") for _ in range(3)]
    await working(house, *ids)
    await lives.end(told_to=True)
    real, asked = pkgutil.resolve_name(where), []

    async def wanting(self: Any, *args: Any) -> Any:
        asked.append(self)
        if len(asked) in (2, 4, 5, 6):
            raise error
        return await real(self, *args)

    monkeypatch.setattr(where, wanting)
    monkeypatch.setattr("tavernkeep_engine.schedule.scheduler._RETRY_S", 0)
    house = await lives.begin()
    await working(house, *ids)
    rows = await ExecutionRow.filter(id__in=ids)
    assert [(row.epoch, row.attempts) for row in rows] == [(2, 0)] * 3
    GATES.setdefault("a", asyncio.Event()).set()
    for id_ in ids:
        assert (await house.ended(id_)).payload["status"] == "complete"


async def test_what_is_wanting_when_it_begins_is_waited_for(lives: Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is recorded of it cannot be read at that moment: it neither ends nor forgets anything."""
    house = lives.house
    assert house is not None
    id_ = await house.submit("a", "b")
    GATES.setdefault("b", asyncio.Event()).set()
    await house.until(lambda event: isinstance(event, NodeComplete))
    await lives.end(told_to=True)
    real, asked = Archive.recall, []

    async def recall(self: Archive, row: ExecutionRow) -> Recall:
        asked.append(row.id)
        if len(asked) < 3:
            raise MemoryError
        return await real(self, row)

    monkeypatch.setattr(Archive, "recall", recall)
    monkeypatch.setattr("tavernkeep_engine.schedule.executing._RETRY_S", 0)
    house = await lives.begin()
    await working(house, id_)
    GATES.setdefault("a", asyncio.Event()).set()
    assert (await house.ended(id_)).payload["status"] == "complete"
    assert len(asked) == 3


async def test_what_cannot_be_given_up_at_the_start_is_later(lives: Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is to go on with anything, and that cannot be written: what comes meanwhile is recorded all the same, and not given up."""
    house = lives.house
    assert house is not None
    left = await house.submit("a")
    await working(house, left)
    await lives.end(told_to=True)
    real, asked, fails = TakingUp._end, [], True

    async def end(self: TakingUp, *args: Any) -> Event | None:
        asked.append(args)
        if fails:
            raise Unavailable("locked", "the database is locked")
        return await real(self, *args)

    monkeypatch.setattr(TakingUp, "_end", end)
    monkeypatch.setattr("tavernkeep_engine.schedule.scheduler._RETRY_S", 0)
    lives.config = lives.config.replace("}}", '}, "history": {"resume": false}}')
    house = await lives.begin()
    newcomer = await house.submit("a")
    await working(house, newcomer)
    while len(asked) < 3:  # it is tried again and again
        await asyncio.sleep(0)
    fails = False
    async with asyncio.timeout(30):
        while (await ExecutionRow.get(id=left)).status != "error":
            await asyncio.sleep(0)
    row = await ExecutionRow.get(id=newcomer)
    assert (row.status, row.epoch) == ("running", 1)
    GATES["a"].set()
    assert (await house.ended(newcomer)).payload["status"] == "complete"


async def test_nothing_is_taken_before_it_is_known_what_was(lives: Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start it cannot be read: what is accepted would have no number, so nothing is, until it can; the history stays in service."""
    house = lives.house
    assert house is not None
    GATES.setdefault("a", asyncio.Event()).set()
    await house.ended(await house.submit("a"))
    await lives.end(told_to=True)
    real, fails = Journal._count, True

    async def count(self: Journal) -> None:
        if fails:
            raise Unavailable("gone", "the database cannot be read")
        await real(self)

    monkeypatch.setattr(Journal, "_count", count)
    monkeypatch.setattr("tavernkeep_history.committing._RETRY_S", 0)
    house = await lives.begin()
    with pytest.raises(Refused, match="cannot be read"):
        await house.submit("a")
    fails = False
    await house.until(recording(True))
    GATES.setdefault("a", asyncio.Event()).set()
    await house.ended(await house.submit("a"))
    assert [row.number for row in await ExecutionRow.all()] == [2, 1]


async def test_who_waits_for_a_person_is_no_suspect(lives: Lives) -> None:
    """The end of the server is none of its doing; the question is put again, and the answer heard."""
    house = lives.house
    assert house is not None
    id_ = await house.submit("a", type_="j:Ask")
    for _ in range(6):
        await house.until(lambda event: isinstance(event, NodeWaiting))
        house = await lives.again()
    await house.until(lambda event: isinstance(event, NodeWaiting))
    assert (await ExecutionRow.get(id=id_)).attempts == 0
    assert await house.scheduler.answer(id_, "a", "yes", house.user)
    house = await lives.again()
    await house.until(lambda event: isinstance(event, NodeWaiting))
    assert await house.scheduler.answer(id_, "a", "indeed", house.user)
    await house.ended(id_)
    detail = await house.scheduler.detail(id_, house.user)
    assert detail is not None
    assert detail.node_status["a"].output == {"said": "yes indeed"}


async def test_suspects_run_one_at_a_time_and_hold_up_nobody(lives: Lives) -> None:
    """Who was in the midst more often waits longer; newcomers run beside them."""
    house = lives.house
    assert house is not None
    often = await house.submit("a")
    await working(house, often)
    house = await lives.again()
    once = await house.submit("a")
    await working(house, often, once)
    house = await lives.again()
    newcomer = await house.submit("c")
    await working(house, once, newcomer)
    assert not at_work(house, often)
    GATES.setdefault("a", asyncio.Event()).set()
    await house.ended(once)
    await house.ended(often)
    assert [row.attempts for row in await ExecutionRow.filter(id__in=[often, once]).order_by("number")] == [2, 1]


async def test_nobody_goes_on_with_rights_that_they_lost(lives: Lives) -> None:
    """A revoked key, a disabled user: it ends, and says why. A new role is the role."""
    house = lives.house
    assert house is not None
    accounts = house.app.services.get(Accounts)
    users = {name: await accounts.create(name, "user") for name in ("kept", "disabled", "raised", "keyed")}
    key = await accounts.make_key(users["keyed"].uid, "k", ["workflow:execute"])
    ids = {}
    for name, account in users.items():
        credential = f"key:{key['id']}" if name == "keyed" else "session:1"
        house.user = UserContext(account.uid, account.username, credential=credential)
        ids[name] = await house.submit("a")
    await accounts.change(users["disabled"].uid, disabled=True)
    await accounts.change(users["raised"].uid, role="admin")
    await accounts.delete_key(users["keyed"].uid, key["id"])
    await lives.end(told_to=True)
    house = await lives.begin()
    for name in ("disabled", "keyed"):
        detail = await house.scheduler.detail(ids[name], house.user)
        assert detail is not None
        assert detail.error_info is not None
        assert "may not run it any more" in detail.error_info["message"]
    for name in ("kept", "raised"):
        await working(house, ids[name])
    GATES.setdefault("a", asyncio.Event()).set()
    for name in ("kept", "raised"):
        await house.ended(ids[name])


async def test_what_is_damaged_concerns_itself_alone(lives: Lives) -> None:
    """A payload or a block that cannot be read ends its execution, with a recorded word; the others go on."""
    house = lives.house
    assert house is not None
    ids = [await house.submit("a") for _ in range(3)]
    await working(house, *ids)
    await lives.end(told_to=False)
    house = await lives.begin()
    await working(house, ids[0])
    await lives.end(told_to=True)
    await damage(lives.folder, ids)
    house = await lives.begin()
    for id_ in ids[:2]:
        info = await house.scheduler.info(id_, house.user)
        assert info is not None
        assert info.status is ExecutionStatus.ERROR
        assert info.completed_at is not None
        row = await ExecutionRow.get(id=id_)
        assert row.error_info is not None
        assert "cannot be read" in row.error_info["message"]
        assert await EventBlock.filter(execution_id=id_, first_seq=row.last_seq).count() == 1
    await working(house, ids[2])
    GATES.setdefault("a", asyncio.Event()).set()
    await house.ended(ids[2])


async def test_what_waits_for_its_key_is_not_lost(lives: Lives) -> None:
    """A server that was started with the wrong key leaves open what it cannot open; with the right one it goes on."""
    house = lives.house
    assert house is not None
    id_ = await house.submit("a")
    await working(house, id_)
    await lives.end(told_to=True)
    (key,) = lives.folder.rglob("master.key")
    right = key.read_bytes()
    for wrong in (base64.urlsafe_b64encode(bytes(32)), b""):
        key.write_bytes(wrong)
        house = await lives.begin()
        row = await ExecutionRow.get(id=id_)
        assert (row.status, row.epoch, row.paused) == ("running", 1, True)
        await lives.end(told_to=True)
    key.write_bytes(right)
    house = await lives.begin()
    await working(house, id_)
    GATES.setdefault("a", asyncio.Event()).set()
    assert (await house.ended(id_)).payload["status"] == "complete"


async def damage(folder: Path, ids: list[str]) -> None:
    """Bits fall over: in the payload of one, in a block of events of another."""

    (file,) = folder.rglob("*.sqlite3")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE executions SET payload = substr(payload, 1, 20) WHERE id = ?", (ids[0],))
        database.execute("UPDATE execution_events SET lines = zeroblob(30) WHERE execution_id = ?", (ids[1],))
    database.close()


@pytest.mark.parametrize("what", ["taken up", "forgotten"])
async def test_who_was_overtaken_changes_nothing_and_tells_nothing(lives: Lives, what: str) -> None:
    """Another process has taken it up, or somebody forgot it: it stops here, nothing is written of it, and others go on."""
    house = lives.house
    assert house is not None
    id_, other = await house.submit("a"), await house.submit("b")
    await working(house, id_, other)
    told = len(house.of(id_))
    if what == "taken up":
        await ExecutionRow.filter(id=id_).update(epoch=7)
    else:
        await ExecutionRow.filter(id=id_).delete()
    blocks = await EventBlock.filter(execution_id=id_).count()
    for name in "ab":
        GATES.setdefault(name, asyncio.Event()).set()
    await house.ended(other)
    await house.journal.flush()
    assert len(house.of(id_)) == told
    assert await EventBlock.filter(execution_id=id_).count() == blocks
    assert [info.prompt_id for info in await house.scheduler.executions(house.user)] == []
    if what == "taken up":
        assert (await ExecutionRow.get(id=id_)).status == "running"
    else:
        assert await house.scheduler.info(id_, house.user) is None


async def test_who_asks_whether_it_was_overtaken_is_told(lives: Lives) -> None:
    """Nothing happens to it here, so nobody would notice: from then on it is another's, and nobody stops or answers it here."""
    house = lives.house
    assert house is not None
    id_, other = await house.submit("a", type_="j:Ask"), await house.submit("b")
    await house.until(lambda event: isinstance(event, NodeWaiting))
    await working(house, other)
    await ExecutionRow.filter(id=id_).update(epoch=7)
    await house.journal.confirm()
    assert [info.prompt_id for info in await house.scheduler.executions(house.user)] == [other]
    info = await house.scheduler.info(id_, house.user)
    assert info is not None
    assert info.status is ExecutionStatus.RUNNING
    for attempt in (house.scheduler.interrupt(id_, house.user), house.scheduler.answer(id_, "a", "yes", house.user)):
        with pytest.raises(Unavailable):
            await attempt
    GATES.setdefault("b", asyncio.Event()).set()
    await house.ended(other)
