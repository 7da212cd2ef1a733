"""Projects that are shared: `ID@OWNER` among the projects of whom they are shared with, with all that belongs to them.

Every feature finds a project's files by their path among the user's own, so this one place, which says where such a path leads, is
enough for all of them.
"""

import os
from pathlib import Path
from typing import Final, Literal

import attrs

from tavernkeep import ApiError, Route, UserContext
from tavernkeep.contracts.auth import AuditLog
from tavernkeep_accounts.contracts import Accounts
from tavernkeep_files.contracts import Files, LogicalPath, Mount
from tavernkeep_projects.models import ProjectShare
from tavernkeep_projects.store import PROJECTS, ProjectStore

_EVERYBODY: Final = ""
Access = Literal["read", "write"]


@attrs.define(eq=False)
class Shares:
    """Who shares what with whom; all of it in memory, as every path is looked at."""

    files: Files
    _writable: dict[tuple[str, str, str], bool] = attrs.field(factory=dict)  # by owner, project and grantee

    async def load(self) -> None:
        """Read them from the database."""
        rows = await ProjectShare.all()
        self._writable = {(row.owner, row.project_id, row.grantee): row.writable for row in rows}

    def resolve(self, path: LogicalPath, user: UserContext) -> Mount | None:
        """See `Files.add_resolver`. A project of the user's own that is called so goes first."""
        if len(path.parts) < 2 or path.parts[0] != PROJECTS.parts[0] or "@" not in path.parts[1]:
            return None
        project_id, _, owner = path.parts[1].rpartition("@")
        granted = [self._writable[key] for grantee in (user.uid, _EVERYBODY) if (key := (owner, project_id, grantee)) in self._writable]
        if not granted or owner == user.uid or self._is_own(path.parts[1], user):
            return None
        return Mount(owner, (PROJECTS.parts[0], project_id), 2, any(granted))

    def _is_own(self, name: str, user: UserContext) -> bool:
        return os.path.isdir(Path(self.files.locate(PROJECTS, user).path, name))

    def with_user(self, user: UserContext) -> dict[str, bool]:
        """The ids of what is shared with a user, each with whether they may change it."""
        found: dict[str, bool] = {}
        for (owner, project_id, grantee), writable in sorted(self._writable.items()):
            if grantee in (user.uid, _EVERYBODY) and owner != user.uid:
                name = f"{project_id}@{owner}"
                found[name] = found.get(name, False) or writable
        return found

    def of(self, project_id: str, owner: UserContext) -> dict[str, bool]:
        """With whom a project is shared, each with whether they may change it."""
        return {grantee: writable for (uid, name, grantee), writable in self._writable.items() if (uid, name) == (owner.uid, project_id)}

    async def grant(self, project_id: str, owner: UserContext, grantee: str, writable: bool) -> None:
        """Share a project."""
        await ProjectShare.update_or_create(owner=owner.uid, project_id=project_id, grantee=grantee, defaults={"writable": writable})
        self._writable[owner.uid, project_id, grantee] = writable

    async def withdraw(self, project_id: str, owner: UserContext, grantee: str | None = None) -> bool:
        """Share it no longer, with one or with anybody; tells whether it was shared."""
        gone = [key for key in self._writable if key[:2] == (owner.uid, project_id) and (grantee is None or key[2] == grantee)]
        for key in gone:
            await ProjectShare.filter(owner=key[0], project_id=key[1], grantee=key[2]).delete()
            del self._writable[key]
        return bool(gone)


@attrs.frozen
class ShareBody:
    """With whom a project is to be shared.

    Attributes:
        username: A user; everybody when left out.
    """

    access: Access = "read"
    username: str | None = None


@attrs.frozen
class ShareQuery:
    """With whom it is not to be shared any more; with everybody when left out."""

    username: str | None = None


@attrs.frozen
class ShareInfo:
    """With whom a project is shared; with everybody where no user is named."""

    access: Access
    username: str | None = None


@attrs.frozen
class ShareList:
    """The shares of a project."""

    shares: list[ShareInfo]


@attrs.frozen
class ShareRoutes:
    """The handlers; each does what its route says."""

    store: ProjectStore
    shares: Shares
    accounts: Accounts
    audit: AuditLog | None

    def routes(self) -> list[Route]:
        """The routes."""
        path, gone = "/api/projects/{project_id}/shares", {404: "There is no such project, or no such user.", 400: "The id is no safe one."}
        return [
            Route("GET", path, self.listed, "project:share", resource="project_id", errors=gone),
            Route("PUT", path, self.share, "project:share", resource="project_id", errors=gone),
            Route("DELETE", path, self.withdraw, "project:share", resource="project_id", errors=gone),
        ]

    async def listed(self, project_id: str, user: UserContext) -> ShareList:
        """With whom a project of one's own is shared."""
        await self._own(project_id, user)
        found = []
        for grantee, writable in sorted(self.shares.of(project_id, user).items()):
            account = await self.accounts.get(grantee) if grantee else None
            if account is not None or not grantee:
                found.append(ShareInfo("write" if writable else "read", account.username if account else None))
        return ShareList(found)

    async def share(self, project_id: str, body: ShareBody, user: UserContext) -> ShareList:
        """Share a project of one's own with a user, or with everybody, to read or to change."""
        await self._own(project_id, user)
        grantee = await self._uid(body.username)
        await self.shares.grant(project_id, user, grantee, body.access == "write")
        self._note("project.shared", user, project_id, grantee=grantee or "everybody", access=body.access)
        return await self.listed(project_id, user)

    async def withdraw(self, project_id: str, query: ShareQuery, user: UserContext) -> None:
        """Share it no longer."""
        await self._own(project_id, user)
        grantee = await self._uid(query.username)
        if not await self.shares.withdraw(project_id, user, grantee):
            raise ApiError(404, "It is not shared so.")
        self._note("project.unshared", user, project_id, grantee=grantee or "everybody")

    async def _own(self, project_id: str, user: UserContext) -> None:
        await self.store.metadata(project_id, user)
        if self.shares.resolve(PROJECTS / project_id, user) is not None:
            raise ApiError(403, "Only its owner shares a project.")

    async def _uid(self, username: str | None) -> str:
        if username is None:
            return _EVERYBODY
        account = await self.accounts.find(username)
        if account is None:
            raise ApiError(404, f"There is no user {username!r}.")
        return account.uid

    def _note(self, action: str, user: UserContext, target: str, **details: str) -> None:
        if self.audit is not None:
            self.audit.note(action, user, target=target, **details)
