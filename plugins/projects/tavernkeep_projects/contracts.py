"""What this plugin publishes: a user's projects."""

from typing import Any, Final, Protocol

from tavernkeep import UserContext
from tavernkeep_files.contracts import LogicalPath

READ: Final = "project:read"  # scopes of whatever belongs to a project
WRITE: Final = "project:write"
SHARE: Final = "project:share"
PROJECTS: Final = LogicalPath("user", "", ("projects",))  # the folder with a folder for each
OTHERS_COULD_WRITE: Final = (
    ".others-could-write"  # a file in a project that has been shared to be changed; whoever looked it through removes it
)


class Projects(Protocol):
    """Knows a user's projects."""

    async def metadata(self, project_id: str, user: UserContext) -> dict[str, Any]:
        """A project's metadata.

        Raises:
            ApiError: 404, the user has no such project; 400, the id is no safe name.
        """

    async def create(self, name: str, description: str | None, user: UserContext) -> dict[str, Any]:
        """Make a project.

        Raises:
            ApiError: 409, there is one of that name.
        """

    async def update(self, project_id: str, changes: dict[str, Any], if_match: str | None, user: UserContext) -> dict[str, Any]:
        """Change a project's metadata.

        Raises:
            ApiError: 404, the user has no such project.
        """


class Ownership(Protocol):
    """Knows whose hands what is in a project may be of."""

    def is_own_alone(self, project_id: str, user: UserContext) -> bool:
        """Whether nobody but the user may change a project that is theirs, nor ever could."""
