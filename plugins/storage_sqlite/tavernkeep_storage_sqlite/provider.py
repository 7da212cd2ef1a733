"""The storage provider: one SQLite file, behind the door that all dialects share."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import filelock
from tortoise.exceptions import BaseORMException

from tavernkeep import ModelSet, StartError
from tavernkeep.contracts.storage import Unavailable
from tavernkeep_storage.door import TortoiseDoor
from tavernkeep_storage_sqlite.config import SqliteConfig
from tavernkeep_storage_sqlite.engine import MEMORY

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
