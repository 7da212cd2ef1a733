"""Registration, passwords, one-time codes, invitations."""

import asyncio
import hmac
import secrets
import uuid
from datetime import timedelta
from typing import Any, Final, Literal

import attrs
from tortoise.expressions import Q

from tavernkeep import ApiError
from tavernkeep.clock import Clock, now
from tavernkeep.contracts.storage import Storage
from tavernkeep.finish import finishing
from tavernkeep.wire import Invalid, Problem
from tavernkeep_accounts.contracts import DEFAULT_UID, Account, Accounts, Passwords, Role, Sessions
from tavernkeep_auth_multiuser.config import MultiuserConfig
from tavernkeep_auth_multiuser.models import Login, Ticket
from tavernkeep_secrets.contracts import Secrets

_LONGEST_PASSWORD: Final = 1000  # characters; hashing a longer one is work for nothing
_STEP_S: Final = 30  # of one-time codes
_KEPT: Final = timedelta(days=30)  # of tickets that have expired: a clock that was ahead for a while takes none away
_USED_UP: Final = "This token is not, or no longer, good."
_WRONG: Final = "The name or the password is wrong."


class TotpRequired(Exception):
    """The password is right; a one-time code is wanted as well."""


@attrs.define(eq=False)
class Logins:
    """How users log in.

    Attributes:
        first_token: Who knows it may register as the first administrator; it is made when there is none, and good once.
        clock: The time, in UTC.
    """

    storage: Storage
    accounts: Accounts
    sessions: Sessions
    passwords: Passwords
    secrets: Secrets
    config: MultiuserConfig
    clock: Clock = now
    first_token: str | None = None
    _registering: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    async def has_admin(self) -> bool:
        """Whether any administrator can log in."""
        able = {login.uid for login in await Login.filter(password__isnull=False)}
        return any(account.is_admin and not account.disabled and account.uid in able for account in await self.accounts.everyone())

    async def prepare_first(self) -> str | None:
        """The token for the first administrator, where there is none."""
        self.first_token = None if await self.has_admin() else secrets.token_urlsafe(24)
        return self.first_token

    # Logging in

    async def check(self, username: str, password: str, code: str | None) -> Account:
        """The user of a name and a password.

        Raises:
            ApiError: 401, one of them is wrong; nothing tells which.
            TotpRequired: A one-time code is wanted as well.
        """
        account = await self.accounts.find(username)
        login = await Login.get_or_none(uid=account.uid) if account else None
        right = await self.passwords.check(login.password if login else None, password[:_LONGEST_PASSWORD])
        if not right or account is None or login is None or account.disabled:
            raise ApiError(401, _WRONG)
        if login.totp_confirmed:
            if code is None:
                raise TotpRequired
            await self._check_code(login, code)
        if login.password is not None and self.passwords.is_outdated(login.password):
            await Login.filter(uid=login.uid).update(password=await self.passwords.hash(password))
        return account

    async def check_own(self, uid: str, password: str) -> None:
        """Make sure that it is the user who asks for something grave.

        Raises:
            ApiError: 403, the password is wrong.
        """
        login = await Login.get_or_none(uid=uid)
        if not await self.passwords.check(login.password if login else None, password[:_LONGEST_PASSWORD]):
            raise ApiError(403, "The present password is wrong.")

    async def set_password(self, account: Account, password: str) -> None:
        """Give a user another password; every session of theirs ends.

        Raises:
            ApiError: 422, it is too short, too long, or the name.
        """
        self._check_strength(account.username, password)
        await self._change_password(account.uid, await self.passwords.hash(password))

    @finishing
    async def _change_password(self, uid: str, hashed: str, ticket: Ticket | None = None) -> None:
        async with self.storage.transaction():
            if ticket is not None and not await Ticket.filter(id=ticket.id).delete():
                raise ApiError(403, _USED_UP)  # somebody else has just used it
            await self.storage.put(Login, {"uid": uid}, {"password": hashed})
            await Ticket.filter(uid=uid, purpose="reset").delete()
            await self.sessions.end_all(uid)

    def _check_strength(self, username: str, password: str) -> None:
        shortest = self.config.shortest_password
        problem = None
        if not shortest <= len(password) <= _LONGEST_PASSWORD:
            problem = f"must have {shortest} to {_LONGEST_PASSWORD} characters"
        elif len(set(password.casefold().replace(username.casefold(), ""))) < 4:
            problem = "is too easy to guess"
        if problem:
            raise Invalid([Problem("password", problem)])

    # Making accounts

    async def register(self, username: str, password: str, token: str | None) -> Account:
        """Make an account as the configuration allows: with the token of the first administrator, an invitation, or just so.

        Raises:
            ApiError: 403, it does not; 409, somebody has the name; 422, the name or the password will not do.
        """
        self._check_strength(username, password)
        hashed = await self.passwords.hash(password)
        async with self._registering:
            if token is not None and self.first_token is not None and hmac.compare_digest(token.encode(), self.first_token.encode()):
                account = await self._create(username, hashed, "admin")
                self.first_token = None
                return account
            ticket = await self._ticket(token, "invitation") if token is not None else None
            if self.config.registration == "closed" and ticket is None:
                raise ApiError(403, "Registration is closed; an administrator can make you an account.")
            if self.config.registration == "invitation" and ticket is None:
                raise ApiError(403, "An invitation is needed, and this one is not, or no longer, good.")
            return await self._create(username, hashed, _role(ticket.role) if ticket else "user", ticket)

    async def create(self, username: str, password: str, role: Role) -> Account:
        """Make an account, by an administrator's hand.

        Raises:
            ApiError: 409, somebody has the name; 422, the name or the password will not do.
        """
        self._check_strength(username, password)
        account = await self._create(username, await self.passwords.hash(password), role)
        if role == "admin":
            self.first_token = None
        return account

    @finishing
    async def _create(self, username: str, hashed: str, role: Role, ticket: Ticket | None = None) -> Account:
        async with self.storage.transaction():
            if ticket is not None and not await Ticket.filter(id=ticket.id).delete():
                raise ApiError(403, "An invitation is needed, and this one is not, or no longer, good.")
            account = await self.accounts.create(username, role)
            await Login.create(uid=account.uid, password=hashed)
        return account

    # Tickets

    async def invite(self, role: Role, by: str) -> dict[str, Any]:
        """An invitation to register; its token is shown this once."""
        return await self._issue("invitation", role=role, created_by=by)

    async def invitations(self) -> list[dict[str, Any]]:
        """The invitations that are good, without their tokens."""
        return [_shown(ticket) for ticket in await Ticket.filter(purpose="invitation", expires_at__gt=self.clock())]

    async def withdraw(self, id_: str) -> bool:
        """Take an invitation back; tells whether there was one."""
        return await Ticket.filter(id=id_, purpose="invitation").delete() > 0

    async def reset(self, uid: str, by: str) -> dict[str, Any]:
        """A token with which a user sets a new password; shown this once."""
        if uid == DEFAULT_UID or await self.accounts.get(uid) is None:
            raise ApiError(404, "There is no such user.")
        return await self._issue("reset", uid=uid, created_by=by)

    async def use_reset(self, token: str, password: str) -> Account:
        """Set a new password with such a token. A one-time code that was set up stays wanted.

        Raises:
            ApiError: 403, it is not, or no longer, good.
        """
        ticket = await self._ticket(token, "reset")
        account = await self.accounts.get(ticket.uid or "") if ticket else None
        if ticket is None or account is None:
            raise ApiError(403, _USED_UP)
        self._check_strength(account.username, password)
        await self._change_password(account.uid, await self.passwords.hash(password), ticket)
        return account

    @finishing
    async def _issue(self, purpose: Literal["invitation", "reset"], **values: Any) -> dict[str, Any]:
        token, moment = secrets.token_urlsafe(32), self.clock()
        expires, digest = moment + timedelta(hours=self.config.invitation_hours), self.passwords.digest(token)
        async with self.storage.transaction():
            await Ticket.filter(Q(expires_at__lte=moment - _KEPT) | Q(purpose="reset", uid=values.get("uid") or "")).delete()
            ticket = await Ticket.create(
                id=str(uuid.uuid4()), digest=digest, purpose=purpose, created_at=moment, expires_at=expires, **values
            )
        return {**_shown(ticket), "token": token}

    async def _ticket(self, token: str, purpose: str) -> Ticket | None:
        return await Ticket.get_or_none(digest=self.passwords.digest(token), purpose=purpose, expires_at__gt=self.clock())

    # One-time codes

    async def begin_totp(self, account: Account) -> dict[str, str]:
        """A new secret for one-time codes; it counts once a code of it was shown.

        Raises:
            ApiError: 409, there is one already.
        """
        import pyotp  # late, here and below, as it would hold up the start of every server

        login = await self._login(account.uid)
        if login.totp_confirmed:
            raise ApiError(409, "One-time codes are set up already.")
        secret = pyotp.random_base32()
        await Login.filter(uid=account.uid).update(totp=self.secrets.seal(secret))
        return {"secret": secret, "uri": pyotp.TOTP(secret).provisioning_uri(name=account.username, issuer_name="tavernkeep")}

    async def confirm_totp(self, uid: str, code: str) -> None:
        """From now on a code is wanted at each login.

        Raises:
            ApiError: 409, none was begun; 401, the code is wrong.
        """
        login = await self._login(uid)
        if login.totp is None:
            raise ApiError(409, "Setting up one-time codes was not begun.")
        await self._check_code(login, code)
        await Login.filter(uid=uid).update(totp_confirmed=True)

    async def end_totp(self, uid: str) -> None:
        """No code is wanted any more."""
        await Login.filter(uid=uid).update(totp=None, totp_confirmed=False)

    async def has_totp(self, uid: str) -> bool:
        """Whether a code is wanted."""
        return await Login.exists(uid=uid, totp_confirmed=True)

    async def _login(self, uid: str) -> Login:
        login = await Login.get_or_none(uid=uid)
        if login is None:
            raise ApiError(409, "This user does not log in by a password.")
        return login

    async def _check_code(self, login: Login, code: str) -> None:
        import pyotp

        assert login.totp is not None, "there is a secret where there are codes"
        totp, moment = pyotp.TOTP(self.secrets.open(login.totp), interval=_STEP_S), int(self.clock().timestamp())
        for step in (moment // _STEP_S + drift for drift in (-1, 0, 1)):
            if hmac.compare_digest(totp.generate_otp(step).encode(), code.strip().encode("utf-8", "replace")):
                # Whoever saw it being typed cannot use it again, not even at the same moment.
                if await Login.filter(uid=login.uid, totp_last_step__lt=step).update(totp_last_step=step):
                    return
                break
        raise ApiError(401, "The one-time code is wrong, or was used before.")


def _role(text: str) -> Role:
    return "admin" if text == "admin" else "viewer" if text == "viewer" else "user"


def _shown(ticket: Ticket) -> dict[str, Any]:
    return {"id": ticket.id, "role": ticket.role, "created_at": ticket.created_at, "expires_at": ticket.expires_at}
