"""`/api/auth/…` and `/api/admin/…`."""

from typing import Any, Final

import attrs

from tavernkeep import ApiError, Request, Response, Route, UserContext
from tavernkeep.contracts.auth import SELF, AuditLog
from tavernkeep.wire import dumps, unstructure
from tavernkeep_accounts.contracts import Account, Accounts, Sessions
from tavernkeep_auth_multiuser.bodies import (
    CodeBody,
    ConfirmBody,
    Invitation,
    Invitations,
    Issued,
    LoggedIn,
    LoginBody,
    NewInvitation,
    NewUser,
    PasswordBody,
    RegisterBody,
    ResetBody,
    SessionList,
    TotpSecret,
    UserChanges,
    UserInfo,
    UserList,
)
from tavernkeep_auth_multiuser.oidc import Callback, Oidc
from tavernkeep_auth_multiuser.service import Logins, TotpRequired
from tavernkeep_guard.contracts import Throttle

ADMIN: Final = "users:admin"
_OIDC_PATH: Final = "/api/auth/oidc"
_OIDC_COOKIE: Final = "tavernkeep-oidc"


@attrs.frozen
class LoginRoutes:
    """The handlers; each does what its route says.

    Attributes:
        always_secure: Cookies are for TLS alone, however a request came.
    """

    logins: Logins
    accounts: Accounts
    sessions: Sessions
    throttle: Throttle
    audit: AuditLog
    always_secure: bool
    oidc: Oidc | None = None

    def routes(self) -> list[Route]:
        """The routes."""
        auth, users = "/api/auth", "/api/admin/users"
        slow = {429: "There were too many attempts."}
        wrong = slow | {401: "The name, the password or the code is wrong."}
        grave = slow | {403: "The password is wrong."}
        no_user = {404: "There is no such user."}
        return [
            Route("POST", f"{auth}/register", self.register, public=True, status=201, errors=slow | {403: "Not allowed.", 409: "Taken."}),
            Route("POST", f"{auth}/login", self.login, public=True, errors=wrong, own_login=True),
            Route("POST", f"{auth}/sessions", self.login, public=True, errors=wrong, own_login=True),
            Route("POST", f"{auth}/logout", self.logout, public=True, status=204),
            Route("POST", f"{auth}/password", self.change_password, SELF, errors=slow | {403: "The present password is wrong."}),
            Route("POST", f"{auth}/reset", self.use_reset, public=True, own_login=True, errors=slow | {403: "The token is not good."}),
            Route("GET", f"{auth}/sessions", self.own_sessions, SELF),
            Route("DELETE", f"{auth}/sessions", self.end_others, SELF),
            Route("DELETE", auth + "/sessions/{id}", self.end_session, SELF, errors={404: "There is no such session."}),
            Route(
                "POST", f"{auth}/totp", self.begin_totp, SELF, errors=slow | {403: "The password is wrong.", 409: "There is one already."}
            ),
            Route("POST", f"{auth}/totp/confirm", self.confirm_totp, SELF, errors=wrong | {409: "It was not begun."}),
            Route("POST", f"{auth}/totp/end", self.end_totp, SELF, errors=grave),
            Route("GET", users, self.users, ADMIN),
            Route("POST", users, self.create_user, ADMIN, status=201, errors={409: "The name is taken."}),
            Route("PUT", users + "/{uid}", self.change_user, ADMIN, errors=no_user | {409: "It is the last administrator."}),
            Route("POST", users + "/{uid}/reset", self.reset_user, ADMIN, status=201, errors=no_user),
            Route("DELETE", users + "/{uid}/totp", self.end_users_totp, ADMIN, errors=no_user),
            *self._oidc_routes(),
            Route("GET", "/api/admin/invitations", self.invitations, ADMIN),
            Route("POST", "/api/admin/invitations", self.invite, ADMIN, status=201),
            Route("DELETE", "/api/admin/invitations/{id}", self.withdraw, ADMIN, errors={404: "There is no such invitation."}),
        ]

    def _oidc_routes(self) -> list[Route]:
        if self.oidc is None:
            return []
        wrong = {401: "It is not the login that was begun.", 403: "There is no account.", 429: "There were too many.", 502: "No answer."}
        return [
            Route("GET", "/api/auth/oidc/login", self.begin_oidc, public=True, own_login=True, status=302, errors={502: "No answer."}),
            Route("GET", "/api/auth/oidc/callback", self.finish_oidc, public=True, own_login=True, status=302, errors=wrong),
        ]

    def _note(self, action: str, user: UserContext | None, request: Request, target: str = "", **details: Any) -> None:
        self.audit.note(action, user, target=target, address=request.client, **details)

    # Logging in and out

    async def login(self, body: LoginBody, request: Request) -> Response:
        """Log in: the session comes as a cookie."""
        self.throttle.attempt(body.username, request.client)
        try:
            account = await self.logins.check(body.username, body.password, body.totp)
        except TotpRequired:
            self.throttle.passed(body.username, request.client)
            self.throttle.attempt(f"{body.username} totp", request.client)
            message = "A one-time code is needed."
            raise ApiError(401, message, body={"error": message, "totpRequired": True}) from None
        except ApiError:
            known = await self.accounts.find(body.username)  # of a name that is none, the password may be what was typed there
            self._note("login.failed", None, request, known.uid if known else "(no such user)")
            raise
        self.throttle.passed(body.username, request.client)
        return await self._begin(account, request, "login")

    async def _begin(self, account: Account, request: Request, action: str, status: int = 200) -> Response:
        """A new session, whatever the browser had before: a cookie that somebody planted there is worth nothing afterwards."""
        token = await self.sessions.begin(account.uid, address=request.client, agent=request.user_agent)
        self._note(action, UserContext(account.uid, account.username, account.is_admin), request)
        answer = LoggedIn(True, await self.accounts.profile(account))
        return Response(dumps(unstructure(answer)), "application/json", status, self._cookie(token, request))

    def _cookie(self, token: str | None, request: Request) -> dict[str, str]:
        return self.sessions.cookie(token, secure=self._secure(request), base_path=request.base_path)

    def _secure(self, request: Request) -> bool:
        return self.always_secure or request.secure

    async def begin_oidc(self, request: Request) -> Response:
        """Send the browser to the identity provider."""
        assert self.oidc is not None, "the route is there where the provider is"
        scheme = "https" if self._secure(request) else "http"
        own = f"{scheme}://{request.headers.get('host', 'localhost')}{request.base_path}{_OIDC_PATH}/callback"
        begun = await self.oidc.begin(self.oidc.config.redirect_uri or own)
        return Response(b"", "text/plain", 302, {"Location": begun.url, "Set-Cookie": self._oidc_cookie(begun.cookie, request)})

    async def finish_oidc(self, query: Callback, request: Request) -> Response:
        """The browser is back from the identity provider: log in."""
        assert self.oidc is not None, "the route is there where the provider is"
        self.throttle.attempt("(oidc)", request.client)
        cookie = dict(part.strip().partition("=")[::2] for part in request.headers.get("cookie", "").split(";")).get(_OIDC_COOKIE)
        account = await self.oidc.finish(query, cookie)
        self.throttle.passed("(oidc)", request.client)
        token = await self.sessions.begin(account.uid, address=request.client, agent=request.user_agent)
        self._note("login", UserContext(account.uid, account.username, account.is_admin), request, via="oidc")
        return Response(b"", "text/plain", 302, {"Location": self.oidc.return_to(request.base_path), **self._cookie(token, request)})

    def _oidc_cookie(self, value: str, request: Request) -> str:
        secure = "; Secure" if self._secure(request) else ""
        return f"{_OIDC_COOKIE}={value}; Path={request.base_path}{_OIDC_PATH}; HttpOnly; SameSite=Lax; Max-Age=600{secure}"

    async def register(self, body: RegisterBody, request: Request) -> Response:
        """Make an account, as far as registration is open; one is logged in at once."""
        self.throttle.attempt("(registration)", request.client)
        account = await self.logins.register(body.username, body.password, body.token)
        self.throttle.passed("(registration)", request.client)
        return await self._begin(account, request, "user.registered", 201)

    async def logout(self, request: Request, user: UserContext | None) -> Response:
        """End this session, and the sockets that it opened."""
        if user is not None and user.credential.startswith("session:"):
            await self.sessions.end(user.uid, user.credential.removeprefix("session:"))
            self._note("logout", user, request)
        return Response(b"", "application/json", 204, self._cookie(None, request))

    async def change_password(self, body: PasswordBody, request: Request, user: UserContext) -> Response:
        """Another password. Every session ends, and this one is replaced by a new one."""
        account = await self._confirm(body.current, request, user)
        await self.logins.set_password(account, body.password)
        return await self._begin(account, request, "password.changed")

    async def use_reset(self, body: ResetBody, request: Request) -> Response:
        """Another password, with a token from an administrator."""
        self.throttle.attempt("(reset)", request.client)
        account = await self.logins.use_reset(body.token, body.password)
        self.throttle.passed("(reset)", request.client)
        self._note("password.reset", UserContext(account.uid, account.username, account.is_admin), request)
        return Response(b"", "application/json", 204)

    async def _confirm(self, password: str, request: Request, user: UserContext) -> Account:
        if not user.credential.startswith("session:"):
            raise ApiError(403, "An API key cannot do this; log in.")
        self.throttle.attempt(f"{user.username} confirm", request.client)
        await self.logins.check_own(user.uid, password)
        self.throttle.passed(f"{user.username} confirm", request.client)
        account = await self.accounts.get(user.uid)
        assert account is not None, "a user with a session is there"
        return account

    # Sessions

    async def own_sessions(self, user: UserContext) -> SessionList:
        """The user's sessions."""
        return SessionList(await self.sessions.of(user.uid, user.credential))

    async def end_session(self, id: str, request: Request, user: UserContext) -> None:  # noqa: A002 - the name in the path
        """End one of the user's sessions, and the sockets that it opened."""
        if not await self.sessions.end(user.uid, id):
            raise ApiError(404, "There is no such session.")
        self._note("session.ended", user, request, id)

    async def end_others(self, request: Request, user: UserContext) -> None:
        """End all of the user's sessions but this one."""
        await self.sessions.end_all(user.uid, but=user.credential)
        self._note("session.ended", user, request, "all others")

    # One-time codes

    async def begin_totp(self, body: ConfirmBody, request: Request, user: UserContext) -> TotpSecret:
        """Begin to set up one-time codes."""
        return TotpSecret(**await self.logins.begin_totp(await self._confirm(body.password, request, user)))

    async def confirm_totp(self, body: CodeBody, request: Request, user: UserContext) -> None:
        """Set them up, by a code: from now on one is wanted at each login."""
        self.throttle.attempt(f"{user.username} totp", request.client)
        await self.logins.confirm_totp(user.uid, body.code)
        self._note("totp.begun", user, request)

    async def end_totp(self, body: ConfirmBody, request: Request, user: UserContext) -> None:
        """No more codes."""
        await self._confirm(body.password, request, user)
        await self.logins.end_totp(user.uid)
        self._note("totp.ended", user, request)

    # Administration

    async def users(self) -> UserList:
        """Every user."""
        return UserList([await self._info(account) for account in await self.accounts.everyone()])

    async def _info(self, account: Account) -> UserInfo:
        return UserInfo(
            account.uid,
            account.username,
            account.role,
            account.disabled,
            unstructure(account.created_at),
            await self.logins.has_totp(account.uid),
        )

    async def create_user(self, body: NewUser, request: Request, user: UserContext) -> UserInfo:
        """Make an account."""
        account = await self.logins.create(body.username, body.password, body.role)
        self._note("user.created", user, request, account.uid, role=body.role)
        return await self._info(account)

    async def change_user(self, uid: str, body: UserChanges, request: Request, user: UserContext) -> UserInfo:
        """Change a user's role, or disable them. All that they are connected by ends."""
        account = await self.accounts.change(uid, role=body.role, disabled=body.disabled)
        self._note("user.changed", user, request, uid, **unstructure(body))
        return await self._info(account)

    async def reset_user(self, uid: str, request: Request, user: UserContext) -> Issued:
        """A token with which the user sets a new password; shown this once."""
        issued = await self.logins.reset(uid, user.uid)
        self._note("user.reset", user, request, uid)
        return Issued(**issued)

    async def end_users_totp(self, uid: str, request: Request, user: UserContext) -> None:
        """No more codes for a user who has lost their app."""
        if await self.accounts.get(uid) is None:
            raise ApiError(404, "There is no such user.")
        await self.logins.end_totp(uid)
        self._note("totp.ended", user, request, uid)

    async def invitations(self) -> Invitations:
        """The invitations that are good, without their tokens."""
        return Invitations([Invitation(**entry) for entry in await self.logins.invitations()])

    async def invite(self, body: NewInvitation, request: Request, user: UserContext) -> Issued:
        """An invitation to register; its token is shown this once."""
        issued = await self.logins.invite(body.role, user.uid)
        self._note("invitation.created", user, request, issued["id"], role=body.role)
        return Issued(**issued)

    async def withdraw(self, id: str, request: Request, user: UserContext) -> None:  # noqa: A002 - the name in the path
        """Take an invitation back."""
        if not await self.logins.withdraw(id):
            raise ApiError(404, "There is no such invitation.")
        self._note("invitation.withdrawn", user, request, id)
