"""What a plugin declares of its HTTP routes and WebSocket messages. Nothing here knows a web framework.

A handler is a plain async function. Its parameters say what it wants:

- a name that stands in the path (`/api/prompt/{prompt_id}`): that part of the path, decoded;
- `body`: the request's JSON, made into the parameter's type;
- `query`: the query string, made into the parameter's type (an attrs class);
- `user`: the `UserContext` of the caller;
- `request`: the whole `Request`, for what the above cannot say.

It returns a value (sent as JSON), a `Response`, or nothing (204), or raises `ApiError`.

What the caller must have is a scope, `AREA:ACTION`; a plugin keeps those of its own things as constants in its contracts. With `resource` a
declaration also says what a call is about, by naming something that the handler takes: then a key for that one thing is enough. Only what
the handler is given counts: neither a query that it does not read nor a header opens anything.
"""

import inspect
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import attrs

from tavernkeep.contracts.auth import UserContext

Handler = Callable[..., Awaitable[Any]]

RESERVED: Final = ("body", "query", "user", "request")  # parameters that are no part of the path


class ApiError(Exception):
    """An answer that is an error, as `{"error": message, "details"?: …}`.

    Args:
        status: 400 to 599.
        details: Plain JSON data that says more.
        body: The whole answer, where clients expect another shape.
        headers: Further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        details: Any = None,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.body = dict(body) if body is not None else {"error": message} | ({} if details is None else {"details": details})


@attrs.frozen
class Source:
    """Where, among what a handler takes, an id is.

    Attributes:
        parameter: A parameter of the handler.
        field: The field of the parameter's attrs class; the parameter is the id itself when empty.
    """

    parameter: str
    field: str = ""

    def of(self, arguments: Mapping[str, Any]) -> str | None:
        """The id in a call; `None` where it was left out."""
        value = arguments[self.parameter]
        found = getattr(value, self.field) if self.field else value
        return None if found is None else str(found)


def _names(resource: str | Iterable[str]) -> tuple[str, ...]:
    return (resource,) if isinstance(resource, str) else tuple(resource)


def _sources(what: str, resource: tuple[str, ...], takes: Mapping[str, Any]) -> tuple[Source, ...]:
    found = []
    for name in resource:
        places = [Source(name)] if name in takes and name not in RESERVED else []
        places += [Source(parameter, name) for parameter, type_ in takes.items() if attrs.has(type_) and name in attrs.fields_dict(type_)]
        if len(places) != 1:
            raise ValueError(f"{what}: the resource {name!r} must be one thing that the handler takes, not {len(places) or 'none'}")
        found += places
    return tuple(found)


@attrs.frozen
class Route:
    """One thing that the HTTP surface can do.

    Attributes:
        method: `GET`, `POST`, `PUT` or `DELETE`.
        path: With its parameters in braces: `/api/prompt/{prompt_id}`; `{rest:path}` takes slashes as well.
        scope: What the caller must have. A route without one must say `public=True`.
        resource: What a call is about, outermost first: names of path parameters of the handler, or of fields of its `query` or `body`. A
            scope for that alone is enough then: `project:read:inn` where `project_id` is `inn`. Without it only the whole scope is.
        status: Of an answer that is not an error.
        errors: The statuses of its errors, and when they come; for the documentation.
        summary: One line for the documentation; the first line of the handler's docstring when empty.
        own_login: The handler looks at `Authorization` itself: what stands there is nothing of the auth provider's.
        max_body: How long the body may be, in bytes, where that is not the configured limit for all.
        takes: The type of the body, where the handler reads it itself; for the documentation.
        answers: The type of the answer, where the handler gives plain data or a `Response`; for the documentation.
        content: What the body is where it is no JSON, for the documentation: `multipart/form-data`, `application/octet-stream`.
    """

    method: str
    path: str
    handler: Handler = attrs.field(repr=False)  # a bound method shows all that it is bound to, and so on
    scope: str | None = None
    public: bool = False
    status: int = 200
    errors: Mapping[int, str] = attrs.field(factory=dict)
    summary: str = ""
    tag: str = ""
    own_login: bool = False
    max_body: int | None = None
    content: str = ""
    takes: Any = None
    answers: Any = None
    resource: tuple[str, ...] = attrs.field(default=(), converter=_names, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if (self.scope is None) != self.public:
            raise ValueError(f"{self}: give it a scope, or public=True, and not both")
        if self.resource and self.public:
            raise ValueError(f"{self}: a public route is open whatever it is about; leave its resource out")
        self.sources()

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def path_parameters(self) -> tuple[str, ...]:
        """The names in braces."""
        return tuple(part.strip("{}").partition(":")[0] for part in self.path.split("/") if part.startswith("{"))

    def sources(self) -> tuple[Source, ...]:
        """Where the parts of the resource are.

        Raises:
            ValueError: One of them names nothing that the handler takes, or two things.
        """
        if not self.resource:
            return ()
        given = inspect.signature(self.handler).parameters
        hints = typing.get_type_hints(self.handler)
        takes = {name: hints.get(name, Any) for name in (*self.path_parameters(), "query", "body") if name in given}
        return _sources(str(self), self.resource, takes)


@attrs.frozen
class Request:
    """A request, for handlers that need more than typed parameters.

    Attributes:
        headers: By lower-case name.
        body: Reads the whole body, within the configured limit.
        chunks: The body piece by piece, for what should not stand in memory; who sends it is held back while nobody reads.
        parts: A multipart body part by part, in order; each is read before the next is asked for.
        client: The address that it comes from; behind a trusted proxy, what that says.
        secure: Whether it came by TLS.
        base_path: Below which path of the outside address the server is, as `/tavern`; empty where it is the whole of it.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: Callable[[], Awaitable[bytes]]
    chunks: Callable[[], AsyncIterator[bytes]]
    parts: Callable[[], AsyncIterator["Part"]]
    client: str | None = None
    secure: bool = False
    base_path: str = ""

    @property
    def user_agent(self) -> str:
        """What the client says that it is."""
        return self.headers.get("user-agent", "")[:200]


@attrs.frozen
class Part:
    """A part of a multipart body.

    Attributes:
        filename: `None` for a field that is no file.
        chunks: Its content, piece by piece.
    """

    name: str
    filename: str | None
    content_type: str
    chunks: AsyncIterator[bytes]


@attrs.frozen
class Response:
    """An answer that is not JSON, or needs headers of its own."""

    body: bytes | AsyncIterator[bytes]
    content_type: str
    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class FileResponse:
    """An answer that is a file; ranges and conditions of the request are honoured.

    Attributes:
        download_as: A name under which a browser saves it, instead of showing it.
    """

    path: Path
    content_type: str
    download_as: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)


class Client(Protocol):
    """The other end of a WebSocket, as a message handler sees it."""

    @property
    def user(self) -> UserContext:
        """Who opened the socket."""

    def send(self, type_: str, payload: Mapping[str, Any]) -> None:
        """Queue a message; never waits."""

    def watch(self, execution_id: str, after: int | None = None) -> None:
        """Send it the events of an execution, each once and in order, however slowly it takes them.

        Args:
            after: Those with a higher number; from now on where there is none.
        """

    def unwatch(self, execution_id: str) -> None:
        """Stop sending them, also those that wait to be sent."""

    def allow_batches(self) -> None:
        """From now on several messages may go out as a JSON list in one frame."""


@attrs.frozen
class WebSocketMessage:
    """A message type that clients may send.

    Attributes:
        handler: `await handler(payload, client)`; what it raises as `ApiError` or `Invalid` is answered with an `error` message.
        payload_type: What the payload is made into before the handler gets it.
        scope: What the client must have.
        resource: What a message is about, as for a `Route`: names of fields of `payload_type`.
    """

    type: str
    handler: Callable[[Any, Client], Awaitable[None]] = attrs.field(repr=False)
    payload_type: Any = Any
    scope: str | None = None
    resource: tuple[str, ...] = attrs.field(default=(), converter=_names, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.resource and self.scope is None:
            raise ValueError(f"{self.type}: a resource without a scope restricts nothing")
        self.sources()

    def sources(self) -> tuple[Source, ...]:
        """Where the parts of the resource are.

        Raises:
            ValueError: One of them names nothing that the payload has.
        """
        return _sources(self.type, self.resource, {"payload": self.payload_type})
