"""The plugin: SQLite as the storage provider."""

from typing import TYPE_CHECKING, Final

import click

from tavernkeep import ConfigSection, hookimpl
from tavernkeep.config.sections import StorageConfig
from tavernkeep.contracts.app import App

if TYPE_CHECKING:
    from tavernkeep_storage_sqlite.provider import SqliteStorage

_FILE: Final = "tavernkeep.sqlite3"


class StorageSqlitePlugin:
    """Keeps tavernkeep's data in SQLite, with Tortoise ORM and aerich migrations."""

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        from tavernkeep_storage_sqlite.provider import SqliteConfig

        return [ConfigSection("storage.sqlite", SqliteConfig)]

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        from tavernkeep_storage_sqlite.command import new_migration

        return [new_migration]

    @hookimpl
    def storage_provider(self, app: App) -> "SqliteStorage":
        from tavernkeep_storage_sqlite.provider import SqliteConfig, SqliteStorage, database_of

        database = database_of(app.config.section(StorageConfig).url, app.config.data / _FILE)
        return SqliteStorage(database, app.config.section(SqliteConfig))
