"""What this plugin publishes: users, and the service through which auth providers find them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal, Protocol

import attrs

from tavernkeep import Credentials, UserContext

DEFAULT_UID: Final = "default_user"


@attrs.frozen
class Account:
    """A user."""

    uid: str
    username: str
    is_admin: bool
    created_at: datetime
    avatar_url: str | None = None
    is_viewer: bool = False
    disabled: bool = False

    @property
    def role(self) -> "Role":
        """What the user may do."""
        return "admin" if self.is_admin else "viewer" if self.is_viewer else "user"


Role = Literal["admin", "user", "viewer"]


@attrs.frozen
class SessionInfo:
    """A login, as its user sees it.

    Attributes:
        current: It is the one that asks.
    """

    id: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    user_agent: str
    address: str | None = None
    current: bool = False


@attrs.frozen
class KeyInfo:
    """An API key, and whose it is."""

    id: str
    prefix: str
    uid: str


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

    async def find(self, username: str) -> Account | None:
        """The user of a name, or `None`."""

    async def everyone(self) -> list[Account]:
        """Every user, the oldest first."""

    async def create(self, username: str, role: Role) -> Account:
        """Make a user.

        Raises:
            ApiError: 409, somebody has the name.
            Invalid: It is no name.
        """

    async def change(self, uid: str, *, role: Role | None = None, disabled: bool | None = None) -> Account:
        """Change what a user may do. What they are connected by ends.

        Raises:
            ApiError: 404, there is no such user; 409, there would be no administrator left.
        """

    async def delete(self, uid: str) -> None:
        """Remove a user that was made in vain."""

    async def make_key(self, uid: str, name: str | None, scopes: Sequence[str], expires_at: datetime | None = None) -> dict[str, Any]:
        """Make an API key; the one time that its `secret` is shown."""

    async def every_key(self) -> "list[KeyInfo]":
        """All API keys, of everybody."""

    async def delete_key(self, uid: str, id_: str) -> None:
        """Revoke an API key.

        Raises:
            ApiError: 404, the user has none of that id.
        """

    async def default(self) -> Account:
        """The one user of a server that has only one; made when it is first asked for."""

    async def profile(self, account: Account, caller: UserContext | None = None) -> dict[str, Any]:
        """The user as `currentUser` shows them, with keys and credentials; without, where the caller is a key that may not see them."""

    async def take_over(self, account: Account) -> bool:
        """Add a user that another installation had; `False` where there is one of that uid already, who is left as they are."""

    async def take_over_key(self, uid: str, key: "ForeignKey") -> bool:
        """Add an API key that another installation had, of which only a digest is known; `False` where it is there already."""

    async def take_over_credential(self, uid: str, id_: str, service: str, display_name: str | None, credential: str) -> bool:
        """Add a credential that another installation had, sealed anew; `False` where it is there already."""

    async def shown(self, credentials: Credentials) -> UserContext | None:
        """Whom the API key that is shown stands for, with its scopes; `None` when none is shown. Its use is noted.

        Raises:
            AuthError: It is a wrong one.
        """

    async def renew(self, user: UserContext) -> UserContext | None:
        """See `tavernkeep.contracts.auth.AuthProvider`."""


class Sessions(Protocol):
    """Logins of users, by a random token that only their browser has."""

    async def begin(self, uid: str, *, address: str | None, agent: str) -> str:
        """Log a user in; gives the token."""

    async def shown(self, credentials: Credentials) -> UserContext | None:
        """Whom the session's cookie that is shown stands for; `None` when there is none that is good."""

    def cookie(self, token: str | None, *, secure: bool, base_path: str = "") -> dict[str, str]:
        """The header that hands a browser its session, or (without a token) takes it away.

        No script can read it, and no other site's page can send it along with anything but a plain visit.

        Args:
            base_path: See `tavernkeep.contracts.http.Request`; the browser sends it below that alone.
        """

    async def of(self, uid: str, current: str = "") -> list[SessionInfo]:
        """A user's sessions, the last used first."""

    async def end(self, uid: str, id_: str) -> bool:
        """End one of a user's sessions, with the sockets that it opened; tells whether there was one."""

    async def end_all(self, uid: str, but: str = "") -> None:
        """End all of a user's sessions, or all but one."""


class Passwords(Protocol):
    """Hashes and checks passwords, slowly and off the event loop; only so many at a time."""

    async def hash(self, password: str) -> str:
        """A password as it may be stored."""

    async def check(self, hashed: str | None, password: str) -> bool:
        """Whether it is the password; for no hash as slow as for any."""

    def digest(self, token: str) -> str:
        """What is kept of a token with 256 random bits, for which nothing slow is needed against guessing."""

    def is_outdated(self, hashed: str) -> bool:
        """Whether a hash was made with less effort than is usual now, and should be made anew."""

    def is_hash(self, text: str) -> bool:
        """Whether it is a hash that can be checked."""
