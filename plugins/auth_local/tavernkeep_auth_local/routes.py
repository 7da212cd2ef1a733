"""The login of single-user mode, where there is a password."""

import attrs

from tavernkeep import ApiError, Request, Response, Route, UserContext
from tavernkeep.contracts.auth import AuditLog
from tavernkeep.wire import dumps
from tavernkeep_accounts.contracts import Passwords, Sessions
from tavernkeep_auth_local.bodies import AccessBody
from tavernkeep_auth_local.provider import LocalAuth
from tavernkeep_guard.contracts import Throttle


@attrs.frozen
class AccessRoutes:
    """The handlers; each does what its route says."""

    auth: LocalAuth
    hashed: str = attrs.field(repr=False)
    sessions: Sessions
    passwords: Passwords
    throttle: Throttle
    audit: AuditLog

    def routes(self) -> list[Route]:
        """The routes."""
        wrong = {401: "The password is wrong.", 429: "There were too many attempts."}
        return [
            Route("POST", "/api/auth/login", self.login, public=True, errors=wrong, own_login=True),
            Route("POST", "/api/auth/logout", self.logout, public=True, status=204),
        ]

    async def login(self, body: AccessBody, request: Request) -> Response:
        """Log in with the access password: the session comes as a cookie."""
        account = await self.auth.account()
        self.throttle.attempt(account.username, request.client)
        if not await self.passwords.check(self.hashed, body.password):
            self.audit.note("login.failed", None, address=request.client)
            raise ApiError(401, "The password is wrong.")
        self.throttle.passed(account.username, request.client)
        token = await self.sessions.begin(account.uid, address=request.client, agent=request.user_agent)
        self.audit.note("login", UserContext(account.uid, account.username, account.is_admin), address=request.client)
        headers = self.sessions.cookie(token, secure=request.secure, base_path=request.base_path)
        return Response(dumps({"success": True}), "application/json", headers=headers)

    async def logout(self, request: Request, user: UserContext | None) -> Response:
        """End this session, and the sockets that it opened."""
        if user is not None and user.credential.startswith("session:"):
            await self.sessions.end(user.uid, user.credential.removeprefix("session:"))
            self.audit.note("logout", user, address=request.client)
        headers = self.sessions.cookie(None, secure=request.secure, base_path=request.base_path)
        return Response(b"", "application/json", 204, headers)
