"""SQLite: how it is opened, and migrations."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tortoise import Tortoise

from tavernkeep import StartError
from tavernkeep.config.sections import PluginsConfig
from tavernkeep.contracts.storage import ModelSet
from tavernkeep.plugins.installed import Plugins
from tavernkeep_storage_sqlite.config import SqliteConfig
from tavernkeep_storage_sqlite.provider import SqliteStorage, database_of

MODELS = [entry for _, found in Plugins.discover(PluginsConfig(), []).collect("register_models", ModelSet) for entry in found]


async def test_it_is_opened_as_it_should_be(tmp_path: Path) -> None:
    """WAL, foreign keys on, a busy time-out."""
    storage = SqliteStorage(tmp_path / "new" / "db.sqlite3", SqliteConfig(busy_timeout_s=1.5))
    await storage.open(MODELS)
    connection = Tortoise.get_connection("default")
    found = {}
    for name in ("journal_mode", "foreign_keys", "busy_timeout"):
        found[name] = next(iter((await connection.execute_query_dict(f"PRAGMA {name}"))[0].values()))
    assert found == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 1500}
    await storage.close()


async def test_migrations_are_applied_once(tmp_path: Path) -> None:
    """The first call applies what is pending, the next nothing, also after a restart."""
    for expected in (True, False):
        storage = SqliteStorage(tmp_path / "db.sqlite3", SqliteConfig())
        await storage.open(MODELS)
        pending = await storage.pending()
        assert bool(pending) is expected
        assert await storage.migrate() == pending
        assert await storage.migrate() == []
        await storage.close()


@pytest.mark.parametrize(
    ("url", "database"),
    [
        (None, "default"),
        ("", "default"),
        (":memory:", ":memory:"),
        ("data/x.db", "data/x.db"),
        ("sqlite:///var/lib/x%20y.db", "/var/lib/x y.db"),
        ("sqlite://x.db", "x.db"),
    ],
)
def test_the_url_names_a_file(url: str | None, database: str) -> None:
    """Absolute with three slashes, relative with two, or a path."""
    assert str(database_of(url, Path("default"))) == database


def test_another_database_is_refused() -> None:
    """The message names both kinds."""
    with pytest.raises(StartError, match=r"'postgres'.*'sqlite'"):
        database_of("postgres://host/db", Path("default"))


async def test_a_folder_in_the_way_is_one_sentence(tmp_path: Path) -> None:
    """Whatever SQLite says, the message names the file."""
    (tmp_path / "db").mkdir()
    with pytest.raises(StartError, match="cannot be opened"):
        await SqliteStorage(tmp_path / "db", SqliteConfig()).open(MODELS)
    await asyncio.sleep(0)


@pytest.mark.parametrize("table", ["aerich", "sqlite_schema"])
async def test_what_is_damaged_is_one_sentence(tmp_path: Path, table: str) -> None:
    """Also where it is the page that tells what has been applied, or how the tables are made."""
    storage = SqliteStorage(tmp_path / "db", SqliteConfig())
    await start(storage)
    await storage.close()
    with closing(sqlite3.connect(tmp_path / "db")) as opened:
        page = opened.execute("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (table,)).fetchone()[0] - 1
        size = opened.execute("PRAGMA page_size").fetchone()[0]
    with (tmp_path / "db").open("r+b") as file:
        file.seek(page * size)
        file.write(b"\xff" * size)
    storage = SqliteStorage(tmp_path / "db", SqliteConfig())
    with pytest.raises(StartError, match=r"the database .* cannot be opened|the database cannot be made ready"):
        await start(storage)
    await storage.close()


async def start(storage: SqliteStorage) -> None:
    await storage.open(MODELS)
    await storage.migrate()
