"""Who somebody is, and the contract of what finds it out."""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

import attrs

BEARER: Final = "bearer"
KEY_PREFIX: Final = "ctsk_"  # begins every API key
EVERYTHING: Final = frozenset({"*"})
SELF: Final = "account:self"  # the scope of managing one's own account
READ_ONLY: Final = frozenset({"*:read", SELF})


@attrs.frozen
class UserContext:
    """The person, or the key, behind a request, a socket or an execution.

    Attributes:
        uid: The user's identifier; what data belongs to.
        scopes: What the caller may do with what let them in: `"*"` is everything, `"*:read"` is all that ends so.
        role: What the user may do at all, in the same form.
        credential: What let them in: `session:ID`, `key:ID`, or nothing.
        valid_until: When that ends, in seconds since 1970, UTC.
    """

    uid: str
    username: str
    is_admin: bool = False
    scopes: frozenset[str] = EVERYTHING
    role: frozenset[str] = EVERYTHING
    credential: str = ""
    valid_until: float | None = None

    def may(self, scope: str, *resource: str) -> bool:
        """Whether the caller has a scope, or has it for one resource.

        Scopes that end with `admin` are for administrators alone.

        Args:
            scope: `AREA:ACTION`, as `project:read`.
            resource: What it is for: an id, after the ids of what that is in, outermost first. `project:read:inn` is for the project `inn`;
                `workflow:execute:inn/w1` for the workflow `w1` of that project, `workflow:execute:w1` for `w1` in whichever it stands.
        """
        if scope.rpartition(":")[2] == "admin" and not self.is_admin:
            return False
        if not _holds(self.role, scope):
            return False
        return _holds(self.scopes, scope) or any(f"{scope}:{'/'.join(resource[n:])}" in self.scopes for n in range(len(resource)))

    def may_for_some(self, scope: str) -> bool:
        """Whether the caller has a scope for something at least: what it is for decides then."""
        return self.may(scope) or (_holds(self.role, scope) and any(held.startswith(f"{scope}:") for held in self.scopes))

    def may_give(self, scope: str) -> bool:
        """Whether the caller may hand a scope on, whole or for one resource, to a key."""
        if scope == "*":
            return "*" in self.scopes  # whatever the user may: it is looked up when the key is used
        area, _, rest = scope.partition(":")
        action, _, resource = rest.partition(":")
        return self.may(f"{area}:{action}", *(resource.split("/") if resource else ()))


def _holds(scopes: frozenset[str], scope: str) -> bool:
    return "*" in scopes or scope in scopes or f"*:{scope.rpartition(':')[2]}" in scopes


@attrs.define(eq=False)
class Revocations:
    """Tells those who are connected by a session, a key or as a user that it is no longer good."""

    _watchers: dict[str, list[Callable[[], None]]] = attrs.field(factory=dict)

    def watch(self, user: UserContext, end: Callable[[], None]) -> Callable[[], None]:
        """Call a function once what let a user in, or the user, is revoked; the returned function ends that."""
        names = [name for name in (user.credential, f"user:{user.uid}") if name]
        for name in names:
            self._watchers.setdefault(name, []).append(end)

        def unwatch() -> None:
            for name in names:
                with contextlib.suppress(KeyError, ValueError):
                    self._watchers[name].remove(end)
                    if not self._watchers[name]:
                        del self._watchers[name]

        return unwatch

    def revoke(self, names: Iterable[str]) -> None:
        """End what is connected by these: `session:ID`, `key:ID`, `user:UID`."""
        for name in names:
            for end in list(self._watchers.get(name, ())):
                end()


class RequestLimiter(Protocol):
    """Says when somebody asks too much at once; a service that a plugin may provide."""

    def wait_s(self, user: UserContext | None, address: str | None) -> float:
        """Count a request; 0, or how long to wait before the next one is answered, in seconds."""


class AuditLog(Protocol):
    """Keeps what an operator must be able to look up later; a service that a plugin may provide. While none does, the log alone has it."""

    def note(self, action: str, user: UserContext | None, *, target: str = "", address: str | None = None, **details: Any) -> None:
        """Note an action, such as `login` or `key.created`; never waits, never fails. No secret may be in it."""


@attrs.frozen
class Credentials:
    """What a request or a handshake carries that may say who sent it.

    Attributes:
        headers: By lower-case name.
        client: The address of the peer, or `None` where there is no network (a local socket).
        server: The address that the connection came in on, or `None`.
        subprotocols: Of a WebSocket handshake.
        forwarded: Every address that a proxy's headers name, whether or not its word counts; what is no address as it stands.
    """

    headers: Mapping[str, str]
    cookies: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    client: str | None = None
    server: str | None = None
    subprotocols: tuple[str, ...] = ()
    forwarded: tuple[str, ...] = ()

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

    async def renew(self, user: UserContext) -> UserContext | None:
        """A user as they are by now, with the same credential; `None` when that, or the user, may do nothing any more.

        Sessions end by themselves, which ends nothing that was begun in them. For what goes on after a while without its user.
        """

    async def describe(self, user: UserContext | None) -> dict[str, Any]:
        """What `GET /api/auth/current` answers: never an error, it is how a client learns that it must log in."""

    def check_listening(self, host: str) -> None:
        """Refuse an address that must not be listened on.

        Raises:
            tavernkeep.config.StartError: With the ways out.
        """
