"""The surface's own routes: who is there, how the server does, what it can do, and files."""

import mimetypes
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import attrs
import structlog
from jinja2 import Environment, PackageLoader

from tavernkeep.contracts.app import App
from tavernkeep.contracts.auth import AuthProvider, UserContext
from tavernkeep.contracts.http import ApiError, FileResponse, Request, Response, Route
from tavernkeep_web.bodies import Alive, Ready

_log = structlog.get_logger(__name__)

_PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'"
}


@attrs.define(eq=False)
class SurfaceRoutes:
    """The handlers; each does what its route says.

    Attributes:
        document: Gives the OpenAPI document, which is made after all routes are known.
    """

    app: App
    document: Callable[[], dict[str, Any]]

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route("GET", "/api/auth/current", self.current_user, public=True),
            Route("GET", "/api/openapi.json", self.openapi, public=True),
            Route("GET", "/docs", self.docs, public=True),
            Route("GET", "/ws", self.no_socket, public=True, errors={400: "It is a WebSocket."}),
            Route("GET", "/healthz", self.healthz, public=True),
            Route("GET", "/readyz", self.readyz, public=True, errors={503: "Some part cannot do its work."}),
            Route("GET", "/{path:path}", self.public_file, public=True, errors={404: "There is no such file."}),
        ]

    async def current_user(self, user: UserContext | None) -> dict[str, Any]:
        """Who the caller is, and how one logs in here."""
        return await self.app.services.get(AuthProvider).describe(user)

    async def openapi(self, request: Request) -> dict[str, Any]:
        """This description of the API, for programs."""
        return self.document() | {"servers": [{"url": request.base_path or "/"}]}

    async def docs(self, request: Request) -> Response:
        """This description of the API, for people."""
        return Response(_page(self.document(), request.base_path).encode(), "text/html; charset=utf-8", headers=_PAGE_HEADERS)

    async def no_socket(self) -> None:
        """What a handshake is answered that has lost what makes it one; the socket is at the same address."""
        _log.warning("a WebSocket came as a plain request; where it was one, a proxy in between must pass the header Upgrade on")
        message = "This is a WebSocket. Whoever sees this where one was opened: a proxy in between must pass the header Upgrade on."
        raise ApiError(400, message)

    async def public_file(self, path: str) -> FileResponse:
        """A file of the public folder."""
        found = safe_file(self.app.config.folder("public"), path)
        if found is None:
            raise ApiError(404, f"There is nothing at /{path}.")
        return static_file(found)

    async def healthz(self) -> Alive:
        """The server answers."""
        return Alive()

    async def readyz(self) -> Ready:
        """Whether every part of the server can do its work."""
        failed = {plugin.name: plugin.error or plugin.status for plugin in self.app.plugins if plugin.has_failed}
        needed = self.app.needed() if failed else {}
        problems = {name: reason for name, reason in failed.items() if name in needed}
        async for plugin, error, _ in self.app.plugins.agather("health", app=self.app):
            if error is not None:
                problems[plugin.name] = str(error)
        if problems:
            raise ApiError(503, "Not ready.", problems, body={"error": "Not ready.", "details": problems, "plugins": failed})
        return Ready(True, {}, failed)


def _page(document: dict[str, Any], base_path: str) -> str:
    def resolve(schema: Any, depth: int = 0) -> Any:
        """A schema with what it refers to put in, a few levels deep: pages are for reading."""
        if isinstance(schema, list):
            return [resolve(part, depth) for part in schema]
        if not isinstance(schema, dict):
            return schema
        if "$ref" in schema and depth < 4:
            return resolve(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], depth + 1)
        return {key: resolve(value, depth) for key, value in schema.items()}

    environment = Environment(loader=PackageLoader("tavernkeep_web"), autoescape=True)
    environment.filters["resolve"] = resolve
    operations = sorted(_operations(document), key=lambda entry: (entry[2]["tags"][0], entry[0]))
    groups = [(tag, list(entries)) for tag, entries in groupby(operations, key=lambda entry: entry[2]["tags"][0])]
    return environment.get_template("docs.html").render(document=document, groups=groups, base=base_path)


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def static_file(path: Path) -> FileResponse:
    """A file that is sent as it is; a page or a drawing in it runs nothing, and not with this server's origin."""
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return FileResponse(
        path, kind, headers={"Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self'"}
    )


def safe_file(root: Path, name: str) -> Path | None:
    """The file of that name below a folder; `None` when there is none, or it is anywhere else (links are followed first)."""
    try:
        found = (root / name).resolve(strict=True)
    except (OSError, ValueError):
        return None
    return found if found.is_file() and found.is_relative_to(root.resolve()) else None
