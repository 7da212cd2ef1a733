"""The contract between plugins that keep data and the plugin that knows the database.

Plugins define Tortoise models and hand over where they are; which database it is they never see.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import attrs


@attrs.frozen
class ModelSet:
    """A plugin's tables.

    Attributes:
        app: The Tortoise app label, by which other plugins' models may refer to these.
        module: The importable module that holds the models.
        migrations: A folder with one folder for each SQL dialect (`sqlite`, `postgres`), each with aerich migrations under `app`.
    """

    app: str
    module: str
    migrations: Path


@attrs.frozen
class Migration:
    """One migration, applied or to be applied."""

    app: str
    version: str


class StorageProvider(Protocol):
    """Keeps the data; one of them is chosen by `storage.provider`."""

    name: str

    async def open(self, models: Sequence[ModelSet]) -> None:
        """Connect, and make the models usable.

        Raises:
            tavernkeep.config.StartError: In one line, what stands in the way.
        """
        ...

    async def pending(self) -> list[Migration]:
        """The migrations that are not applied yet, in the order in which they would be."""
        ...

    async def migrate(self) -> list[Migration]:
        """Apply what is pending; gives what was applied."""
        ...

    async def close(self) -> None:
        """Disconnect. Called once, also after a failed `open`."""
        ...
