"""The auth provider of single-user mode: without a password whoever reaches the server is its one user, so only the machine itself may."""

import ipaddress
from typing import Any, Final

from tavernkeep import AuthError, Credentials, StartError, UserContext
from tavernkeep_accounts.contracts import Account, Accounts, Sessions
from tavernkeep_auth_local.config import AuthLocalConfig

_WAYS_OUT: Final = (
    "listen on 127.0.0.1 (server.backend.host), set a password (tavernkeep access-password), "
    "or choose an auth provider with a login (auth.provider); "
    "auth.local.allowInsecure lets anybody in who can reach the server"
)


def is_loopback(host: str) -> bool:
    """Whether an address or a host name is that of the machine itself."""
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return host.lower() == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _peers(credentials: Credentials) -> list[str]:
    """Where a request comes from, and where a proxy on this machine says that it had it from."""
    return [*credentials.forwarded] if credentials.client is None else [credentials.client, *credentials.forwarded]


class LocalAuth:
    """Everybody who gets through, or where there is a password knows it, is the default user."""

    name = "local"

    def __init__(self, accounts: Accounts, sessions: Sessions, config: AuthLocalConfig, *, has_password: bool) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._config = config
        self._has_password = has_password
        self._default: Account | None = None

    async def account(self) -> Account:
        """The default user."""
        if self._default is None:
            self._default = await self._accounts.default()
        return self._default

    async def authenticate(self, credentials: Credentials) -> UserContext | None:
        """See `AuthProvider`. Without a password a peer that is not this machine is refused, however the server was told to listen."""
        if not (self._has_password or self._config.allow_insecure) and not all(map(is_loopback, _peers(credentials))):
            raise AuthError("This server has a single user without a login and only serves the machine that it runs on.", 403)
        user = await self._accounts.shown(credentials)
        if user is not None:
            return user
        if self._has_password:
            return await self._sessions.shown(credentials)
        account = await self.account()
        return UserContext(account.uid, account.username, account.is_admin)

    async def renew(self, user: UserContext) -> UserContext | None:
        """See `AuthProvider`."""
        return await self._accounts.renew(user)

    async def describe(self, user: UserContext | None) -> dict[str, Any]:
        """See `AuthProvider`."""
        account = await self._accounts.get(user.uid) if user else None
        return {
            "mode": "SingleUser",
            "multiUserMode": False,
            "accessPasswordRequired": self._has_password,
            "isAuthenticated": account is not None,
            "currentUser": await self._accounts.profile(account, user) if account else None,
        }

    def check_listening(self, host: str) -> None:
        """See `AuthProvider`."""
        if not (self._has_password or self._config.allow_insecure) and not is_loopback(host):
            raise StartError(f"single-user mode has no login without a password and must not listen on {host}: {_WAYS_OUT}")
