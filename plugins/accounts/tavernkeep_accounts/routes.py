"""`/api/users/me/…`: keys, credentials, profile."""

import asyncio
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import attrs

from tavernkeep import ApiError, Request, Route, UserContext
from tavernkeep.clock import now
from tavernkeep.contracts.auth import SELF, AuditLog
from tavernkeep.finish import finish
from tavernkeep.wire import Invalid, Problem, structure
from tavernkeep_accounts.bodies import (
    AvatarSet,
    CredentialShown,
    Keys,
    KeyShown,
    MadeKey,
    NewCredential,
    NewKey,
    NewName,
    Renamed,
    UserCredentials,
)
from tavernkeep_accounts.scopes import check_scopes
from tavernkeep_accounts.service import UserAccounts, checked_name
from tavernkeep_guard.contracts import Pictures

_MAX_AVATAR: Final = 5 * 1024 * 1024  # bytes


@attrs.frozen
class AccountRoutes:
    """The handlers; each does what its route says.

    Attributes:
        avatars: The folder of the pictures, in the public folder.
        scopes: Those that there are.
    """

    accounts: UserAccounts
    avatars: Path
    audit: AuditLog
    scopes: Callable[[], Collection[str]]
    pictures: Pictures | None = None

    def routes(self) -> list[Route]:
        """The routes."""
        me = "/api/users/me"
        gone = {404: "The user has none of that id."}
        return [
            Route("GET", f"{me}/service-keys", self.keys, SELF),
            Route("POST", f"{me}/service-keys", self.make_key, SELF, status=201),
            Route("DELETE", me + "/service-keys/{id}", self.delete_key, SELF, errors=gone),
            Route("GET", f"{me}/credentials", self.credentials, SELF),
            Route("POST", f"{me}/credentials", self.add_credential, SELF, status=201, errors={503: "There is no encryption key."}),
            Route("DELETE", me + "/credentials/{id}", self.delete_credential, SELF, errors=gone),
            Route("PUT", f"{me}/username", self.rename, SELF, errors={409: "Somebody else has the name."}),
            *self._avatar_route(f"{me}/avatar"),
        ]

    def _avatar_route(self, path: str) -> list[Route]:
        """Without the plugin that looks at pictures none is taken."""
        if self.pictures is None:
            return []
        errors = {400: "There is no picture in it.", 413: "It is too large.", 415: "It is no JPEG, PNG, GIF or WebP."}
        content, most = "multipart/form-data", _MAX_AVATAR + 64 * 1024
        return [Route("POST", path, self.set_avatar, SELF, errors=errors, max_body=most, content=content)]

    async def keys(self, user: UserContext) -> Keys:
        """The user's API keys, the newest first."""
        return Keys(structure(await self.accounts.keys(user.uid), list[KeyShown]))

    async def make_key(self, body: NewKey, user: UserContext) -> MadeKey:
        """Make an API key; its secret is shown this once."""
        scopes = sorted(user.scopes) if body.scopes is None else body.scopes
        if beyond := [scope for scope in scopes if not user.may_give(scope)]:
            raise ApiError(403, f"You cannot give a scope that you do not have: {beyond[0]}.")
        check_scopes(body.scopes or (), self.scopes())
        await self.accounts.remember(user)
        made = await self.accounts.make_key(user.uid, body.name, scopes, expiry(body.expires_at))
        self.audit.note("key.created", user, target=made["id"], scopes=scopes)
        return structure(made, MadeKey)

    async def delete_key(self, id: str, user: UserContext) -> None:  # noqa: A002 - the name in the path
        """Revoke an API key."""
        await self.accounts.delete_key(user.uid, id)
        self.audit.note("key.revoked", user, target=id)

    async def credentials(self, user: UserContext) -> UserCredentials:
        """The user's credentials for services elsewhere, with hints."""
        return UserCredentials(structure(await self.accounts.credentials(user.uid), list[CredentialShown]))

    async def add_credential(self, body: NewCredential, user: UserContext) -> CredentialShown:
        """Keep a credential, sealed."""
        await self.accounts.remember(user)
        added = await self.accounts.add_credential(user.uid, body.service_name, body.credential, body.display_name)
        self.audit.note("credential.created", user, target=added["id"])
        return structure(added, CredentialShown)

    async def delete_credential(self, id: str, user: UserContext) -> None:  # noqa: A002 - the name in the path
        """Forget a credential."""
        await self.accounts.delete_credential(user.uid, id)
        self.audit.note("credential.removed", user, target=id)

    async def rename(self, body: NewName, user: UserContext) -> Renamed:
        """Give the user another name."""
        name = checked_name(body.username)
        await self.accounts.remember(user)
        await self.accounts.rename(user.uid, name)
        return Renamed(True, "The name is changed.", name)

    async def set_avatar(self, request: Request, user: UserContext) -> AvatarSet:
        """Give the user another picture: the part `avatar`, JPEG, PNG, GIF or WebP, up to 5 MB."""
        assert self.pictures is not None, "the route is there where the service is"
        data = b""
        async for part in request.parts():
            if part.name == "avatar":
                data = b"".join([chunk async for chunk in part.chunks])
        if not data:
            raise ApiError(400, "There is no part `avatar` with a picture in it.")
        if len(data) > _MAX_AVATAR:
            raise ApiError(413, f"The picture is larger than {_MAX_AVATAR} bytes.")
        ending = await self.pictures.ending_of(data)
        await self.accounts.remember(user)
        url = await finish(self._keep(user.uid, ending, data))
        return AvatarSet(True, "The picture is changed.", url)

    async def _keep(self, uid: str, ending: str, data: bytes) -> str:
        url = await asyncio.to_thread(self._write, uid, ending, data)
        await self.accounts.set_avatar(uid, url)
        return url

    def _write(self, uid: str, ending: str, data: bytes) -> str:
        assert self.pictures is not None, "the route is there where the service is"
        self.avatars.mkdir(parents=True, exist_ok=True)
        target = self.avatars / f"{uid}.{ending}"
        temporary = target.with_suffix(".writing")
        temporary.write_bytes(data)
        temporary.replace(target)
        for other in self.pictures.endings:
            if other != ending:
                (self.avatars / f"{uid}.{other}").unlink(missing_ok=True)
        return f"/avatars/{target.name}"


def expiry(text: str | None) -> datetime | None:
    """When something ends, which is to be in the future.

    Raises:
        Invalid: It is no time, or a past one.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    moment = moment.replace(tzinfo=moment.tzinfo or UTC) if moment else None
    if moment is None or moment <= now():
        raise Invalid([Problem("expiresAt", "must be a time to come, in ISO 8601")])
    return moment
