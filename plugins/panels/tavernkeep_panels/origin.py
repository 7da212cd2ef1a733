"""Which files run as pages with this server's origin: a user's own panels, and nothing that anybody else may have had a hand in."""

from pathlib import Path
from typing import Final

import attrs

from tavernkeep import UserContext
from tavernkeep_files.contracts import Files, Located, LogicalPath, PathError
from tavernkeep_projects.contracts import OTHERS_COULD_WRITE, Ownership

_HOME: Final = LogicalPath("user", "", ())
_PANELS: Final = ("projects", "ui")
_NOTE: Final = ("projects", OTHERS_COULD_WRITE)


@attrs.frozen
class OwnPanels:
    """The rule of `panels.sameOrigin: own`."""

    files: Files
    ownership: Ownership

    def runs(self, located: Located, user: UserContext) -> bool:
        """Whether a file is in the panels' folder of a project that is the user's alone.

        What counts is where the path leads, links followed, and not how it is written: that of a shared project leads to its owner's files.
        """
        home = self._home(user)
        if located.logical.scheme != "user" or not located.path.is_relative_to(home):
            return False
        projects, project_id, folder, *_ = (*located.path.relative_to(home).parts, "", "", "")
        try:
            return (projects, folder) == _PANELS and self.ownership.is_own_alone(project_id, user)
        except PathError:  # a link leads to what has no name that a path can say
            return False

    def guards(self, located: Located, user: UserContext) -> bool:
        """Whether a place is in the panels' folder of anybody's project, or the note that others may have written there.

        By whichever path it is reached, and in capitals too: there are file systems that do not tell them apart.
        """
        users = self._home(user).parent
        if not located.path.is_relative_to(users):
            return False
        _, projects, _, folder, *_ = (*map(str.casefold, located.path.relative_to(users).parts), "", "", "", "")
        return (projects, folder) in (_PANELS, _NOTE)

    def _home(self, user: UserContext) -> Path:
        return self.files.locate(_HOME, user).path
