"""The plugin: SQLite as the storage provider."""

from typing import TYPE_CHECKING, Final

from tavernkeep import ConfigSection, hookimpl
from tavernkeep.config.sections import StorageConfig
from tavernkeep.contracts.app import App
from tavernkeep_storage_sqlite.config import SqliteConfig

if TYPE_CHECKING:
    from tavernkeep_storage_sqlite.provider import SqliteStorage

_FILE: Final = "tavernkeep.sqlite3"


class StorageSqlitePlugin:
    """Keeps tavernkeep's data in SQLite, with Tortoise ORM and aerich migrations."""

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        return [ConfigSection("storage.sqlite", SqliteConfig)]

    @hookimpl
    def storage_provider(self, app: App) -> "SqliteStorage":
        from tavernkeep_storage_sqlite.provider import SqliteStorage, database_of

        database = database_of(app.config.section(StorageConfig).url, app.config.data / _FILE)
        return SqliteStorage(database, app.config.section(SqliteConfig))
