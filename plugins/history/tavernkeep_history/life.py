"""The life of a server on its database: the next one that begins ends it, whatever the one before still believes."""

import asyncio
import os
from typing import Final

import attrs

from tavernkeep.contracts.storage import Storage, Unavailable, Write
from tavernkeep.ids import nanoid
from tavernkeep_history.models import LifeRow
from tavernkeep_storage.contracts import CopyingProvider

_ONLY: Final = 1


class Replaced(Unavailable):
    """Another server has begun on the database: what this one has is that one's, and nothing is accepted here any more."""

    def __init__(self) -> None:
        super().__init__("gone", "another server has taken over the database")


@attrs.define(eq=False)
class Life:
    """This server's.

    Attributes:
        is_first_of_copy: The database was put there since the life before, as by a restore: that one has not ended in it.
    """

    storage: Storage
    is_first_of_copy: bool = False
    _name: str | None = None
    _looked: bool = False

    async def begin(self) -> None:
        """End the life before, where that has not been done."""
        if self._name is not None:
            return
        place = await asyncio.to_thread(self._place)
        if not self._looked:
            before = await LifeRow.get_or_none(id=_ONLY)
            self.is_first_of_copy = before is not None and None not in (before.place, place) and before.place != place
            self._looked = True
        name = nanoid()
        await self.storage.put(LifeRow, {"id": _ONLY}, {"name": name, "place": place})
        self._name = name

    def _place(self) -> str | None:
        """What tells the database from copies of it, where it is a file."""
        files = self.storage.files() if isinstance(self.storage, CopyingProvider) else ()
        return str(os.stat(files[0]).st_ino) if files else None

    def guard(self) -> list[Write]:
        """What is written before anything that only this life may: where it has ended nothing is."""
        return [] if self._name is None else [Write(LifeRow, {"name": self._name}, key={"id": _ONLY, "name": self._name}, must=True)]

    async def confirm(self) -> None:
        """See that it goes on.

        Raises:
            Replaced: It has ended.
        """
        if self._name is not None and not await LifeRow.exists(id=_ONLY, name=self._name):
            raise Replaced
