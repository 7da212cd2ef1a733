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

_ENGINE: Final = "tavernkeep_storage_sqlite.engine"
_MEMORY: Final = ":memory:"
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
        self._inode: int | None = None

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
        return {"engine": _ENGINE, "credentials": {"file_path": _MEMORY}}

    async def open(self, models: Sequence[ModelSet]) -> None:
        """See `StorageProvider`."""
        try:
            if self._database != _MEMORY:
                Path(self._database).parent.mkdir(parents=True, exist_ok=True)
                # Before the ORM: it would report a file that is no database as a failed query, far from here.
                await asyncio.to_thread(_probe, self._database)
                self._inode = Path(self._database).stat().st_ino
            await self.connect(models)
        except (sqlite3.Error, OSError, BaseORMException, Unavailable) as error:
            raise StartError(f"the database {self._database} cannot be opened: {error}") from None

    @asynccontextmanager
    async def migrating(self) -> AsyncIterator[None]:
        """See `TortoiseDoor`: by a file beside the database."""
        if self._database == _MEMORY:
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

    async def check(self) -> None:
        """See `Storage`. A file that was taken away is noticed too: SQLite would go on writing to it where nobody finds it."""
        await super().check()
        if self._inode is not None and await asyncio.to_thread(_inode_of, self._database) != self._inode:
            raise Unavailable("gone", "The database's file was removed or replaced while the server runs.")


def _probe(database: str) -> None:
    connection = sqlite3.connect(database)
    try:
        connection.execute("PRAGMA schema_version").fetchone()
    finally:
        connection.close()


def _inode_of(database: str) -> int | None:
    try:
        return Path(database).stat().st_ino
    except OSError:
        return None


def database_of(url: str | None, default: Path) -> Path | str:
    """The file that `storage.url` names: `sqlite:///absolute`, `sqlite://relative`, a path, or `:memory:`.

    Raises:
        StartError: It names another kind of database.
    """
    if not url:
        return default
    if url == _MEMORY or "://" not in url:
        return url
    parts = urlsplit(url)
    if parts.scheme != SqliteStorage.dialect:
        raise StartError(f"storage.url is for {parts.scheme!r}, and storage.provider is 'sqlite'")
    return unquote(parts.netloc + parts.path)
