"""`/api/fam/…`: files by logical path."""

import asyncio
from typing import Any, Final

import attrs

from tavernkeep import ApiError, FileResponse, Request, Response, Route, UserContext
from tavernkeep.wire import Invalid, dumps, loads, unstructure
from tavernkeep_files.bodies import Deletion, Item, JsonFile, ListQuery, Made, Moving, NewFolder, Received, Renaming
from tavernkeep_files.config import _MIB, FilesConfig
from tavernkeep_files.contracts import READ, SANDBOX, WRITE, Files, LogicalPath, PathError
from tavernkeep_files.kinds import is_page, kind_of
from tavernkeep_files.operations import Operations

_PARTLY: Final = 207
_VARIES: Final = {"Vary": "Sec-Fetch-Dest"}  # whether a browser wants it for a frame or for a window of its own
_RUNS: Final = {"Content-Security-Policy": "frame-ancestors 'self'", **_VARIES}


@attrs.frozen
class FileRoutes:
    """The handlers; each does what its route says."""

    files: Files
    operations: Operations
    config: FilesConfig

    def routes(self) -> list[Route]:
        """The routes."""
        fam = "/api/fam"
        bad = {400: "The path is no safe one."}
        refused = bad | {403: "The caller may not, or the path leads out of its folder."}
        gone = refused | {404: "There is nothing."}
        room = refused | {409: "Something is in the way.", 507: "There is no room."}
        partly = {207: "Some did not work: `errors` says which and why."}
        return [
            Route("GET", fam + "/list/{path:path}", self.list_folder, READ, errors=refused),
            Route("POST", f"{fam}/create-dir", self.create_folder, WRITE, status=201, errors=room),
            Route("DELETE", f"{fam}/delete", self.delete, WRITE, errors=gone | partly),
            Route("PUT", f"{fam}/rename", self.rename, WRITE, errors=gone | room),
            Route("PUT", f"{fam}/move", self.move, WRITE, errors=gone | room | partly),
            Route(
                "POST",
                fam + "/upload/{path:path}",
                self.upload,
                WRITE,
                errors=room | partly | {413: "A file is too large."},
                max_body=self.config.max_upload_bytes + _MIB,
                content="multipart/form-data",
            ),
            Route("POST", f"{fam}/write-json", self.write_json, WRITE, errors=room),
            Route("GET", fam + "/download/{path:path}", self.download, READ, errors=gone),
            Route("GET", fam + "/read/{path:path}", self.read, READ, errors=refused | {413: "The file is too long."}),
        ]

    async def list_folder(self, path: str, query: ListQuery, user: UserContext) -> list[Item]:
        """What is in a folder; nothing for one that is not there. In `shared://` and `system://` are the roots that the caller may see."""
        if (roots := LogicalPath.roots(path)) is not None:
            return list(await self.operations.roots(roots, user))
        return await self.operations.list(LogicalPath.parse(path), user, ensure=query.ensure_exists)

    async def create_folder(self, body: NewFolder, user: UserContext) -> Made:
        """Make a folder; one that is there already is left as it is."""
        return await self.operations.create_folder(LogicalPath.parse(body.parent_logical_path), body.dir_name, user)

    async def delete(self, body: Deletion, user: UserContext) -> Response | None:
        """Remove files and folders."""
        errors: list[dict[str, str]] = []
        statuses = []
        for path in body.logical_paths:
            try:
                await self.operations.delete(LogicalPath.parse(path), user)
            except PathError as error:
                errors.append({"path": path, "message": str(error)})
                statuses.append(error.status)
        if not errors:
            return None
        if len(errors) == len(body.logical_paths) and len(set(statuses)) == 1:
            raise ApiError(statuses[0], errors[0]["message"], errors)
        return _partly("Some of it could not be removed.", errors)

    async def rename(self, body: Renaming, user: UserContext) -> Made:
        """Give a file or a folder another name in its folder."""
        path = LogicalPath.parse(body.logical_path)
        return await self.operations.move(path, path.parent / body.new_name, user)

    async def move(self, body: Moving, user: UserContext) -> Response | list[Made]:
        """Move files and folders into another folder."""
        parent = LogicalPath.parse(body.target_parent_path)
        moved: list[Made] = []
        errors: list[dict[str, str]] = []
        statuses = []
        for text in body.source_paths:
            try:
                path = LogicalPath.parse(text)
                moved.append(await self.operations.move(path, parent / path.name, user))
            except PathError as error:
                errors.append({"path": text, "message": str(error)})
                statuses.append(error.status)
        if not errors:
            return moved
        results = [unstructure(made) for made in moved]
        if not moved and len(set(statuses)) == 1:
            message = errors[0]["message"]
            raise ApiError(statuses[0], message, body={"message": message, "results": results, "errors": errors})
        return _partly("Some of it could not be moved.", errors, results=results)

    async def upload(self, path: str, request: Request, user: UserContext) -> Response | list[Received]:
        """Receive files: the parts `files` of a multipart body, written to the disk as they come."""
        folder = LogicalPath.parse(path)
        received: list[Received] = []
        errors: list[dict[str, str]] = []
        statuses = []
        async for part in request.parts():
            if part.name not in ("files", "file", "files[]") or part.filename is None:
                continue
            try:
                received.append(await self.operations.receive(folder, part.filename, part.chunks, self.config.max_upload_bytes, user))
            except PathError as error:
                errors.append({"path": part.filename, "message": str(error)})
                statuses.append(error.status)
        if not received and not errors:
            raise ApiError(400, "There is no part `files` with a file in it.")
        if not errors:
            return received
        if not received and len(set(statuses)) == 1:
            raise ApiError(statuses[0], errors[0]["message"], errors)
        return _partly("Some files were not received.", errors, results=[unstructure(entry) for entry in received])

    async def write_json(self, body: JsonFile, user: UserContext) -> None:
        """Write a JSON file whole."""
        await self.files.write(LogicalPath.parse(body.logical_path), dumps(body.content), user)

    async def download(self, path: str, request: Request, user: UserContext) -> FileResponse:
        """The bytes of a file, or a range of them. What could run as a page is sent to be saved, but for the caller's own panels."""
        located = self.files.locate(path, user)
        if not await asyncio.to_thread(located.path.is_file):
            raise ApiError(404, f"There is no file {located.logical}.")
        kind = kind_of(located.logical.name)
        # In a window of its own there is no host that a page could be a panel of, but whoever made a link to it may have opened it.
        if request.headers.get("sec-fetch-dest") != "document" and await asyncio.to_thread(self.files.runs, located, user):
            return FileResponse(located.path, kind, headers=_RUNS)
        return FileResponse(located.path, kind, located.logical.name if is_page(kind) else None, SANDBOX | _VARIES)

    async def read(self, path: str, user: UserContext) -> Response:
        """A file's JSON if it parses, else its text; `null` when it is not there."""
        try:
            data = await self.files.read(path, user, self.config.max_read_bytes)
        except PathError as error:
            if error.status != 404:
                raise
            return Response(b"null", "application/json")
        try:
            return Response(dumps(loads(data)), "application/json")
        except Invalid:
            return Response(data.decode("utf-8", "replace").encode(), "text/plain; charset=utf-8")


def _partly(message: str, errors: list[dict[str, str]], **more: Any) -> Response:
    return Response(dumps({"message": message, **more, "errors": errors}), "application/json", _PARTLY)
