"""What a storage provider may do besides serving: have its database copied while others write to it, and make a copy the database."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import attrs

from tavernkeep.contracts.storage import Migration, ModelSet


class CopyError(Exception):
    """A database cannot be copied, or a copy cannot be used; the message says which, and why."""


@attrs.frozen
class DatabaseCopy:
    """What is in a copy of a database.

    Attributes:
        migrations: Those that are applied in it.
        unknown: Of these, those that the installed plugins do not have: a later version has written it.
        rows: How many rows each table has.
    """

    migrations: Sequence[Migration]
    unknown: Sequence[Migration]
    rows: Mapping[str, int]


@runtime_checkable
class CopyingProvider(Protocol):
    """A storage provider whose database can be copied by its own means. None of this needs it to be open, and all raise `CopyError`."""

    name: str

    def files(self) -> Sequence[Path]:
        """The files in which it keeps the database and what belongs to it, whether they are there or not; no others may copy them."""

    async def copy(self, target: Path) -> None:
        """Copy the database into a file that is not there yet, as it is at one moment after the call; others may write meanwhile."""

    async def look_into(self, copy: Path, models: Sequence[ModelSet]) -> DatabaseCopy:
        """See that a copy is whole and undamaged, without changing it; tells what is in it."""
        ...

    async def take(self, copy: Path) -> None:
        """Make a copy the database; nobody may use that. One that is there is kept beside it, under another name.

        Cut off and called again it ends the same, also where the copy has been moved already.
        """
