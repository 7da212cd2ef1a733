"""What this plugin publishes: sealing what users entrust to the server."""

from typing import Any, Final, Protocol

from tavernkeep import ApiError

KEY_FILE: Final = "master.key"  # in the data folder, with the key that was made there; see `SecretBox`
KEY_SETTINGS: Final = ("security.masterEncryptionKeyValue", "secrets.previousKey")  # in the configuration, where it is configured


class KeyMissing(ApiError):
    """503: the key that something was sealed with is not there at present; with it everything can be opened."""

    def __init__(self, message: str) -> None:
        super().__init__(503, message)


class Resealing(Protocol):
    """Seals anew what was sealed with a key before; what the hook `reseal` is handed."""

    def __call__(self, sealed: str) -> str:
        """A sealed secret, sealed with the new key."""

    async def rows(self, rows: Any, field: str) -> int:
        """Seal a field of rows anew; gives how many there were.

        Args:
            rows: A Tortoise query; rows with nothing in the field are left alone.
        """


class Secrets(Protocol):
    """Seals secrets for the database, and opens them again."""

    def seal(self, secret: str) -> str:
        """A secret as it may be stored.

        Raises:
            ApiError: 503, where encryption is on and there is no key.
        """

    def open(self, sealed: str) -> str:
        """What was sealed.

        Raises:
            KeyMissing: The key that it was sealed with is not there.
            ApiError: 503, it is damaged.
        """

    def begin_rotation(self) -> Resealing:
        """From now on seal with a new key, and go on opening with those before it; gives what seals anew."""

    def end_rotation(self) -> None:
        """Forget the keys before: nothing is sealed with them any more."""
