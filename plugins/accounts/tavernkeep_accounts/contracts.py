"""What this plugin publishes: users, and the service through which auth providers find them."""

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

    async def by_key(self, key: str) -> UserContext | None:
        """Whom an API key stands for, with its scopes; `None` when there is no such key. Its use is noted."""
        ...
