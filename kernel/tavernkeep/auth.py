"""Who somebody is, and the contract of what finds it out."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import attrs

BEARER: Final = "bearer"


@attrs.frozen
class UserContext:
    """The person, or the key, behind a request, a socket or an execution.

    Attributes:
        uid: The user's identifier; what data belongs to.
        scopes: What the caller may do. `"*"` is everything.
    """

    uid: str
    username: str
    is_admin: bool = False
    scopes: frozenset[str] = frozenset({"*"})

    def may(self, scope: str) -> bool:
        """Whether the caller has a scope. Scopes that begin with `admin` are for administrators alone."""
        if scope.partition(":")[0] == "admin" and not self.is_admin:
            return False
        return "*" in self.scopes or scope in self.scopes


@attrs.frozen
class Credentials:
    """What a request or a handshake carries that may say who sent it.

    Attributes:
        headers: By lower-case name.
        client: The address of the peer, or `None` where there is no network (a local socket).
        server: The address that the connection came in on, or `None`.
        subprotocols: Of a WebSocket handshake.
    """

    headers: Mapping[str, str]
    cookies: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    client: str | None = None
    server: str | None = None
    subprotocols: tuple[str, ...] = ()

    def bearer(self) -> str | None:
        """The key that is shown: in `Authorization: Bearer KEY`, or by browser code in the subprotocols `bearer, KEY`; or `None`.

        Raises:
            AuthError: `Authorization` says something else.
        """
        header = self.headers.get("authorization")
        if header is not None:
            scheme, _, key = header.partition(" ")
            if scheme.lower() != "bearer" or not key.strip():
                raise AuthError("Authorization must be `Bearer KEY`.")
            return key.strip()
        if len(self.subprotocols) == 2 and self.subprotocols[0] == BEARER:
            return self.subprotocols[1]
        return None


class AuthError(Exception):
    """A credential was shown and is wrong (401), or the caller may not come in this way at all (403).

    Args:
        status: 401 or 403.
    """

    def __init__(self, message: str, status: int = 401) -> None:
        super().__init__(message)
        self.status = status


class AuthProvider(Protocol):
    """Finds the user of a request; one of them is chosen by `auth.provider`."""

    name: str

    async def authenticate(self, credentials: Credentials) -> UserContext | None:
        """The caller, or `None` for nobody.

        Raises:
            AuthError: A wrong credential, or a caller that may not come in.
        """
        ...

    async def describe(self, user: UserContext | None) -> dict[str, Any]:
        """What `GET /api/auth/current` answers: never an error, it is how a client learns that it must log in."""
        ...

    def check_listening(self, host: str) -> None:
        """Refuse an address that must not be listened on.

        Raises:
            tavernkeep.config.StartError: With the ways out.
        """
        ...
