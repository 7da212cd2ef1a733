"""What this plugin publishes: sealing what users entrust to the server."""

from typing import Protocol


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
