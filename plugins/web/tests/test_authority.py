"""Scopes, and what a route or a message says that it is about."""

from typing import Any

import attrs
import pytest

from tavernkeep import ApiError, Route, UserContext
from tavernkeep.contracts.auth import READ_ONLY
from tavernkeep.contracts.http import WebSocketMessage
from tavernkeep_web.authority import Authority


@attrs.frozen
class Place:
    project_id: str | None = None


async def by_path(project_id: str, workflow_id: str) -> None: ...


async def by_query(query: Place) -> None: ...


async def by_body(body: Place, user: UserContext) -> None: ...


async def by_both(project_id: str, body: Place) -> None: ...


async def by_anything(body: dict[str, Any]) -> None: ...


async def on_message(payload: Place, client: Any) -> None: ...


def key(*scopes: str, **more: Any) -> UserContext:
    return UserContext("u", "u", scopes=frozenset(scopes), **more)


def allowed(route: Route, caller: UserContext, **arguments: Any) -> bool:
    authority = Authority(route.scope, sources=route.sources())
    try:
        authority.admit(caller, {})
        authority.check(caller, arguments)
    except ApiError as error:
        assert error.status == 403
        return False
    return True


ONE = "/api/projects/{project_id}/workflows/{workflow_id}"


@pytest.mark.parametrize(
    ("path", "handler", "resource"),
    [
        ("/api/x", by_query, "projectId"),  # the field's name, not the wire's
        ("/api/x", by_query, "workflow_id"),
        ("/api/x", by_query, "query"),
        ("/api/x", by_anything, "project_id"),  # of which nobody knows what it holds
        ("/api/x/{project_id}", by_both, "project_id"),  # which of the two?
        (ONE, by_path, ("project_id", "id")),
    ],
)
def test_a_resource_is_one_thing_that_the_handler_takes(path: str, handler: Any, resource: Any) -> None:
    """Whatever else is refused when it is declared, with the name of the route."""
    with pytest.raises(ValueError, match=r"POST /api/.*: the resource '\w+' must be one thing"):
        Route("POST", path, handler, "project:read", resource=resource)


def test_a_resource_needs_a_scope() -> None:
    """A public route or message that names one would promise what nothing keeps."""
    with pytest.raises(ValueError, match=r"GET /api/x: a public route"):
        Route("GET", "/api/x", by_query, public=True, resource="project_id")
    with pytest.raises(ValueError, match="LOOK: a resource without a scope"):
        WebSocketMessage("LOOK", on_message, Place, resource="project_id")
    with pytest.raises(ValueError, match="LOOK: the resource 'id'"):
        WebSocketMessage("LOOK", on_message, Place, "project:read", resource="id")


@pytest.mark.parametrize(
    ("handler", "arguments"),
    [(by_query, {"query": Place("inn")}), (by_body, {"body": Place("inn")})],
)
def test_a_key_for_one_thing(handler: Any, arguments: dict[str, Any]) -> None:
    """Is enough where the call is about it; not about another, or about nothing."""
    route = Route("POST", "/api/x", handler, "project:read", resource="project_id")
    name = next(iter(arguments))
    assert allowed(route, key("project:read:inn"), **arguments)
    assert allowed(route, key("project:read"), **arguments)
    for other in ("cellar", "", "INN", "inn ", "x/inn", "inn/..", None):
        assert not allowed(route, key("project:read:inn"), **{name: Place(other)})
    for scopes in (("project:write:inn",), ("project:read:",), ("project:read:inn/x",), ("inn",), ("read:inn",), ("project:inn",)):
        assert not allowed(route, key(*scopes), **arguments)
    assert not allowed(Route("POST", "/api/x", handler, "project:read"), key("project:read:inn"), **arguments)


def test_a_thing_in_a_thing() -> None:
    """A key names it with what it is in, or alone; neither is the scope for what it is in."""
    route = Route("POST", ONE, by_path, "workflow:execute", resource=("project_id", "workflow_id"))
    call = {"project_id": "inn", "workflow_id": "w1"}
    assert allowed(route, key("workflow:execute:inn/w1"), **call)
    assert allowed(route, key("workflow:execute:w1"), **call)
    for scope in (
        "workflow:execute:inn",
        "workflow:execute:cellar/w1",
        "workflow:execute:inn/w2",
        "workflow:execute:inn/",
        "workflow:execute:/w1",
    ):
        assert not allowed(route, key(scope), **call)


def test_a_role_bounds_what_a_key_opens() -> None:
    """A key for one thing opens no more than its user may do at all."""
    route = Route("POST", "/api/x", by_body, "project:write", resource="project_id")
    assert not allowed(route, key("project:write:inn", role=READ_ONLY), body=Place("inn"))


@pytest.mark.parametrize(
    ("held", "scope", "may"),
    [
        ("project:read", "project:read:inn", True),
        ("*:read", "project:read", True),
        ("*:read", "project:read:inn", True),
        ("*:read", "*:read", True),
        ("project:read:inn", "project:read:inn", True),
        ("workflow:execute:w1", "workflow:execute:inn/w1", True),
        ("*", "project:write", True),
        ("*", "*", True),
        ("*:read", "*", False),
        ("*:read", "project:write:read", False),  # a project may be called so
        ("*:read", "workflow:execute:x/read", False),
        ("project:read:inn", "project:read", False),
        ("project:read:inn", "project:read:cellar", False),
        ("project:read:inn", "project:write:inn", False),
        ("project:read", "*:read", False),
        ("*", "users:admin", False),
        ("*", "users:admin:inn", False),
    ],
)
def test_what_a_key_may_give(held: str, scope: str, may: bool) -> None:
    """What it has itself, or less; never an action because a thing is called like one."""
    assert key(held).may_give(scope) is may
