"""The service that knows the users."""

from datetime import UTC, datetime
from typing import Any, Final

from tavernkeep_accounts.contracts import DEFAULT_UID, Account
from tavernkeep_accounts.models import User

_DEFAULT_NAME: Final = "default"


def iso(moment: datetime) -> str:
    """A time as the API shows it: ISO 8601 in UTC with milliseconds.

    >>> iso(datetime(2026, 1, 2, 3, 4, 5, 678901, UTC))
    '2026-01-02T03:04:05.678Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class UserAccounts:
    """Users in the database; see `Accounts`."""

    async def get(self, uid: str) -> Account | None:
        """See `Accounts`."""
        user = await User.get_or_none(uid=uid)
        return _account(user) if user else None

    async def default(self) -> Account:
        """See `Accounts`."""
        user, _ = await User.get_or_create(uid=DEFAULT_UID, defaults={"username": _DEFAULT_NAME, "is_admin": True})
        return _account(user)

    async def profile(self, account: Account) -> dict[str, Any]:
        """See `Accounts`."""
        profile: dict[str, Any] = {
            "uid": account.uid,
            "username": account.username,
            "isAdmin": account.is_admin,
            "createdAt": iso(account.created_at),
            "serviceApiKeys": [],
            "externalCredentials": [],
        }
        return profile | ({"avatarUrl": account.avatar_url} if account.avatar_url else {})


def _account(user: User) -> Account:
    return Account(user.uid, user.username, user.is_admin, user.created_at, user.avatar_url)
