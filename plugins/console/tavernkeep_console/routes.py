"""`/`, `/console/…`, `/api/status…`, `/api/server/restart`, `/metrics`."""

import asyncio
import mimetypes
import time
from pathlib import Path
from typing import Any, Final

import attrs

from tavernkeep import ApiError, FileResponse, Request, Response, Route
from tavernkeep.contracts.app import App
from tavernkeep_console.bodies import AuthRequired, Restarting, StatusLogin, StatusToken
from tavernkeep_console.metrics import Metrics
from tavernkeep_console.status import Gatekeeper, status

_WEB: Final = Path(__file__).parent / "web"
_ADMIN: Final = "server:admin"
_METRICS: Final = "metrics:read"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS: Final = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}


@attrs.frozen
class ConsoleRoutes:
    """The handlers; each does what its route says.

    Attributes:
        started: When the server did, in seconds, monotonic.
    """

    app: App
    gatekeeper: Gatekeeper
    started: float = attrs.field(factory=time.monotonic)

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route("GET", "/", self.page, public=True),
            Route("GET", "/console/{name}", self.part, public=True, errors={404: "There is no such part."}),
            self._status_route(),
            Route("POST", "/api/status/login", self.login, public=True, own_login=True, errors={401: "The name or the password is wrong."}),
            Route("GET", "/api/status/auth-required", self.auth_required, public=True, own_login=True),
            Route(
                "POST", "/api/server/restart", self.restart, _ADMIN, status=202, errors={409: "It runs in a way that it cannot restart."}
            ),
        ]

    def _status_route(self) -> Route:
        """Of the panel's own login where it has one; else for administrators."""
        wrong = {401: "Log in first, where there is a login."}
        if self.gatekeeper.is_needed:
            return Route("GET", "/api/status", self.status, public=True, own_login=True, errors=wrong)
        return Route("GET", "/api/status", self.status, _ADMIN, errors=wrong)

    async def page(self, request: Request) -> Response:
        """The server's page."""
        # Where nobody has said below which path the server is shown, its parts are beside it.
        parts = f"{request.base_path}/" if request.base_path else ""
        page = await asyncio.to_thread((_WEB / "index.html").read_text, "utf-8")
        return Response(page.replace("{{ parts }}", parts).encode(), "text/html; charset=utf-8", headers=_HEADERS)

    async def part(self, name: str) -> FileResponse:
        """A part of the server's page."""
        found = {path.name: path for path in _WEB.iterdir()}.get(name)
        if found is None:
            raise ApiError(404, f"There is no part {name!r}.")
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return FileResponse(found, f"{kind}; charset=utf-8" if kind.startswith("text/") else kind, headers=_HEADERS)

    async def status(self, request: Request) -> dict[str, Any]:
        """How the machine and the server do."""
        if self.gatekeeper.is_needed and not self.gatekeeper.lets_in(request.headers.get("authorization")):
            raise ApiError(401, "Log in first (POST /api/status/login).")
        return await asyncio.to_thread(status, self.started, str(self.app.config.data))

    async def login(self, body: StatusLogin) -> StatusToken:
        """Log in to the status."""
        token = self.gatekeeper.login(body.username, body.password)
        if token is None:
            message = "The name or the password is wrong."
            raise ApiError(401, message, body={"success": False, "message": message, "error": message})
        return StatusToken(True, token, body.username)

    async def auth_required(self) -> AuthRequired:
        """Whether the status has a login."""
        return AuthRequired(self.gatekeeper.is_needed)

    async def restart(self) -> Restarting:
        """Begin anew: what runs is brought to an end first."""
        if self.app.restart is None:
            raise ApiError(409, "This server was not started by `tavernkeep serve`; restart it where it was started.")
        asyncio.get_running_loop().call_later(0.1, self.app.restart)
        return Restarting(True, "The server restarts.")


@attrs.frozen
class MetricsRoutes:
    """The handler; it does what its route says."""

    counted: Metrics

    def routes(self) -> list[Route]:
        """The route."""
        return [Route("GET", "/metrics", self.metrics, _METRICS)]

    async def metrics(self) -> Response:
        """Executions, nodes, plugins and the process, for Prometheus."""
        return await self.counted.exposed()
