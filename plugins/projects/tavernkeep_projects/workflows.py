"""Finding stored workflows: in a project, or in the shared library."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import attrs

from tavernkeep import UserContext
from tavernkeep.contracts.workflow import StoredWorkflow
from tavernkeep.wire import structure
from tavernkeep_files.contracts import Files, LogicalPath, PathError
from tavernkeep_projects.store import Json, workflow_files


@attrs.frozen
class StoredWorkflows:
    """See `tavernkeep.contracts.workflow.WorkflowSource`."""

    files: Files
    in_form: Callable[[Json], Json]

    async def find(self, reference: str, project_id: str | None, user: UserContext) -> StoredWorkflow | None:
        """See `WorkflowSource`."""
        folders = [] if project_id is None else [f"user://projects/{project_id}/workflows/"]
        for folder in (*folders, "shared://library/workflows/"):
            try:
                located = self.files.locate(LogicalPath.parse(folder), user)
            except PathError:
                continue
            found = await asyncio.to_thread(_find, located.path, reference)
            if found is not None:
                return structure(self.in_form(found), StoredWorkflow)
        return None


def _find(folder: Path, reference: str) -> Json | None:
    """The workflow whose id is the reference; one without an id is called by its file's name."""
    return next((content for path, content in workflow_files(folder) if content.get("id", path.stem) == reference), None)
