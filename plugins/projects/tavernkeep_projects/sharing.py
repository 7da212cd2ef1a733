"""Projects that are shared: `ID@OWNER` among the projects of whom they are shared with, with all that belongs to them.

Every feature finds a project's files by their path among the user's own, so this one place, which says where such a path leads, is
enough for all of them.
"""

import os
from pathlib import Path
from typing import Final

import attrs
import structlog

from tavernkeep import ApiError, UserContext
from tavernkeep.contracts.auth import EVERYTHING
from tavernkeep.contracts.storage import Storage
from tavernkeep.finish import finishing
from tavernkeep_files.contracts import Files, LogicalPath, Mount
from tavernkeep_projects.contracts import OTHERS_COULD_WRITE, PROJECTS
from tavernkeep_projects.models import ProjectShare

_log = structlog.get_logger(__name__)

EVERYBODY: Final = ""
_NOTE: Final = (
    b"This project was shared with others to be changed. Its panels are kept in a sandbox, as somebody else may have written them.\n"
    b"Who owns the project, has looked through its ui folder and trusts every file there may remove this file.\n"
)


@attrs.define(eq=False)
class Shares:
    """Who shares what with whom; all of it in memory, as every path is looked at."""

    files: Files
    storage: Storage
    _writable: dict[tuple[str, str, str], bool] = attrs.field(factory=dict)  # by owner, project and grantee

    async def load(self) -> None:
        """Read them from the database."""
        rows = await ProjectShare.all()
        self._writable = {(row.owner, row.project_id, row.grantee): row.writable for row in rows}
        for owner, project_id in {(row.owner, row.project_id) for row in rows if row.writable}:
            try:
                await self._note_writers(project_id, UserContext(owner, ""))
            except ApiError as error:  # while it is shared nobody asks for the note
                _log.warning("it could not be noted that others may change a project", owner=owner, project=project_id, problem=str(error))

    def resolve(self, path: LogicalPath, user: UserContext) -> Mount | None:
        """See `Files.add_resolver`. A project of the user's own that is called so goes first."""
        if len(path.parts) < 2 or path.parts[0] != PROJECTS.parts[0] or "@" not in path.parts[1]:
            return None
        project_id, _, owner = path.parts[1].rpartition("@")
        granted = [self._writable[key] for grantee in (user.uid, EVERYBODY) if (key := (owner, project_id, grantee)) in self._writable]
        if not granted or owner == user.uid or self._is_own(path.parts[1], user):
            return None
        return Mount(owner, (PROJECTS.parts[0], project_id), 2, any(granted), OTHERS_COULD_WRITE)

    def _is_own(self, name: str, user: UserContext) -> bool:
        return os.path.isdir(Path(self.files.locate(PROJECTS, user).path, name))

    def with_user(self, user: UserContext) -> dict[str, bool]:
        """The ids of what is shared with a user, each with whether they may change it."""
        found: dict[str, bool] = {}
        for (owner, project_id, grantee), writable in sorted(self._writable.items()):
            if grantee in (user.uid, EVERYBODY) and owner != user.uid:
                name = f"{project_id}@{owner}"
                found[name] = found.get(name, False) or writable
        return found

    def of(self, project_id: str, owner: UserContext) -> dict[str, bool]:
        """With whom a project is shared, each with whether they may change it."""
        return {grantee: writable for (uid, name, grantee), writable in self._writable.items() if (uid, name) == (owner.uid, project_id)}

    def is_own_alone(self, project_id: str, user: UserContext) -> bool:
        """See `Ownership`."""
        folder = self.files.locate(PROJECTS / project_id, user)
        is_own = folder.parts == folder.logical.parts
        return is_own and not any(self.of(project_id, user).values()) and not os.path.lexists(folder.path / OTHERS_COULD_WRITE)

    async def _note_writers(self, project_id: str, owner: UserContext) -> None:
        """Keep in the project that others could change it, also for when they cannot any more, and wherever it is moved."""
        note = PROJECTS / project_id / OTHERS_COULD_WRITE
        place = self.files.locate(note, owner).path
        if place.parent.is_dir() and not place.exists():
            await self.files.write(note, _NOTE, attrs.evolve(owner, scopes=EVERYTHING))  # whatever the key may that it is shared with

    @finishing
    async def grant(self, project_id: str, owner: UserContext, grantee: str, writable: bool) -> None:
        """Share a project."""
        if writable:
            await self._note_writers(project_id, owner)
        key = {"owner": owner.uid, "project_id": project_id, "grantee": grantee}
        await self.storage.put(ProjectShare, key, {"writable": writable})
        self._writable[owner.uid, project_id, grantee] = writable

    @finishing
    async def withdraw(self, project_id: str, owner: UserContext, grantee: str | None = None) -> bool:
        """Share it no longer, with one or with anybody; tells whether it was shared."""
        gone = [key for key in self._writable if key[:2] == (owner.uid, project_id) and (grantee is None or key[2] == grantee)]
        await ProjectShare.filter(owner=owner.uid, project_id=project_id, grantee__in=[key[2] for key in gone]).delete()
        for key in gone:
            self._writable.pop(key, None)
        return bool(gone)
