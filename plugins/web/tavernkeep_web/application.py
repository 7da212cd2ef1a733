"""Makes the Quart application from the declared routes."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

import attrs
import structlog
from quart import Quart, g, request
from quart import Response as QuartResponse
from quart.wrappers import BaseRequestWebsocket
from quart_cors import cors
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.routing import Map, MapAdapter, PathConverter, Rule

from tavernkeep.contracts.app import App
from tavernkeep.contracts.auth import KEY_PREFIX, AuthError, AuthProvider, Credentials, RequestLimiter
from tavernkeep.contracts.execution import RefusalReason, Refused
from tavernkeep.contracts.http import ApiError, FileResponse, Request, Response, Route
from tavernkeep.contracts.storage import Unavailable
from tavernkeep.ids import nanoid
from tavernkeep.wire import Invalid, dumps, unstructure
from tavernkeep_web.authority import Authority
from tavernkeep_web.binding import RouteBinding, handled
from tavernkeep_web.config import WebConfig
from tavernkeep_web.forwarded import arrival_of
from tavernkeep_web.gate import Denied, Gate
from tavernkeep_web.incoming import meter_of, parts_of
from tavernkeep_web.presence import Presence
from tavernkeep_web.sending import file_answer
from tavernkeep_web.sockets import credentials_of
from tavernkeep_web.streams import EVENT_STREAM, EventStreams

_log = structlog.get_logger(__name__)

_JSON: Final = "application/json"
_LINGER_S: Final = 10.0
_LOGGED: Final = 1000  # characters of a path
_METHODS: Final = ["GET", "POST", "PUT", "DELETE", "OPTIONS"]
_REFUSALS: Final = {  # the status of an answer to a workflow that is not taken
    RefusalReason.INVALID: 422,
    RefusalReason.USER_LIMIT: 429,
    RefusalReason.FULL: 503,
    RefusalReason.CLOSING: 503,
    RefusalReason.UNRECORDED: 503,
    RefusalReason.CONFLICT: 409,
}
_REQUEST_HEADERS: Final = ["Content-Type", "Authorization", "If-Match", "If-None-Match", "Idempotency-Key", "Last-Event-ID"]
_EXPOSED_HEADERS: Final = ["ETag", "Content-Disposition", "Retry-After"]
_USUAL_HEADERS: Final = {  # where an answer has none of its own
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "SAMEORIGIN",
}


def build_quart(app: App, routes: Iterable[tuple[str, Route, RouteBinding]], gate: Gate, config: WebConfig, streams: EventStreams) -> Quart:
    """A Quart application that serves the routes, checks who may, and answers every error as JSON.

    Args:
        routes: Each with the name of its plugin.
    """
    quart = _Quart("tavernkeep_web", static_folder=None)
    quart.config["MAX_CONTENT_LENGTH"] = config.max_body_bytes
    # Handlers have their own time limits; a long upload or answer is none of the framework's business.
    quart.config["BODY_TIMEOUT"] = quart.config["RESPONSE_TIMEOUT"] = None
    quart.url_map.merge_slashes = False
    _Requests(app, gate, config).install(quart)
    quart.url_map.converters["rest"] = _Rest
    for name, route, binding in routes:
        view = _view(app, name, route, binding, config, streams)
        quart.add_url_rule(_rule(route), f"{route.method} {route.path}", view, methods=[route.method], strict_slashes=False)
    cors(
        quart,
        allow_origin=sorted(gate.origins),
        allow_methods=_METHODS,
        allow_headers=_REQUEST_HEADERS,
        allow_credentials=True,
        expose_headers=_EXPOSED_HEADERS,
    )
    return quart


class _Quart(Quart):
    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> MapAdapter | None:
        """Routes do not depend on the host: what stands in `Host`, also where it is no name at all, is the gate's to judge."""
        if request is None:
            return None
        return self.url_map.bind("localhost", url_scheme=request.scheme, default_method=request.method, path_info=request.path)


async def _let_body_end() -> None:
    """Take in what nobody read of a body: a client that is still sending when its connection is closed loses the answer."""
    meter = meter_of(request.scope)
    try:
        async with asyncio.timeout(_LINGER_S):
            with suppress(RequestEntityTooLarge):
                async for chunk in request.body:
                    meter.taken(len(chunk))
            meter.open()
            await meter.received.wait()
    except TimeoutError:
        _log.info("a body that nobody reads does not end", path=request.path[:_LOGGED])


def check_rule(route: Route) -> None:
    """See that a route's method and path are such as can be served.

    Raises:
        ValueError: They are not, or not text at all.
    """
    if route.method not in _METHODS:
        raise ValueError(f"the method must be one of {', '.join(_METHODS)}, not {route.method!r}")
    Map([Rule(_rule(route), methods=[route.method])], converters={"rest": _Rest})


def _rule(route: Route) -> str:
    return "/".join(_converter(part) for part in route.path.split("/"))


def _converter(part: str) -> str:
    if not part.startswith("{"):
        return part
    name, _, kind = part.strip("{}").partition(":")
    return f"<rest:{name}>" if kind == "path" else f"<{name}>"


class _Rest(PathConverter):
    """All that is left of a path, whatever it begins with: whether it is a good one is the handler's to say."""

    regex = r"[\s\S]*?"  # a newline as well
    part_isolating = False


def _view(app: App, name: str, route: Route, binding: RouteBinding, config: WebConfig, streams: EventStreams) -> Any:
    plugin = app.plugins.get(name)
    assert plugin is not None, "routes come from plugins"
    limiter = app.services.find(RequestLimiter)
    authority = Authority(route.scope, sources=route.sources())

    async def view(**path: str) -> QuartResponse:
        if not plugin.is_active:
            raise ApiError(503, f"The plugin {name!r}, which answers here, has been put out of service: it is {plugin.status}.")
        credentials = None if route.own_login else _credentials()
        user = None if credentials is None else await app.services.get(AuthProvider).authenticate(credentials)
        if limiter is not None and (wait_s := limiter.wait_s(user, arrival_of(request.scope).client)):
            raise ApiError(429, "Too many requests; slow down.", headers={"Retry-After": str(math.ceil(wait_s))})
        authority.admit(user, path)
        if route.max_body is not None:
            request.max_content_length = route.max_body
        arguments = await binding.arguments(path, _request(), user)
        authority.check(user, arguments)
        result = await handled(route.handler(**arguments))
        if isinstance(result, Response) and result.content_type == EVENT_STREAM and not isinstance(result.body, bytes):
            presence = None if credentials is None or user is None else Presence(app, user, credentials, config.socket_recheck_s)
            result = attrs.evolve(result, body=streams.kept(result.body, presence))
        return await _response(result, route)

    return view


def _credentials() -> Credentials:
    return credentials_of(request.scope, {name.lower(): value for name, value in request.headers.items()})


def _request() -> Request:
    meter, arrival = meter_of(request.scope), arrival_of(request.scope)

    async def body() -> bytes:
        meter.open()
        data = await request.get_data()
        assert isinstance(data, bytes), "Quart gives text only when asked to"
        return data

    async def chunks() -> AsyncIterator[bytes]:
        async for chunk in request.body:
            meter.taken(len(chunk))
            yield chunk

    headers = {name.lower(): value for name, value in request.headers.items()}
    return Request(
        method=request.method,
        path=request.path,
        headers=headers,
        query=request.args.to_dict(),
        body=body,
        chunks=chunks,
        parts=lambda: parts_of(headers.get("content-type", ""), chunks()),
        client=arrival.client,
        secure=arrival.secure,
        base_path=arrival.base_path,
    )


async def _response(result: Any, route: Route) -> QuartResponse:
    if isinstance(result, FileResponse):
        return await file_answer(result, public=route.public)
    if isinstance(result, Response):
        made = QuartResponse(result.body, status=result.status, content_type=result.content_type)
        made.headers.update(result.headers)
        if "ETag" in made.headers:
            made.headers.setdefault("Cache-Control", "no-cache" if route.public else "private, no-cache")
            await made.make_conditional(request)
        return made
    if result is None:
        return QuartResponse(b"", status=204)
    return _json(unstructure(result), route.status)


def _json(value: Any, status: int) -> QuartResponse:
    return QuartResponse(dumps(value), status=status, content_type=_JSON)


class _Requests:
    """What happens around every request: the gate, ids, logs, headers, errors."""

    def __init__(self, app: App, gate: Gate, config: WebConfig) -> None:
        self._app = app
        self._gate = gate
        self._config = config

    def install(self, quart: Quart) -> None:
        """Hook into an application."""
        quart.before_request(self._begin)
        quart.after_request(self._end)
        quart.register_error_handler(ApiError, self._on_api_error)
        quart.register_error_handler(Invalid, self._on_invalid)
        quart.register_error_handler(Refused, self._on_refused)
        quart.register_error_handler(AuthError, self._on_auth_error)
        quart.register_error_handler(Denied, self._on_denied)
        quart.register_error_handler(Unavailable, self._on_unavailable)
        quart.register_error_handler(HTTPException, self._on_http_error)
        quart.register_error_handler(Exception, self._on_failure)

    async def _begin(self) -> None:
        g.request_id = nanoid()
        g.began = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)
        if KEY_PREFIX.encode() in request.query_string:
            raise ApiError(400, "There is an API key in the address, where logs keep it: revoke it, and send the next one in a header.")
        if "Service-Worker" in request.headers:  # it would go on answering for this server long after whoever planted it is gone
            raise Denied("nothing of this server may be a service worker")
        self._gate.check(request.method, request.headers.get("Host"), request.headers.getlist("Origin"))

    async def _end(self, response: QuartResponse) -> QuartResponse:
        for name, value in _USUAL_HEADERS.items():
            response.headers.setdefault(name, value)
        if response.status_code == 204:
            response.headers.pop("Content-Type", None)
        if not response.headers.get("Access-Control-Allow-Headers", "*"):  # of a preflight that asks for none
            del response.headers["Access-Control-Allow-Headers"]
        response.headers["X-Request-Id"] = g.request_id
        sends = "Content-Length" in request.headers or "Transfer-Encoding" in request.headers
        if sends and not meter_of(request.scope).received.is_set():
            await _let_body_end()
        if self._config.access_log:
            took = round((time.perf_counter() - g.began) * 1000, 1)
            _log.info("request", method=request.method, path=request.path[:_LOGGED], status=response.status_code, ms=took)
        return response

    async def _on_api_error(self, error: ApiError) -> QuartResponse:
        answer = _json(error.body, error.status)
        answer.headers.update(error.headers)
        return answer

    async def _on_refused(self, error: Refused) -> QuartResponse:
        return await self._on_api_error(ApiError(_REFUSALS[error.reason], str(error), unstructure(error.problems) or None))

    async def _on_invalid(self, error: Invalid) -> QuartResponse:
        details = [unstructure(problem) for problem in error.problems]
        return _json({"error": "The request does not have the expected shape.", "details": details}, 422)

    async def _on_auth_error(self, error: AuthError) -> QuartResponse:
        return _json({"error": str(error)}, error.status)

    async def _on_denied(self, error: Denied) -> QuartResponse:
        return _json({"error": str(error)}, 403)

    async def _on_unavailable(self, error: Unavailable) -> QuartResponse:
        _log.error("the database is unavailable", reason=error.reason, problem=str(error), path=request.path[:_LOGGED])
        return _json({"error": str(error), "details": {"reason": error.reason}}, 503)

    async def _on_http_error(self, error: HTTPException) -> QuartResponse:
        messages: Mapping[int, str] = {
            404: f"There is nothing at {request.path}.",
            405: f"{request.path} does not take {request.method}.",
            413: f"The body is longer than {self._config.max_body_bytes} bytes (web.maxBodyBytes).",
        }
        status = error.code or 500
        answer = _json({"error": messages.get(status, error.description or error.name)}, status)
        if status == 405 and isinstance(allowed := getattr(error, "valid_methods", None), list):
            answer.headers["Allow"] = ", ".join(sorted(allowed))
        return answer

    async def _on_failure(self, error: Exception) -> QuartResponse:
        _log.exception("request failed", method=request.method, path=request.path[:_LOGGED], exc_info=error)
        return _json({"error": "The server failed on this request.", "details": {"requestId": g.request_id}}, 500)
