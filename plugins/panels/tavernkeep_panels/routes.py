"""`/api/panels/…` and `/api/projects/ID/panels/…`."""

import asyncio
import errno
import os
import shutil
from pathlib import Path
from typing import Any, Final

import attrs

from tavernkeep import ApiError, FileResponse, Request, Route, UserContext
from tavernkeep_files.contracts import SANDBOX, Files, Located, LogicalPath
from tavernkeep_panels.bodies import DeleteQuery, NewPanel, PanelFile, PanelShown, Written
from tavernkeep_panels.store import PanelStore
from tavernkeep_projects.contracts import READ, WRITE

_SDK: Final = {"panel.js": "text/javascript", "panel.d.ts": "text/plain"}
_SDK_FOLDER: Final = Path(__file__).parent / "sdk"
_FOLDER_TYPE: Final = "application/vnd.comfy.create-directory"


@attrs.frozen
class PanelRoutes:
    """The handlers; each does what its route says."""

    store: PanelStore
    files: Files

    def routes(self) -> list[Route]:
        """The routes."""
        gone = {
            404: "There is no such project, panel or file.",
            400: "The path or the id is no safe one.",
            403: "The path leads elsewhere.",
        }
        taken = {409: "Something is there already."}
        panels = "/api/projects/{project_id}/panels"
        own = panels + "/{panel_id}/fs/{path:path}"
        return [
            Route("GET", "/api/fam/sdk/{name}", self.sdk, public=True, errors={404: "There is no such part of it."}),
            Route("GET", "/api/panels/templates", self.templates, READ, answers=list[PanelShown]),
            Route("GET", panels, self.panels, READ, answers=list[PanelShown], errors=gone, resource="project_id"),
            Route("POST", panels, self.create, WRITE, answers=PanelShown, status=201, errors=gone | taken, resource="project_id"),
            Route("GET", panels + "/{panel_id}", self.panel, READ, answers=PanelShown, errors=gone, resource="project_id"),
            Route("GET", panels + "/{panel_id}/fs", self.read_root, READ, errors=gone, resource="project_id"),
            Route("GET", own, self.read, READ, errors=gone, resource="project_id"),
            Route(
                "POST", own, self.write, WRITE, status=201, errors=gone | taken, content="application/octet-stream", resource="project_id"
            ),
            Route("DELETE", own, self.delete, WRITE, errors=gone | taken, resource="project_id"),
        ]

    async def sdk(self, name: str) -> FileResponse:
        """The module by which panels talk to the page that shows them, and its types."""
        if name not in _SDK:
            raise ApiError(404, f"There is no part {name!r} of the SDK; it has: {', '.join(_SDK)}.")
        # A module is fetched by the rules for other origins, and a page in a sandbox, or of a development server, is of another one.
        return FileResponse(_SDK_FOLDER / name, _SDK[name], headers={"Access-Control-Allow-Origin": "*"})

    async def templates(self, user: UserContext) -> list[dict[str, Any]]:
        """The panels to begin with."""
        return await self.store.templates(user)

    async def panels(self, project_id: str, user: UserContext) -> list[dict[str, Any]]:
        """A project's panels."""
        return await self.store.of_project(project_id, user)

    async def panel(self, project_id: str, panel_id: str, user: UserContext) -> dict[str, Any]:
        """One panel of a project."""
        return await self.store.panel(project_id, panel_id, user)

    async def create(self, project_id: str, body: NewPanel, user: UserContext) -> dict[str, Any]:
        """Make a panel, of a template or afresh."""
        return await self.store.create(project_id, body, user)

    async def _locate(self, project_id: str, panel_id: str, path: str, user: UserContext, *, write: bool = False) -> Located:
        folder = await self.store.data_folder(project_id, panel_id, user)
        for name in path.split("/") if path.strip("/") else ():
            if name:
                folder = folder / name
        return self.files.locate(folder, user, write=write)

    async def read_root(self, project_id: str, panel_id: str, user: UserContext) -> list[PanelFile] | FileResponse:
        """The panel's own files."""
        return await self.read(project_id, panel_id, "", user)

    async def read(self, project_id: str, panel_id: str, path: str, user: UserContext) -> list[PanelFile] | FileResponse:
        """What is in a folder of the panel's own, or the bytes of a file."""
        located = await self._locate(project_id, panel_id, path, user)
        if await asyncio.to_thread(located.path.is_file):
            return FileResponse(located.path, self.files.kind_of(located.path.name), headers=SANDBOX)
        if await asyncio.to_thread(located.path.is_dir):
            return await asyncio.to_thread(_entries, located.path, path.strip("/"))
        if not path.strip("/"):
            return []
        raise ApiError(404, f"There is no {path!r}.")

    async def write(self, project_id: str, panel_id: str, path: str, request: Request, user: UserContext) -> Written:
        """Write a file of the panel's own; with the content type for it, make a folder."""
        located = await self._locate(project_id, panel_id, path, user, write=True)
        if request.headers.get("content-type", "").startswith(_FOLDER_TYPE):
            if await asyncio.to_thread(located.path.is_file):
                raise ApiError(409, f"{path!r} is a file.")
            await self.files.on_disk(lambda: located.path.mkdir(parents=True, exist_ok=True), str(located.logical))
            return Written(True, "The folder is there.")
        await self.files.write(located.logical, await request.body(), user)
        return Written(True, "The file is written.")

    async def delete(self, project_id: str, panel_id: str, path: str, query: DeleteQuery, user: UserContext) -> None:
        """Remove a file or a folder of the panel's own."""
        located = await self._locate(project_id, panel_id, path, user, write=True)
        if not path.strip("/"):
            raise ApiError(400, "The panel's folder itself cannot be removed.")
        await self.files.on_disk(lambda: _remove(located, query.recursive), str(located.logical))


def _entries(folder: Path, prefix: str) -> list[PanelFile]:
    found = []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        status = entry.stat(follow_symlinks=False)
        kind = "directory" if entry.is_dir() else "file"
        path = f"{prefix}/{entry.name}" if prefix else entry.name
        found.append(PanelFile(entry.name, path, kind, status.st_size, int(status.st_mtime * 1000)))
    return found


def _remove(located: Located, recursive: bool) -> None:
    place = located.root.joinpath(*located.parts)
    try:
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place) if recursive else place.rmdir()
        else:
            place.unlink()
    except (FileNotFoundError, NotADirectoryError):
        raise ApiError(404, f"There is no {LogicalPath.parse(str(located.logical)).name!r}.") from None
    except OSError as error:
        if error.errno != errno.ENOTEMPTY or recursive:
            raise
        raise ApiError(409, "The folder is not empty; remove it with `recursive=true`.") from None
