"""What this plugin publishes: sealing what users entrust to the server."""

from collections.abc import Callable
from typing import Any, Protocol


class Secrets(Protocol):
    """Seals secrets for the database, and opens them again."""

    def seal(self, secret: str) -> str:
        """A secret as it may be stored.

        Raises:
            ApiError: 503, where encryption is on and there is no key.
        """
        ...

    def open(self, sealed: str) -> str:
        """What was sealed.

        Raises:
            ApiError: 503, where the key that it was sealed with is not there.
        """
        ...

    def begin_rotation(self) -> None:
        """From now on seal with a new key, and go on opening with those before it."""
        ...

    def end_rotation(self) -> None:
        """Forget the keys before: nothing is sealed with them any more."""
        ...


async def reseal_rows(rows: Any, field: str, again: Callable[[str], str]) -> int:
    """Seal a field of rows anew, for the hook `reseal`; gives how many there were.

    Args:
        rows: A Tortoise query; rows with nothing in the field are left alone.
    """
    count = 0
    async for row in rows:
        if sealed := getattr(row, field):
            setattr(row, field, again(sealed))
            await row.save(update_fields=[field])
            count += 1
    return count
