"""What this plugin publishes: users, and the service through which auth providers find them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Protocol

import attrs

from tavernkeep import UserContext

DEFAULT_UID: Final = "default_user"


@attrs.frozen
class Account:
    """A user."""

    uid: str
    username: str
    is_admin: bool
    created_at: datetime
    avatar_url: str | None = None


@attrs.frozen
class ForeignKey:
    """An API key that was made elsewhere.

    Attributes:
        digest: The SHA-256 of the key, in hexadecimal.
    """

    id: str
    name: str | None
    prefix: str
    digest: str
    scopes: Sequence[str]
    created_at: datetime


class Accounts(Protocol):
    """Knows the users. Who they are does not depend on how they log in."""

    async def get(self, uid: str) -> Account | None:
        """The user with an identifier, or `None`."""
        ...

    async def default(self) -> Account:
        """The one user of a server that has only one; made when it is first asked for."""
        ...

    async def profile(self, account: Account) -> dict[str, Any]:
        """The user as `currentUser` shows them, with keys and credentials."""
        ...

    async def take_over(self, account: Account) -> bool:
        """Add a user that another installation had; `False` where there is one of that uid already, who is left as they are."""
        ...

    async def take_over_key(self, uid: str, key: "ForeignKey") -> bool:
        """Add an API key that another installation had, of which only a digest is known; `False` where it is there already."""
        ...

    async def take_over_credential(self, uid: str, id_: str, service: str, display_name: str | None, credential: str) -> bool:
        """Add a credential that another installation had, sealed anew; `False` where it is there already."""
        ...

    async def by_key(self, key: str) -> UserContext | None:
        """Whom an API key stands for, with its scopes; `None` when there is no such key. Its use is noted."""
        ...
