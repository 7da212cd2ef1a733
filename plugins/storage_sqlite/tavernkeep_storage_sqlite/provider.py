"""The storage provider: Tortoise ORM on SQLite, with each plugin's aerich migrations."""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import attrs
from tortoise import Tortoise
from tortoise.exceptions import BaseORMException

from tavernkeep import ModelSet, StartError
from tavernkeep.contracts.storage import Migration
from tavernkeep_storage_sqlite.aerich_alone import Command, Migrate

DIALECT: Final = "sqlite"
_AERICH: Final = "aerich"
_MEMORY: Final = ":memory:"


@attrs.frozen
class SqliteConfig:
    """SQLite.

    Attributes:
        busy_timeout_s: How long a write waits for another process's, in seconds.
    """

    busy_timeout_s: float = attrs.field(default=5.0, metadata={"wire_name": "busyTimeoutS"})


class SqliteStorage:
    """Keeps everything in one file, in WAL mode, with foreign keys enforced.

    Args:
        database: The file, or `:memory:`.
    """

    name = "sqlite"

    def __init__(self, database: Path | str, config: SqliteConfig) -> None:
        self._database = str(database)
        self._config = config
        self._models: Sequence[ModelSet] = ()

    async def open(self, models: Sequence[ModelSet]) -> None:
        """See `StorageProvider`."""
        self._models = models
        try:
            if self._database != _MEMORY:
                Path(self._database).parent.mkdir(parents=True, exist_ok=True)
                # Before the ORM: it would report a file that is no database as a failed query, far from here.
                await asyncio.to_thread(_probe, self._database)
            # Tasks that serve requests do not descend from the one that opens the database, so its context must be found without them.
            await Tortoise.init(config=self._orm_config(), _enable_global_fallback=True)
        except (sqlite3.Error, OSError, BaseORMException) as error:
            raise StartError(f"the database {self._database} cannot be opened: {error}") from None

    def _orm_config(self, model_sets: Sequence[ModelSet] | None = None) -> dict[str, Any]:
        credentials = {
            "file_path": self._database,
            "journal_mode": "WAL",
            "foreign_keys": "ON",
            "busy_timeout": int(self._config.busy_timeout_s * 1000),
        }
        apps = {model_set.app: {"models": [model_set.module], "default_connection": "default"} for model_set in model_sets or self._models}
        apps[_AERICH] = {"models": ["aerich.models"], "default_connection": "default"}
        engine = {"engine": "tortoise.backends.sqlite", "credentials": credentials}
        return {"connections": {"default": engine}, "apps": apps, "use_tz": True, "timezone": "UTC"}

    @property
    def apps(self) -> list[str]:
        """The app labels of all tables."""
        return [model_set.app for model_set in self._models]

    async def pending(self) -> list[Migration]:
        """See `StorageProvider`."""
        found = []
        for model_set in self._models:
            applied = await self._applied(model_set.app)
            folder = Migrate.get_migration_dir(str(model_set.migrations / DIALECT), model_set.app)
            versions = sorted((path.name for path in folder.glob("[0-9]*_*.py")), key=lambda name: int(name.partition("_")[0]))
            found += [Migration(model_set.app, version) for version in versions if version not in applied]
        return found

    async def _applied(self, app: str) -> set[str]:
        connection = Tortoise.get_connection("default")
        if not await connection.execute_query_dict("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'aerich'"):
            return set()
        rows = await connection.execute_query_dict("SELECT version FROM aerich WHERE app = ?", [app])
        return {row["version"] for row in rows}

    async def migrate(self) -> list[Migration]:
        """See `StorageProvider`."""
        pending = await self.pending()
        applied = []
        try:
            for model_set in self._models:
                if any(migration.app == model_set.app for migration in pending):
                    # aerich keeps its state on the class: one app after the other, and no connection closed in between.
                    command = Command(self._orm_config(), app=model_set.app, location=str(model_set.migrations / DIALECT))
                    await command.init()
                    applied += [Migration(model_set.app, version) for version in await command.upgrade()]
        except (BaseORMException, sqlite3.Error) as error:
            raise StartError(f"the database {self._database} cannot be migrated: {error}") from None
        return applied

    async def write_migration(self, app: str, name: str) -> str | None:
        """Write the migration that brings a plugin's tables from its last one to its models; gives its file name.

        It goes into the plugin's own folder, so it is for plugins that are installed from their sources. Call it once in a process.
        """
        model_set = next(entry for entry in self._models if entry.app == app)
        folder = model_set.migrations / DIALECT
        if Migrate.get_migration_dir(str(folder), app).exists():
            command = Command(self._orm_config(), app=app, location=str(folder))
            await command.init(offline=True)  # what counts is the last migration's file, whatever the database has seen of it
            return await command.migrate(name, no_input=True, offline=True) or None
        # The first one is made of all tables that aerich sees: it is to see no other plugin's.
        await Command(self._orm_config([model_set]), app=app, location=str(folder)).init_db(safe=True)
        return "the first migration"

    async def close(self) -> None:
        """See `StorageProvider`."""
        await Tortoise.close_connections()


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
    if url == _MEMORY or "://" not in url:
        return url
    parts = urlsplit(url)
    if parts.scheme != DIALECT:
        raise StartError(f"storage.url is for {parts.scheme!r}, and storage.provider is 'sqlite'")
    return unquote(parts.netloc + parts.path)
