"""From a handler's signature to its arguments: what each parameter wants, found once at boot."""

import asyncio
import inspect
import typing
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

import attrs

from tavernkeep.contracts.auth import UserContext
from tavernkeep.contracts.http import RESERVED, ApiError, Request, Route
from tavernkeep.wire import Invalid, Problem, loads, structure, wire_name

T = TypeVar("T")


@attrs.frozen
class RouteBinding:
    """What a route's handler takes.

    Attributes:
        path: The names of path parameters.
        body: The type of the JSON body, or `None`.
        query: The attrs class of the query string, or `None`.
        returns: The annotated type of the answer.
    """

    path: tuple[str, ...]
    body: Any
    query: type | None
    wants_user: bool
    wants_request: bool
    returns: Any

    @classmethod
    def of(cls, route: Route) -> "RouteBinding":
        """Read a handler's signature.

        Raises:
            TypeError: A parameter is neither in the path nor one of those that handlers may have.
        """
        hints = typing.get_type_hints(route.handler)
        names = list(inspect.signature(route.handler).parameters)
        in_path = route.path_parameters()
        stray = [name for name in names if name not in in_path and name not in RESERVED]
        stray += [name for name in in_path if name not in names]
        if stray:
            raise TypeError(f"{route}: parameters of path and handler differ in {', '.join(stray)}")
        return cls(
            path=in_path,
            body=hints.get("body", Any) if "body" in names else None,
            query=hints["query"] if "query" in names else None,
            wants_user="user" in names,
            wants_request="request" in names,
            returns=hints.get("return", Any),
        )

    async def arguments(self, path: Mapping[str, str], request: Request, user: UserContext | None) -> dict[str, Any]:
        """What the handler is to be called with.

        Raises:
            Invalid: The body or the query does not fit; with every problem.
            ApiError: The body is no JSON by its content type.
        """
        arguments: dict[str, Any] = dict(path)
        if self.query is not None:
            arguments["query"] = structure(_typed_query(request.query, self.query), self.query)
        if self.body is not None:
            arguments["body"] = await self._body(request)
        if self.wants_user:
            arguments["user"] = user
        if self.wants_request:
            arguments["request"] = request
        return arguments

    @property
    def needs_body(self) -> bool:
        """Whether the body may not be left out."""
        return self.body is not None and type(None) not in typing.get_args(self.body)

    async def _body(self, request: Request) -> Any:
        if not self.needs_body and not await request.body():
            return None
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != "application/json" and not content_type.endswith("+json"):
            # A form of any page may be posted here without asking first; JSON may not.
            raise ApiError(415, f"The body must be application/json, not {content_type or 'of no type'}.")
        data = await request.body()
        if not data:
            raise Invalid([Problem("", "the body is empty")])
        return structure(loads(data), self.body)


async def handled(answer: Awaitable[T]) -> T:
    """What a handler gives. One that raises what would end the server, or that cancels itself, has failed as any other.

    Raises:
        RuntimeError: It has raised such a thing.
    """
    try:
        return await answer
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and (task := asyncio.current_task()) is not None and task.cancelling():
            raise
        raise RuntimeError(f"the handler raised {type(error).__name__}") from error


def _typed_query(given: Mapping[str, str], class_: type) -> dict[str, Any]:
    hints = typing.get_type_hints(class_)
    fields = {wire_name(field): hints[field.name] for field in attrs.fields(class_)}
    return {key: _typed(text, fields[key]) for key, text in given.items() if key in fields}


def _typed(text: str, type_: Any) -> Any:
    """A query value is always text; where its field is a number or a truth value, it is read as one."""
    options = typing.get_args(type_) or (type_,)
    if str not in options and any(option in (int, float, bool) for option in options):
        try:
            return loads(text)
        except Invalid:
            return text
    return text
