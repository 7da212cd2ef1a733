"""What comes in and goes out at `/api/auth/…` and `/api/admin/…`."""

from datetime import datetime
from typing import Any

import attrs

from tavernkeep_accounts.contracts import Role, SessionInfo


def _text(most: int) -> Any:
    return attrs.field(validator=[attrs.validators.min_len(1), attrs.validators.max_len(most)])


def _secret(most: int) -> Any:
    return attrs.field(validator=[attrs.validators.min_len(1), attrs.validators.max_len(most)], repr=False)


@attrs.frozen
class LoginBody:
    """A login.

    Attributes:
        totp: The one-time code, where the account wants one.
    """

    username: str = _text(100)
    password: str = _secret(1000)
    totp: str | None = attrs.field(default=None, repr=False)


@attrs.frozen
class RegisterBody:
    """A new account.

    Attributes:
        token: An invitation, or the token that the server printed at its start for the first administrator.
    """

    username: str = _text(100)
    password: str = _secret(1000)
    token: str | None = attrs.field(default=None, repr=False)


@attrs.frozen
class PasswordBody:
    """Another password, for who knows the present one."""

    current: str = _secret(1000)
    password: str = _secret(1000)


@attrs.frozen
class ResetBody:
    """Another password, for who has a token from an administrator."""

    token: str = _secret(200)
    password: str = _secret(1000)


@attrs.frozen
class CodeBody:
    """A one-time code."""

    code: str = _secret(20)


@attrs.frozen
class ConfirmBody:
    """The present password, for something grave."""

    password: str = _secret(1000)


@attrs.frozen
class NewUser:
    """An account, made by an administrator."""

    username: str = _text(100)
    password: str = _secret(1000)
    role: Role = "user"


@attrs.frozen
class UserChanges:
    """What is to be changed; what is left out stays."""

    role: Role | None = None
    disabled: bool | None = None


@attrs.frozen
class NewInvitation:
    """An invitation to register."""

    role: Role = "user"


@attrs.frozen
class LoggedIn:
    """Who is there now."""

    success: bool
    user: dict[str, Any]


@attrs.frozen
class SessionList:
    """A user's sessions, the last used first."""

    sessions: list[SessionInfo]


@attrs.frozen
class UserInfo:
    """A user, as administrators see them."""

    uid: str
    username: str
    role: Role
    disabled: bool
    created_at: str
    has_totp: bool = False


@attrs.frozen
class UserList:
    """Every user, the oldest first."""

    users: list[UserInfo]


@attrs.frozen
class Invitation:
    """A right to register, without its token."""

    id: str
    role: Role
    created_at: datetime
    expires_at: datetime


@attrs.frozen
class Issued(Invitation):
    """A token, shown this once: for a new account, or for a new password."""

    token: str = attrs.field(kw_only=True, repr=False)


@attrs.frozen
class Invitations:
    """The invitations that are good."""

    invitations: list[Invitation]


@attrs.frozen
class TotpSecret:
    """What an authenticator app is set up with; shown this once."""

    secret: str
    uri: str
