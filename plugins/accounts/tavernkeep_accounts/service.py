"""The service that knows the users, their keys and their credentials."""

import hashlib
import hmac
import secrets
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tortoise.exceptions import IntegrityError, ValidationError
from tortoise.queryset import QuerySet

from tavernkeep import ApiError, UserContext
from tavernkeep.wire import iso
from tavernkeep_accounts.contracts import DEFAULT_UID, Account, ForeignKey
from tavernkeep_accounts.models import Credential, ServiceKey, User
from tavernkeep_secrets.contracts import Secrets

_DEFAULT_NAME: Final = "default"
_KEY_START: Final = "ctsk_"
_KEY_BYTES: Final = 32
_PREFIX_LENGTH: Final = len(_KEY_START) + 8
_NOTE_USE_EVERY: Final = timedelta(minutes=1)
_HINT: Final = 4  # characters shown of each end of a credential


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class UserAccounts:
    """Users in the database; see `Accounts`.

    Args:
        clock: The time, in UTC.
    """

    def __init__(self, box: Secrets, clock: Callable[[], datetime] = now) -> None:
        self._box = box
        self._clock = clock

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
            "serviceApiKeys": await self.keys(account.uid),
            "externalCredentials": await self.credentials(account.uid),
        }
        return profile | ({"avatarUrl": account.avatar_url} if account.avatar_url else {})

    async def rename(self, uid: str, username: str) -> None:
        """Give a user another name.

        Raises:
            ApiError: 409, somebody else has it.
        """
        try:
            await User.filter(uid=uid).update(username=username)
        except IntegrityError:
            raise ApiError(409, f"The name {username!r} is taken.") from None

    async def set_avatar(self, uid: str, url: str) -> None:
        """Note where a user's picture is."""
        await User.filter(uid=uid).update(avatar_url=url)

    # What another installation had

    async def take_over(self, account: Account) -> bool:
        """See `Accounts`."""
        if await User.exists(uid=account.uid):
            return False
        name = account.username
        while await User.exists(username=name):
            name += "_"
        user = User(uid=account.uid, username=name, is_admin=account.is_admin, avatar_url=account.avatar_url)
        await user.save()
        await User.filter(uid=account.uid).update(created_at=account.created_at)
        return True

    async def take_over_key(self, uid: str, key: ForeignKey) -> bool:
        """See `Accounts`."""
        values = {"name": key.name, "prefix": key.prefix, "digest": key.digest, "scopes": list(key.scopes), "created_at": key.created_at}
        _, made = await ServiceKey.get_or_create(id=key.id, defaults={"user_id": uid, **values})
        return made

    async def take_over_credential(self, uid: str, id_: str, service: str, display_name: str | None, credential: str) -> bool:
        """See `Accounts`."""
        if await Credential.exists(id=id_):
            return False
        await self.add_credential(uid, service, credential, display_name, id_)
        return True

    # API keys

    async def keys(self, uid: str) -> list[dict[str, Any]]:
        """A user's keys, the newest first, without their secrets."""
        return [_key(key) for key in await ServiceKey.filter(user_id=uid)]

    async def make_key(self, uid: str, name: str | None, scopes: list[str]) -> dict[str, Any]:
        """Make a key; the one time that its secret is shown."""
        secret = _KEY_START + secrets.token_urlsafe(_KEY_BYTES)
        made = await ServiceKey.create(
            id=str(uuid.uuid4()),
            user_id=uid,
            name=name,
            prefix=secret[:_PREFIX_LENGTH],
            digest=_digest(secret),
            scopes=scopes,
        )
        return {**_key(made), "secret": secret}

    async def delete_key(self, uid: str, id_: str) -> None:
        """Revoke a key.

        Raises:
            ApiError: 404, the user has none of that id.
        """
        if not await _deleted(ServiceKey.filter(user_id=uid, id=id_)):
            raise ApiError(404, "There is no such key.")

    async def by_key(self, key: str) -> UserContext | None:
        """See `Accounts`."""
        digest, found = _digest(key), None
        for candidate in await ServiceKey.filter(prefix=key[:_PREFIX_LENGTH]).select_related("user"):
            if hmac.compare_digest(candidate.digest, digest):
                found = candidate
        if found is None:
            return None
        moment = self._clock()
        if found.last_used_at is None or moment - found.last_used_at >= _NOTE_USE_EVERY:
            await ServiceKey.filter(id=found.id).update(last_used_at=moment)
        return UserContext(found.user.uid, found.user.username, found.user.is_admin, frozenset(found.scopes))

    # Credentials for services elsewhere

    async def credentials(self, uid: str) -> list[dict[str, Any]]:
        """A user's credentials, the newest first, with hints for people."""
        return [_credential(entry) for entry in await Credential.filter(user_id=uid)]

    async def add_credential(
        self, uid: str, service: str, credential: str, display_name: str | None, id_: str | None = None
    ) -> dict[str, Any]:
        """Keep a credential, sealed; under a new id where none is given."""
        long = len(credential) > 2 * _HINT
        made = await Credential.create(
            id=id_ or str(uuid.uuid4()),
            user_id=uid,
            service_name=service,
            display_name=display_name,
            sealed=self._box.seal(credential),
            hint_prefix=credential[:_HINT],
            hint_suffix=credential[-_HINT:] if long else None,
        )
        return _credential(made)

    async def delete_credential(self, uid: str, id_: str) -> None:
        """Forget a credential.

        Raises:
            ApiError: 404, the user has none of that id.
        """
        if not await _deleted(Credential.filter(user_id=uid, id=id_)):
            raise ApiError(404, "There is no such credential.")


async def _deleted(rows: QuerySet[Any]) -> int:
    """Delete them; gives how many there were."""
    try:
        return await rows.delete()
    except ValidationError:  # an id that is longer than ids are
        return 0


def _digest(secret: str) -> str:
    # The secret has 256 random bits: nothing slower is needed against guessing.
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _account(user: User) -> Account:
    return Account(user.uid, user.username, user.is_admin, user.created_at, user.avatar_url)


def _key(key: ServiceKey) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": key.id, "prefix": key.prefix, "scopes": key.scopes, "createdAt": iso(key.created_at)}
    if key.name is not None:
        shown["name"] = key.name
    if key.last_used_at is not None:
        shown["lastUsedAt"] = iso(key.last_used_at)
    return shown


def _credential(entry: Credential) -> dict[str, Any]:
    hint = {"prefix": entry.hint_prefix} | ({"suffix": entry.hint_suffix} if entry.hint_suffix else {})
    shown: dict[str, Any] = {
        "id": entry.id,
        "serviceName": entry.service_name,
        "displayHint": hint,
        "createdAt": iso(entry.created_at),
    }
    return shown | ({"displayName": entry.display_name} if entry.display_name is not None else {})
