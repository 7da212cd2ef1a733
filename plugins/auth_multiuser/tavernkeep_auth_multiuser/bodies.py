"""What comes in and goes out at `/api/auth/…` and `/api/admin/…`."""

from datetime import datetime
from typing import Any, Final

import attrs

from tavernkeep_accounts.contracts import Role, SessionInfo

_NAME: Final[Any] = [attrs.validators.min_len(1), attrs.validators.max_len(100)]
_TOKEN: Final[Any] = [attrs.validators.min_len(1), attrs.validators.max_len(200)]
_PASSWORD: Final[Any] = [attrs.validators.min_len(1), attrs.validators.max_len(1000)]


@attrs.frozen
class LoginBody:
    """A login.

    Attributes:
        totp: The one-time code, where the account wants one.
    """

    username: str = attrs.field(validator=_NAME)
    password: str = attrs.field(validator=_PASSWORD, repr=False)
    totp: str | None = attrs.field(default=None, repr=False)


@attrs.frozen
class RegisterBody:
    """A new account.

    Attributes:
        token: An invitation, or the token that the server printed at its start for the first administrator.
    """

    username: str = attrs.field(validator=_NAME)
    password: str = attrs.field(validator=_PASSWORD, repr=False)
    token: str | None = attrs.field(default=None, repr=False)


@attrs.frozen
class PasswordBody:
    """Another password, for who knows the present one."""

    current: str = attrs.field(validator=_PASSWORD, repr=False)
    password: str = attrs.field(validator=_PASSWORD, repr=False)


@attrs.frozen
class ResetBody:
    """Another password, for who has a token from an administrator."""

    token: str = attrs.field(validator=_TOKEN, repr=False)
    password: str = attrs.field(validator=_PASSWORD, repr=False)


@attrs.frozen
class CodeBody:
    """A one-time code."""

    code: str = attrs.field(validator=[attrs.validators.min_len(1), attrs.validators.max_len(20)], repr=False)


@attrs.frozen
class ConfirmBody:
    """The present password, for something grave."""

    password: str = attrs.field(validator=_PASSWORD, repr=False)


@attrs.frozen
class NewUser:
    """An account, made by an administrator."""

    username: str = attrs.field(validator=_NAME)
    password: str = attrs.field(validator=_PASSWORD, repr=False)
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
