"""The plugin: whether the database is well, and its migrations."""

import click

from tavernkeep import hookimpl
from tavernkeep.contracts.app import App
from tavernkeep.contracts.storage import Storage


class StoragePlugin:
    """The door to the database: what every SQL dialect has in common."""

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        from tavernkeep_storage.command import migrate, new_migration

        return [migrate, new_migration]

    @hookimpl
    async def health(self, app: App) -> None:
        storage = app.services.find(Storage)
        if storage is not None:
            await storage.check()
