"""The door: whatever is cut off or fails on its way has happened or has not, and holds nothing."""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from tortoise import Tortoise
from tortoise.exceptions import IntegrityError

from tavernkeep import ModelSet, StartError
from tavernkeep.contracts.storage import Missed, Unavailable, Write
from tavernkeep.finish import finish
from tavernkeep.testing import PATIENCE_S
from tavernkeep.wire import Invalid
from tavernkeep_accounts.models import ServiceKey, User
from tavernkeep_accounts.plugin import AccountsPlugin
from tavernkeep_devkit.cutting import every_cut
from tavernkeep_storage_sqlite.config import SqliteConfig
from tavernkeep_storage_sqlite.engine import CarefulClient
from tavernkeep_storage_sqlite.provider import SqliteStorage

FAULT = OSError("made to fail")


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[SqliteStorage]:
    storage = SqliteStorage(tmp_path / "db.sqlite3", SqliteConfig(busy_timeout_s=0.05, longest_wait_s=30))
    await storage.open(AccountsPlugin().register_models())
    await storage.migrate()
    yield storage
    await storage.close()


async def names() -> set[str]:
    return {user.username for user in await User.all()}


@pytest.mark.parametrize("error", [None, FAULT], ids=["cancelled", "failed"])
async def test_a_transaction_is_whole_wherever_it_is_cut_off(storage: SqliteStorage, error: Exception | None) -> None:
    """Both rows or none, and the next request gets its turn."""

    async def two() -> None:
        async with storage.transaction():
            await User.create(uid="1", username="ada")
            await User.create(uid="2", username="bob")

    cuts = 0
    async for cut in every_cut(two, error):
        assert cut.raised is not None
        assert await names() in (set(), {"ada", "bob"}), cut
        await storage.check()
        await User.all().delete()
        cuts += 1
    assert cuts >= 4
    assert await names() == {"ada", "bob"}


@pytest.mark.parametrize("error", [None, FAULT], ids=["cancelled", "failed"])
async def test_what_is_undone_alone_is_whole_too(storage: SqliteStorage, error: Exception | None) -> None:
    """A transaction in a transaction."""

    async def nested() -> None:
        async with storage.transaction():
            await User.create(uid="1", username="ada")
            await storage.ensure(User, {"uid": "2"}, {"username": "bob"})

    async for cut in every_cut(nested, error):
        assert await names() in (set(), {"ada", "bob"}), cut
        await storage.check()
        await User.all().delete()


async def test_an_inner_transaction_is_undone_alone(storage: SqliteStorage) -> None:
    """The outer one goes on where it catches what the inner one raises."""

    async def fails() -> None:
        async with storage.transaction():
            await User.create(uid="2", username="bob")
            raise FAULT

    async with storage.transaction():
        await User.create(uid="1", username="ada")
        with pytest.raises(OSError, match="made"):
            await fails()
        await User.create(uid="3", username="cy")
    assert await names() == {"ada", "cy"}


@pytest.mark.parametrize("error", [None, FAULT], ids=["cancelled", "failed"])
async def test_single_statements_hold_nothing(storage: SqliteStorage, error: Exception | None) -> None:
    """Reading, writing, writing many, also when the connection has to be opened first."""

    async def all_kinds() -> None:
        await Tortoise.get_connection("default").close()
        await User.all()
        await User.filter(uid="nobody").update(username="x")
        await storage.put(User, {"uid": "1"}, {"username": "ada"})
        await storage.add_all([User(uid=str(number), username=f"u{number}") for number in range(2, 5)])

    async for cut in every_cut(all_kinds, error):
        assert len(await names() - {"ada"}) in (0, 3), cut
        foreign_keys = await Tortoise.get_connection("default").execute_query_dict("PRAGMA foreign_keys")
        assert foreign_keys == [{"foreign_keys": 1}], cut
        await storage.check()
        await User.all().delete()


def several() -> list[Write]:
    return [
        Write(User, {"uid": "1", "username": "ada"}),
        Write(User, {"username": "bob"}, key={"uid": "1"}, must=True),
        Write(User, {"uid": "2", "username": "cy"}),
        Write(User, {"uid": "3", "username": "dan"}),
        Write(User, None, key={"uid": "3"}, must=True),
    ]


@pytest.mark.parametrize("error", [None, FAULT], ids=["cancelled", "failed"])
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a transaction"])
async def test_several_writes_are_whole_wherever_they_are_cut_off(storage: SqliteStorage, error: Exception | None, inside: bool) -> None:
    """All of them or none, also when the connection has to be opened first."""

    async def write() -> None:
        await Tortoise.get_connection("default").close()
        if inside:
            async with storage.transaction():
                await storage.write(several())
        else:
            await storage.write(several())

    cuts = 0
    async for cut in every_cut(write, error):
        await storage.check()
        assert await names() in (set(), {"bob", "cy"}), cut
        await User.all().delete()
        cuts += 1
    assert cuts >= 2
    assert await names() == {"bob", "cy"}


async def test_a_write_that_misses_its_row_undoes_the_others(storage: SqliteStorage) -> None:
    """It is said which one; one that need not have a row may miss it."""
    missing = Write(User, {"username": "x"}, key={"uid": "nobody"}, must=True)
    with pytest.raises(Missed) as missed:
        await storage.write([*several(), missing])
    assert missed.value.at == len(several())
    assert await names() == set()
    async with storage.transaction():
        await User.create(uid="9", username="flo")
        with pytest.raises(Missed):
            await storage.write([*several(), missing])
        await User.create(uid="8", username="eve")
    assert await names() == {"flo", "eve"}
    await storage.write([*several(), Write(User, {"username": "x"}, key={"uid": "nobody"})])
    assert await names() == {"flo", "eve", "bob", "cy"}


async def test_a_written_row_is_as_a_created_one(storage: SqliteStorage) -> None:
    """What is left out has its default, and what no column can hold, or another row has, is refused as it is elsewhere."""
    await storage.write([Write(User, {"uid": "1", "username": "ada"})])
    await User.create(uid="2", username="bob")
    written, created = [dict(await User.get(uid=uid)) for uid in ("1", "2")]
    differ = {name for name in written if written[name] != created[name]}
    assert differ <= {"uid", "username", "created_at", "updated_at"}
    with pytest.raises(Invalid, match="username"):
        await storage.write([Write(User, {"uid": "3", "username": "a\0"})])
    with pytest.raises(IntegrityError):
        await storage.write([Write(User, {"uid": "3", "username": "cy"}), Write(User, {"uid": "1", "username": "dan"})])
    assert await names() == {"ada", "bob"}


async def test_sixty_that_are_cancelled_at_random_turns_hold_nothing(storage: SqliteStorage) -> None:
    """Writers and readers that wait for each other, cancelled while they wait or work."""

    async def write(number: int) -> None:
        async with storage.transaction():
            await User.create(uid=f"{number}a", username=f"{number}a")
            await User.create(uid=f"{number}b", username=f"{number}b")

    tasks = [asyncio.create_task(write(number) if number % 2 else names()) for number in range(60)]
    for turns, task in enumerate(tasks):
        for _ in range(turns % 7):
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await storage.check()
    found = await names()
    assert {name[:-1] for name in found if name.endswith("a")} == {name[:-1] for name in found if name.endswith("b")}
    assert storage.stats().waiting == 0


async def test_of_two_at_once_one_makes_the_row(storage: SqliteStorage) -> None:
    """Everybody gets the one row, and one is told that it made it."""
    got = await asyncio.gather(*(storage.ensure(User, {"uid": "1"}, {"username": f"u{number}"}) for number in range(8)))
    assert [made for _, made in got].count(True) == 1
    assert len({row.username for row, _ in got}) == 1
    await asyncio.gather(*(storage.put(User, {"uid": "1"}, {"username": f"v{number}"}) for number in range(8)))
    assert len(await names()) == 1


async def test_a_task_that_outlives_a_transaction_is_outside_of_it(storage: SqliteStorage) -> None:
    """What it asks of the database goes its own way."""
    began = asyncio.Event()

    async def later() -> None:
        await began.wait()
        await User.create(uid="1", username="ada")
        async with storage.transaction():
            await User.create(uid="2", username="bob")

    async with storage.transaction():
        task = asyncio.create_task(later())
    began.set()
    await task
    assert await names() == {"ada", "bob"}


async def test_finish_goes_on_when_it_is_cancelled() -> None:
    """The caller hears of the cancellation when all is done."""
    go, done = asyncio.Event(), []

    async def work() -> None:
        await go.wait()
        done.append(True)

    task = asyncio.create_task(finish(work()))
    await asyncio.sleep(0)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [True]


# What errors mean


async def test_a_lock_of_another_process_is_said(storage: SqliteStorage, tmp_path: Path) -> None:
    """And nothing is left open."""
    other = sqlite3.connect(tmp_path / "db.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for ask in (User.create(uid="1", username="ada"), storage.add_all([User(uid="1", username="ada")]), storage.check()):
        with pytest.raises(Unavailable, match="another process") as raised:
            await ask
        assert raised.value.reason == "locked"
    assert storage.stats().failed == {"locked": 3}
    other.execute("ROLLBACK")
    other.close()
    await storage.check()


async def test_a_full_disk_is_said_and_undone(storage: SqliteStorage) -> None:
    """A transaction that runs into it has not happened; the next one works when there is room."""
    connection = Tortoise.get_connection("default")
    await connection.execute_query("PRAGMA max_page_count = 1")  # as many as there are, in fact

    async def too_many() -> None:
        async with storage.transaction():
            await User.create(uid="1", username="ada")
            await storage.add_all([User(uid=f"x{number}", username=f"x{number}", avatar_url="x" * 250) for number in range(2000)])

    with pytest.raises(Unavailable) as raised:
        await too_many()
    assert raised.value.reason == "full"
    await connection.execute_query("PRAGMA max_page_count = 100000")
    assert await names() == set()
    await storage.check()


async def test_a_transaction_that_swallows_a_full_disk_has_not_happened(storage: SqliteStorage) -> None:
    """SQLite undoes it; who goes on all the same is not told that it is there."""
    connection = Tortoise.get_connection("default")
    await connection.execute_query("PRAGMA max_page_count = 1")

    async def goes_on() -> None:
        async with storage.transaction():
            await User.create(uid="1", username="ada")
            for number in range(2000):
                try:
                    await User.create(uid=f"x{number}", username=f"x{number}", avatar_url="x" * 250)
                except Unavailable:
                    break

    with pytest.raises(Unavailable):
        await goes_on()
    await connection.execute_query("PRAGMA max_page_count = 100000")
    assert await names() == set()


async def test_a_database_that_can_only_be_read_is_said(storage: SqliteStorage) -> None:
    """Reading goes on."""
    connection = Tortoise.get_connection("default")
    await connection.execute_query("PRAGMA query_only = ON")
    with pytest.raises(Unavailable) as raised:
        await User.create(uid="1", username="ada")
    assert raised.value.reason == "read-only"
    assert await names() == set()


async def test_a_damaged_database_is_said(storage: SqliteStorage, tmp_path: Path) -> None:
    """Whatever SQLite stumbles over."""
    await storage.add_all([User(uid=f"x{number}", username=f"x{number}", avatar_url="x" * 250) for number in range(200)])
    connection = Tortoise.get_connection("default")
    await connection.execute_query("PRAGMA wal_checkpoint(TRUNCATE)")
    await connection.close()
    file = tmp_path / "db.sqlite3"
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(os.urandom(size - 4096))
    with pytest.raises(Unavailable) as raised:
        await User.all()
    assert raised.value.reason == "corrupt"


async def test_a_damaged_database_that_was_mended_is_well_again(storage: SqliteStorage, tmp_path: Path) -> None:
    """Without a new start: what SQLite remembers of the damage is forgotten."""
    await User.create(uid="1", username="ada")
    await Tortoise.get_connection("default").execute_query("PRAGMA wal_checkpoint(TRUNCATE)")
    file = tmp_path / "db.sqlite3"
    good = file.read_bytes()
    with file.open("r+b") as opened:
        opened.write(os.urandom(len(good)))
    await Tortoise.get_connection("default").close()
    for _ in range(2):
        with pytest.raises(Unavailable) as raised:
            await User.all()
        assert raised.value.reason == "corrupt"
    with file.open("r+b") as opened:
        opened.write(good)
    assert await names() == {"ada"}
    await storage.check()


async def test_text_that_is_none_any_more_is_damage(storage: SqliteStorage) -> None:
    """A page that was overwritten within a text."""
    await User.create(uid="1", username="ada")
    await Tortoise.get_connection("default").execute_query(f"UPDATE {User._meta.db_table} SET username = CAST(X'FFFE' AS TEXT)")
    with pytest.raises(Unavailable) as raised:
        await User.all()
    assert raised.value.reason == "corrupt"


async def ask_all(storage: SqliteStorage) -> set[str]:
    """Read, write, and write more at once, each of which must say that the database is gone; gives what they said."""
    said = set()
    for ask in (names(), User.create(uid="2", username="bob"), storage.add_all([User(uid="2", username="bob")]), storage.check()):
        with pytest.raises(Unavailable) as raised:
            await ask
        assert raised.value.reason == "gone"
        said.add(str(raised.value))
    return said


async def test_a_database_that_is_taken_away_is_noticed(storage: SqliteStorage, tmp_path: Path) -> None:
    """SQLite itself would go on writing to a file that nobody finds. Put back, it is used again, without a new start."""
    await User.create(uid="1", username="ada")
    file, away = tmp_path / "db.sqlite3", tmp_path / "away"
    file.rename(away)
    assert await ask_all(storage) == {"The database's file has been removed."}
    assert not file.exists()
    away.rename(file)
    assert await names() == {"ada"}
    await storage.check()


async def test_a_database_that_is_replaced_is_read_anew(storage: SqliteStorage, tmp_path: Path) -> None:
    """Such as by a copy; not by one without the tables, and not together with what was written to the one before."""
    await User.create(uid="1", username="ada")
    file, copy, log = tmp_path / "db.sqlite3", tmp_path / "copy", tmp_path / "db.sqlite3-wal"
    await Tortoise.get_connection("default").execute_query(f"VACUUM INTO '{copy}'")
    await User.create(uid="9", username="late")
    (tmp_path / "empty").touch()
    os.replace(tmp_path / "empty", file)
    assert "remove it as well" in (await ask_all(storage)).pop()
    log.unlink()
    assert await ask_all(storage) == {"The database's file has been replaced by one without the server's tables."}
    os.replace(copy, file)
    assert await names() == {"ada"}
    await User.create(uid="2", username="bob")
    await storage.check()


@pytest.mark.parametrize("endings", [["-wal"], ["-shm"], ["-wal", "-shm"]], ids=" ".join)
async def test_a_log_that_is_taken_away_is_noticed(storage: SqliteStorage, tmp_path: Path, endings: list[str]) -> None:
    """What was written before is still there, and so is what is written from then on: also for whoever opens the file after a kill."""
    file = tmp_path / "db.sqlite3"
    await User.create(uid="1", username="ada")
    for ending in endings:
        file.with_name(file.name + ending).unlink()
    await User.create(uid="2", username="bob")
    await storage.add_all([User(uid="3", username="cy")])
    found = tmp_path / "after"
    found.mkdir()
    for left in tmp_path.glob("db.sqlite3*"):  # as a kill leaves it
        shutil.copy(left, found)
    with closing(sqlite3.connect(found / "db.sqlite3")) as opened:
        assert {row[0] for row in opened.execute(f"SELECT username FROM {User._meta.db_table}")} == {"ada", "bob", "cy"}


async def test_a_check_writes(storage: SqliteStorage) -> None:
    """SQLite writes nothing where nothing changes, and would find room for that on a full disk."""
    connection = Tortoise.get_connection("default")
    before = await connection.execute_query_dict("PRAGMA wal_checkpoint(TRUNCATE)")
    await storage.check()
    after = await connection.execute_query_dict("PRAGMA wal_checkpoint(PASSIVE)")
    assert before[0]["log"] == 0 < after[0]["log"]


async def test_a_turn_that_never_comes_is_said(tmp_path: Path) -> None:
    """Whoever waits is told after a while that the database is busy."""
    storage = SqliteStorage(tmp_path / "db.sqlite3", SqliteConfig(longest_wait_s=0.01))
    await storage.open(AccountsPlugin().register_models())
    await storage.migrate()
    lock = Tortoise.get_connection("default")._lock  # type: ignore[attr-defined]
    await lock.acquire()
    for ask in (names(), storage.check()):
        with pytest.raises(Unavailable) as raised:
            await ask
        assert raised.value.reason == "busy"
    lock.release()
    await storage.check()
    await storage.close()


async def test_a_turn_that_is_promised_to_another_is_waited_for_as_any(tmp_path: Path) -> None:
    """Who asks in the moment in which the turn is given back waits behind those that wait already, and not for ever."""
    client = CarefulClient(str(tmp_path / "db.sqlite3"), connection_name="default")
    await client.take_turn()
    client.longest_wait_s = PATIENCE_S
    promised = asyncio.create_task(client.take_turn())
    await asyncio.sleep(0)
    client._lock.release()
    client.longest_wait_s = 0.01
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(Unavailable):
            await client.take_turn()
    assert promised.done()
    assert client.counts.waiting == 0


# What no column can hold


@pytest.mark.parametrize("text", ["a\0b", "half \ud800", "\udc80"])
async def test_text_that_no_database_holds_is_refused(storage: SqliteStorage, text: str) -> None:
    """In a column of text, inside of JSON, as a key of it, in a change and in a filter."""
    await User.create(uid="1", username="ada")
    key = {"id": "k", "user_id": "1", "prefix": "p", "digest": "d"}
    for refused in (
        User.create(uid="2", username=text),
        User.filter(uid="1").update(username=text),
        User.get_or_none(username=text),
        ServiceKey.create(**key, scopes=[text]),
        ServiceKey.create(**key, scopes=[{text: 1}]),
        storage.put(User, {"uid": "2"}, {"username": text}),
    ):
        with pytest.raises(Invalid, match=r"username|scopes"):
            await refused
    assert await names() == {"ada"}
    made = await ServiceKey.create(**key, scopes=["\\u0000", "ü😀"])
    assert (await ServiceKey.get(id=made.id)).scopes == ["\\u0000", "ü😀"]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
async def test_numbers_that_are_none_are_refused(storage: SqliteStorage, number: float) -> None:
    """JSON has no word for them."""
    await User.create(uid="1", username="ada")
    with pytest.raises(Invalid, match="scopes"):
        await ServiceKey.create(id="k", user_id="1", prefix="p", digest="d", scopes=[{"a": number}])


async def test_an_id_that_is_longer_than_ids_are_finds_nothing(storage: SqliteStorage) -> None:
    """And is refused where it is to be written."""
    await User.create(uid="1", username="ada")
    assert await User.get_or_none(uid="x" * 1000) is None
    assert await User.filter(uid__in=["1", "y" * 1000]).count() == 1
    assert await ServiceKey.filter(id="x" * 1000, user_id="x" * 1000).delete() == 0
    with pytest.raises(Invalid, match="uid: must have at most 64 characters"):
        await User.create(uid="x" * 65, username="bob")


# Migrations


async def test_a_plugin_without_migrations_for_the_dialect_is_named(tmp_path: Path) -> None:
    """Its tables would not be there."""
    storage = SqliteStorage(tmp_path / "db.sqlite3", SqliteConfig())
    await storage.open([ModelSet("accounts", "tavernkeep_accounts.models", tmp_path / "nowhere")])
    with pytest.raises(StartError, match="'accounts' have no migrations for sqlite"):
        await storage.migrate()
    await storage.close()


async def test_a_migration_that_fails_has_not_happened(tmp_path: Path) -> None:
    """Not even its first half."""
    folder = tmp_path / "migrations" / "sqlite" / "accounts"
    folder.mkdir(parents=True)
    (folder / "0_20260101000000_init.py").write_text(
        "async def upgrade(db):\n    return 'CREATE TABLE half (a INT); INSERT INTO half VALUES (1); CREATE TABLE half (a INT);'\n"
        "async def downgrade(db):\n    return ''\n"
    )
    storage = SqliteStorage(tmp_path / "db.sqlite3", SqliteConfig())
    await storage.open([ModelSet("accounts", "tavernkeep_accounts.models", tmp_path / "migrations")])
    with pytest.raises(StartError, match="'accounts' cannot be migrated"):
        await storage.migrate()
    assert await Tortoise.get_connection("default").execute_query_dict("SELECT name FROM sqlite_master WHERE name = 'half'") == []
    await storage.close()
