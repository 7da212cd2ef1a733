"""Finding stored workflows: in a project, or in the shared library."""

import asyncio
from pathlib import Path
from typing import Any

import attrs

from tavernkeep import UserContext
from tavernkeep.wire import Invalid, loads, structure
from tavernkeep.workflow import StoredWorkflow
from tavernkeep_files.contracts import Files, LogicalPath, PathError


@attrs.frozen
class StoredWorkflows:
    """See `tavernkeep.workflow.WorkflowSource`."""

    files: Files

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
                return structure(found, StoredWorkflow)
        return None


def _find(folder: Path, reference: str) -> Any:
    """The file whose `id`, or whose name, is the reference; one that says its id goes first."""
    named = None
    for path in sorted(folder.glob("*.json")):
        try:
            content = loads(path.read_bytes())
        except (Invalid, OSError):
            continue
        if isinstance(content, dict):
            if content.get("id") == reference:
                return content
            if path.stem == reference and "id" not in content:
                named = content
    return named
