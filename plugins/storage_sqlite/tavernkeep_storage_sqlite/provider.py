"""The storage provider: one SQLite file, behind the door that all dialects share."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

import filelock
from tortoise.exceptions import BaseORMException

from tavernkeep import ModelSet, StartError
from tavernkeep.contracts.storage import Unavailable
from tavernkeep_storage.contracts import CopyError, DatabaseCopy
from tavernkeep_storage.door import TortoiseDoor
from tavernkeep_storage_sqlite.config import SqliteConfig
from tavernkeep_storage_sqlite.engine import MEMORY

T = TypeVar("T")

_ENGINE: Final = "tavernkeep_storage_sqlite.engine"
_MIGRATING_S: Final = 300.0


class SqliteStorage(TortoiseDoor):
    """Keeps everything in one file, in WAL mode, with foreign keys enforced.

    Args:
        database: The file, or `:memory:`.
    """

    name = "sqlite"
    dialect = "sqlite"

    def __init__(self, database: Path | str, config: SqliteConfig) -> None:
        super().__init__()
        self._database = str(database)
        self._config = config

    def connection(self) -> dict[str, Any]:
        """See `TortoiseDoor`."""
        credentials = {
            "file_path": self._database,
            "longest_wait_s": self._config.longest_wait_s,
            "journal_mode": "WAL",
            "synchronous": "FULL",
            "foreign_keys": "ON",
            "busy_timeout": int(self._config.busy_timeout_s * 1000),
        }
        return {"engine": _ENGINE, "credentials": credentials}

    def offline(self) -> dict[str, Any]:
        """See `TortoiseDoor`."""
        return {"engine": _ENGINE, "credentials": {"file_path": MEMORY}}

    async def open(self, models: Sequence[ModelSet]) -> None:
        """See `StorageProvider`."""
        try:
            if self._database != MEMORY:
                Path(self._database).parent.mkdir(parents=True, exist_ok=True)
                # Before the ORM: it would report a file that is no database as a failed query, far from here.
                await asyncio.to_thread(_probe, self._database)
            await self.connect(models)
        except (sqlite3.Error, OSError, BaseORMException, Unavailable) as error:
            raise StartError(f"the database {self._database} cannot be opened: {error}") from None

    @asynccontextmanager
    async def migrating(self) -> AsyncIterator[None]:
        """See `TortoiseDoor`: by a file beside the database."""
        if self._database == MEMORY:
            yield
            return
        lock = filelock.FileLock(f"{self._database}.migrating", timeout=_MIGRATING_S, thread_local=False)
        try:
            await asyncio.to_thread(lock.acquire)
        except (filelock.Timeout, OSError) as error:
            raise StartError(f"the database {self._database} cannot be migrated: {error}") from None
        try:
            yield
        finally:
            lock.release()

    # Copies

    def files(self) -> list[Path]:
        """See `CopyingProvider`."""
        from tavernkeep_storage_sqlite.copies import BESIDE

        if self._database == MEMORY:
            return []
        folder, name = Path(self._database).parent.resolve(), Path(self._database).name
        return [folder / f"{name}{ending}" for ending in ("", *BESIDE)]

    async def copy(self, target: Path) -> None:
        """See `CopyingProvider`: by SQLite's online backup."""
        from tavernkeep_storage_sqlite.copies import copy_database

        await _stoppable(copy_database, self._file(), target)

    async def look_into(self, copy: Path, models: Sequence[ModelSet]) -> DatabaseCopy:
        """See `CopyingProvider`."""
        from tavernkeep_storage.migrations import unknown
        from tavernkeep_storage_sqlite.copies import read_copy

        migrations, rows = await _stoppable(read_copy, copy)
        return DatabaseCopy(migrations, unknown(migrations, models, self.dialect), rows)

    async def take(self, copy: Path) -> None:
        """See `CopyingProvider`."""
        from tavernkeep_storage_sqlite.copies import put_in_place

        put_in_place(copy, self._file())

    def _file(self) -> Path:
        if self._database == MEMORY:
            raise CopyError("the database is in the memory of the server alone (storage.url): there is no file of it")
        return Path(self._database)


async def _stoppable(work: Callable[..., T], *args: Path) -> T:
    """Do something in a thread, which is told to stop when nobody waits for it any more."""
    stop = threading.Event()
    try:
        return await asyncio.to_thread(work, *args, stop)
    finally:
        stop.set()


def _probe(database: str) -> None:
    connection = sqlite3.connect(database)
    try:
        connection.execute("PRAGMA schema_version").fetchone()
    finally:
        connection.close()


def database_of(url: str | None, default: Path) -> Path | str:
    """The file that `storage.url` names: `sqlite:///absolute`, `sqlite://relative`, a path, or `:memory:`.

    Raises:
        StartError: It names another kind of database.
    """
    if not url:
        return default
    if url == MEMORY or "://" not in url:
        return url
    parts = urlsplit(url)
    if parts.scheme != SqliteStorage.dialect:
        raise StartError(f"storage.url is for {parts.scheme!r}, and storage.provider is 'sqlite'")
    return unquote(parts.netloc + parts.path)
