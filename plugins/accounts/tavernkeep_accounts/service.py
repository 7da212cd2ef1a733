"""The service that knows the users, their keys and their credentials."""

import hmac
import secrets
import unicodedata
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from tortoise.exceptions import IntegrityError

from tavernkeep import ApiError, AuthError, Credentials, UserContext
from tavernkeep.clock import Clock, now
from tavernkeep.contracts.auth import EVERYTHING, KEY_PREFIX, READ_ONLY, SELF, Revocations
from tavernkeep.contracts.storage import Storage
from tavernkeep.finish import finishing
from tavernkeep.wire import Invalid, Problem, iso
from tavernkeep_accounts.contracts import DEFAULT_UID, Account, ForeignKey, KeyInfo, Role
from tavernkeep_accounts.models import Credential, ServiceKey, SessionRow, User
from tavernkeep_accounts.tokens import digest_of
from tavernkeep_secrets.contracts import Secrets

_DEFAULT_NAME: Final = "default"
_KEY_BYTES: Final = 32
_PREFIX_LENGTH: Final = len(KEY_PREFIX) + 8
_NOTE_USE_EVERY: Final = timedelta(minutes=1)
_LONGEST_NAME: Final = 100  # characters
_TRIES: Final = 100
_HINT: Final = 4  # characters shown of each end of a credential


class UserAccounts:
    """Users in the database; see `Accounts`.

    Args:
        clock: The time, in UTC.
    """

    def __init__(self, storage: Storage, secrets: Secrets, revocations: Revocations, clock: Clock = now) -> None:
        self._storage = storage
        self._secrets = secrets
        self._revocations = revocations
        self._clock = clock

    async def get(self, uid: str) -> Account | None:
        """See `Accounts`."""
        user = await User.get_or_none(uid=uid)
        return _account(user) if user else None

    async def find(self, username: str) -> Account | None:
        """See `Accounts`."""
        user = await User.get_or_none(username=username)
        return _account(user) if user else None

    async def everyone(self) -> list[Account]:
        """See `Accounts`."""
        return [_account(user) for user in await User.all()]

    async def create(self, username: str, role: Role) -> Account:
        """See `Accounts`."""
        name = checked_name(username)
        try:
            async with self._storage.transaction():
                user = await User.create(uid=str(uuid.uuid4()), username=name, is_admin=role == "admin", is_viewer=role == "viewer")
        except IntegrityError:
            raise ApiError(409, f"The name {name!r} is taken.") from None
        return _account(user)

    @finishing
    async def change(self, uid: str, *, role: Role | None = None, disabled: bool | None = None) -> Account:
        """See `Accounts`."""
        async with self._storage.transaction():
            # Two who take each other's role away at once wait for each other here.
            admins = await User.filter(is_admin=True, disabled=False).exclude(uid=DEFAULT_UID).select_for_update()
            user = await User.get_or_none(uid=uid)
            if user is None:
                raise ApiError(404, "There is no such user.")
            was_admin = user.is_admin and not user.disabled
            if role is not None:
                user.is_admin, user.is_viewer = role == "admin", role == "viewer"
            if disabled is not None:
                user.disabled = disabled
            if was_admin and not (user.is_admin and not user.disabled) and all(admin.uid == uid for admin in admins):
                raise ApiError(409, f"{user.username!r} is the last administrator.")
            await user.save()
            await SessionRow.filter(user_id=user.uid).delete()
        self._revocations.revoke([f"user:{user.uid}"])
        return _account(user)

    async def delete(self, uid: str) -> None:
        """See `Accounts`."""
        await User.filter(uid=uid).delete()

    async def default(self) -> Account:
        """See `Accounts`."""
        user, _ = await self._storage.ensure(User, {"uid": DEFAULT_UID}, {"username": _DEFAULT_NAME, "is_admin": True})
        return _account(user)

    async def remember(self, user: UserContext) -> None:
        """Make the row of a user whom an auth provider knows and the database does not, so that keys and credentials have an owner.

        Their rights stay the provider's to say: the row is that of an ordinary user. Where somebody has the name already, they get another.
        """
        name = user.username[:_LONGEST_NAME]
        for number in range(2, _TRIES):
            try:
                await self._storage.ensure(User, {"uid": user.uid}, {"username": name, "is_viewer": user.role == READ_ONLY})
            except IntegrityError:
                name = f"{user.username[: _LONGEST_NAME - 4]} {number}"
            else:
                return
        raise ApiError(409, "There is no free name for you here.")

    async def profile(self, account: Account, caller: UserContext | None = None) -> dict[str, Any]:
        """See `Accounts`."""
        shows_all = caller is None or caller.may(SELF)
        profile: dict[str, Any] = {
            "uid": account.uid,
            "username": account.username,
            "isAdmin": account.is_admin,
            "role": account.role,
            "createdAt": iso(account.created_at),
            "serviceApiKeys": await self.keys(account.uid) if shows_all else [],
            "externalCredentials": await self.credentials(account.uid) if shows_all else [],
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

    @finishing
    async def take_over(self, account: Account) -> bool:
        """See `Accounts`."""
        async with self._storage.transaction():
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
        _, made = await self._storage.ensure(ServiceKey, {"id": key.id}, {"user_id": uid, **values})
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

    async def make_key(self, uid: str, name: str | None, scopes: Sequence[str], expires_at: datetime | None = None) -> dict[str, Any]:
        """See `Accounts`."""
        secret = KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)
        made = await ServiceKey.create(
            id=str(uuid.uuid4()),
            user_id=uid,
            name=name,
            prefix=secret[:_PREFIX_LENGTH],
            digest=digest_of(secret),
            scopes=list(scopes),
            expires_at=expires_at,
        )
        return {**_key(made), "secret": secret}

    async def every_key(self) -> list[KeyInfo]:
        """See `Accounts`."""
        return [KeyInfo(row.id, row.prefix, row.user.uid) for row in await ServiceKey.all().select_related("user")]

    @finishing
    async def delete_key(self, uid: str, id_: str) -> None:
        """Revoke a key.

        Raises:
            ApiError: 404, the user has none of that id.
        """
        if not await ServiceKey.filter(user_id=uid, id=id_).delete():
            raise ApiError(404, "There is no such key.")
        self._revocations.revoke([f"key:{id_}"])

    async def shown(self, credentials: Credentials) -> UserContext | None:
        """See `Accounts`."""
        key = credentials.bearer()
        if key is None:
            return None
        user = await self.by_key(key)
        if user is None:
            raise AuthError("The key is wrong, or revoked.")
        return user

    async def by_key(self, key: str) -> UserContext | None:
        """Whom an API key stands for; `None` when there is no such key. Its use is noted."""
        digest, found = digest_of(key), None
        for candidate in await ServiceKey.filter(prefix=key[:_PREFIX_LENGTH]).select_related("user"):
            if hmac.compare_digest(candidate.digest, digest):
                found = candidate
        moment = self._clock()
        if found is None or found.user.disabled or (found.expires_at is not None and found.expires_at <= moment):
            return None
        if found.last_used_at is None or abs(moment - found.last_used_at) >= _NOTE_USE_EVERY:
            await ServiceKey.filter(id=found.id).update(last_used_at=moment)
        return context_of(found.user, f"key:{found.id}", found.expires_at, frozenset(found.scopes))

    async def renew(self, user: UserContext) -> UserContext | None:
        """See `Accounts`."""
        kind, _, id_ = user.credential.partition(":")
        if kind == "key":
            key = await ServiceKey.get_or_none(id=id_, user_id=user.uid).select_related("user")
            if key is None or key.user.disabled or (key.expires_at is not None and key.expires_at <= self._clock()):
                return None
            return context_of(key.user, user.credential, key.expires_at, frozenset(key.scopes))
        row = await User.get_or_none(uid=user.uid)
        return None if row is None or row.disabled else context_of(row, user.credential, None, user.scopes)

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
            sealed=self._secrets.seal(credential),
            hint_prefix=credential[:_HINT],
            hint_suffix=credential[-_HINT:] if long else None,
        )
        return _credential(made)

    async def delete_credential(self, uid: str, id_: str) -> None:
        """Forget a credential.

        Raises:
            ApiError: 404, the user has none of that id.
        """
        if not await Credential.filter(user_id=uid, id=id_).delete():
            raise ApiError(404, "There is no such credential.")


def context_of(user: User, credential: str, expires_at: datetime | None, scopes: frozenset[str] = EVERYTHING) -> UserContext:
    """Who somebody is, by what let them in."""
    role = READ_ONLY if user.is_viewer and not user.is_admin else EVERYTHING
    return UserContext(
        user.uid, user.username, user.is_admin, scopes, role, credential, expires_at.timestamp() if expires_at is not None else None
    )


def checked_name(text: str) -> str:
    """A name for a user.

    Raises:
        Invalid: It is blank, too long or not printable.
    """
    name = unicodedata.normalize("NFC", text.strip())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise Invalid([Problem("username", f"must have 1 to {_LONGEST_NAME} printable characters")])
    return name


def _account(user: User) -> Account:
    return Account(user.uid, user.username, user.is_admin, user.created_at, user.avatar_url, user.is_viewer, user.disabled)


def _key(key: ServiceKey) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": key.id, "prefix": key.prefix, "scopes": key.scopes, "createdAt": iso(key.created_at)}
    if key.name is not None:
        shown["name"] = key.name
    if key.last_used_at is not None:
        shown["lastUsedAt"] = iso(key.last_used_at)
    if key.expires_at is not None:
        shown["expiresAt"] = iso(key.expires_at)
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
