"""The auth provider of multi-user mode: a session's cookie or an API key, or nobody."""

from typing import Any

from tavernkeep import Credentials, UserContext
from tavernkeep_accounts.contracts import Accounts, Sessions
from tavernkeep_auth_multiuser.config import NAME
from tavernkeep_auth_multiuser.service import Logins


class MultiuserAuth:
    """Whoever shows a good session or key."""

    name = NAME

    def __init__(self, accounts: Accounts, sessions: Sessions, logins: Logins) -> None:
        self.logins = logins
        self._accounts = accounts
        self._sessions = sessions

    async def authenticate(self, credentials: Credentials) -> UserContext | None:
        """See `AuthProvider`."""
        return await self._accounts.shown(credentials) or await self._sessions.shown(credentials)

    async def renew(self, user: UserContext) -> UserContext | None:
        """See `AuthProvider`."""
        return await self._accounts.renew(user)

    async def describe(self, user: UserContext | None) -> dict[str, Any]:
        """See `AuthProvider`."""
        account = await self._accounts.get(user.uid) if user else None
        described: dict[str, Any] = {
            "mode": "MultiUser",
            "multiUserMode": True,
            "isAuthenticated": account is not None,
            "currentUser": await self._accounts.profile(account, user) if account else None,
        }
        if self.logins.first_token is not None:
            described["adminRegistrationRequired"] = True
        if self.logins.config.oidc.issuer:
            described["oidcLoginUrl"] = "/api/auth/oidc/login"
        return described

    def check_listening(self, host: str) -> None:
        """See `AuthProvider`: everybody has to log in, from wherever they come."""
