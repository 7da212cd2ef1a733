"""Which files run as pages with this server's origin: a user's own panels, and nothing that anybody else may have had a hand in."""

import attrs

from tavernkeep import UserContext
from tavernkeep_files.contracts import Files, Located, LogicalPath, PathError
from tavernkeep_projects.contracts import OTHERS_COULD_WRITE, Ownership

_HOME = LogicalPath("user", "", ())


@attrs.frozen
class OwnPanels:
    """The rule of `panels.sameOrigin: own`."""

    files: Files
    ownership: Ownership

    def __call__(self, located: Located, user: UserContext) -> bool:
        """Whether a place is in the panels' folder of a project that is the user's alone.

        What counts is where the path leads, links followed, and not how it is written: that of a shared project leads to its owner's files.
        """
        home = self.files.locate(_HOME, user).path
        if located.logical.scheme != "user" or not located.path.is_relative_to(home):
            return False
        projects, project_id, folder, *_ = (*located.path.relative_to(home).parts, "", "", "")
        if projects != "projects" or folder not in ("ui", OTHERS_COULD_WRITE):
            return False
        try:
            return folder == OTHERS_COULD_WRITE or self.ownership.is_own_alone(project_id, user)
        except PathError:  # a link leads to what has no name that a path can say
            return False
