"""Copies of a database: what they hold, and what is refused."""

import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tavernkeep.config.sections import PluginsConfig
from tavernkeep.contracts.storage import Migration, ModelSet
from tavernkeep.plugins.installed import Plugins
from tavernkeep_storage.contracts import CopyError, CopyingProvider
from tavernkeep_storage_sqlite.config import SqliteConfig
from tavernkeep_storage_sqlite.copies import copy_database, read_copy
from tavernkeep_storage_sqlite.provider import SqliteStorage

MODELS = [entry for _, found in Plugins.discover(PluginsConfig(), []).collect("register_models", ModelSet) for entry in found]


@pytest_asyncio.fixture
async def storage(tmp_path: Path) -> AsyncIterator[SqliteStorage]:
    """A database with every plugin's tables, open."""
    storage = SqliteStorage(tmp_path / "db.sqlite3", SqliteConfig())
    await storage.open(MODELS)
    await storage.migrate()
    yield storage
    await storage.close()


def fill(file: Path, count: int) -> None:
    """Rows of some size."""
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE IF NOT EXISTS marks (n INTEGER PRIMARY KEY, filling TEXT)")
    connection.executemany("INSERT INTO marks (filling) VALUES (?)", [("x" * 2000,)] * count)
    connection.commit()
    connection.close()


def test_the_provider_can_be_copied() -> None:
    """It fulfils the contract that a backup asks for."""
    assert isinstance(SqliteStorage(":memory:", SqliteConfig()), CopyingProvider)


async def test_a_copy_has_what_was_committed_before(storage: SqliteStorage, tmp_path: Path) -> None:
    """Also what is in the log alone, and it is good without one; the migrations and the rows are told."""
    fill(tmp_path / "db.sqlite3", 5)
    await storage.copy(tmp_path / "copy")
    found = await storage.look_into(tmp_path / "copy", MODELS)
    assert found.rows["marks"] == 5
    assert found.unknown == []
    assert {migration.app for migration in found.migrations} == {model_set.app for model_set in MODELS}
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy"]


async def test_a_copy_ends_beside_who_writes_all_the_time(storage: SqliteStorage, tmp_path: Path) -> None:
    """It is of one moment: between two of its steps others commit, which neither makes it begin anew nor gets into it."""
    fill(tmp_path / "db.sqlite3", 3000)  # several steps of the copying

    class Writing(threading.Event):
        def is_set(self) -> bool:  # is looked at between two steps
            fill(tmp_path / "db.sqlite3", 1)
            return False

    copy_database(tmp_path / "db.sqlite3", tmp_path / "copy", Writing())
    _, rows = read_copy(tmp_path / "copy", threading.Event())
    assert rows["marks"] == 3000
    written = sqlite3.connect(tmp_path / "db.sqlite3")
    assert written.execute("SELECT count(*) FROM marks").fetchone()[0] > 3000
    written.close()


@pytest.mark.parametrize("file", ["db.sqlite3", "copy"])
async def test_it_is_cut_off_when_nobody_waits(storage: SqliteStorage, tmp_path: Path, file: str) -> None:
    """Copying and looking into a copy end in the middle."""
    stop = threading.Event()
    stop.set()
    fill(tmp_path / "db.sqlite3", 3000)
    if file == "copy":
        await storage.copy(tmp_path / "copy")
        with pytest.raises(CopyError, match="interrupted"):
            read_copy(tmp_path / file, stop)
    else:
        with pytest.raises(CopyError, match="cut off"):
            copy_database(tmp_path / file, tmp_path / "copy", stop)


async def test_a_damaged_copy_is_refused(storage: SqliteStorage, tmp_path: Path) -> None:
    """Half a file, a page of another content, another database, no database."""
    fill(tmp_path / "db.sqlite3", 500)
    await storage.copy(tmp_path / "copy")
    whole = (tmp_path / "copy").read_bytes()
    middle = len(whole) // 2 // 4096 * 4096
    sqlite3.connect(tmp_path / "other").execute("CREATE TABLE t (a)").connection.close()
    for content in (
        whole[:middle],
        whole[:middle] + b"\xff" * 4096 + whole[middle + 4096 :],
        (tmp_path / "other").read_bytes(),
        b"no database at all" * 400,
        b"",
    ):
        (tmp_path / "copy").write_bytes(content)
        with pytest.raises(CopyError):
            await storage.look_into(tmp_path / "copy", MODELS)


async def test_a_later_version_is_seen(storage: SqliteStorage, tmp_path: Path) -> None:
    """By a migration that the plugin here does not have; of a plugin that is not here nothing can be said."""
    connection = sqlite3.connect(tmp_path / "db.sqlite3")
    connection.execute("INSERT INTO aerich (version, app, content) VALUES ('999_later.py', 'accounts', '{}'), ('1_x.py', 'gone', '{}')")
    connection.commit()
    connection.close()
    await storage.copy(tmp_path / "copy")
    assert (await storage.look_into(tmp_path / "copy", MODELS)).unknown == [Migration("accounts", "999_later.py")]


async def test_a_database_that_is_there_is_kept(storage: SqliteStorage, tmp_path: Path) -> None:
    """Beside it, with its log: nothing of it is taken for the new one's. Called again it does nothing more."""
    await storage.copy(tmp_path / "copy")
    place = tmp_path / "elsewhere" / "db"
    place.parent.mkdir()
    place.write_text("before")
    (tmp_path / "elsewhere" / "db-wal").write_text("its log")
    other = SqliteStorage(place, SqliteConfig())
    for _ in range(2):
        await other.take(tmp_path / "copy")
    kept = {path.name.partition(".replaced-")[2][-4:]: path.read_text() for path in place.parent.iterdir() if path.name != "db"}
    assert sorted(kept.values()) == ["before", "its log"]
    assert kept["-wal"] == "its log"
    assert (await other.look_into(place, MODELS)).unknown == []


async def test_what_cannot_be_copied_says_why(tmp_path: Path) -> None:
    """A database that is in memory, and one that is not there."""
    with pytest.raises(CopyError, match="in the memory"):
        await SqliteStorage(":memory:", SqliteConfig()).copy(tmp_path / "copy")
    with pytest.raises(CopyError, match="unable to open"):
        await SqliteStorage(tmp_path / "none", SqliteConfig()).copy(tmp_path / "copy")
    assert not (tmp_path / "none").exists()
