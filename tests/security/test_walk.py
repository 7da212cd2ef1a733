"""Every route and every WebSocket message of every plugin, as everybody who may come along."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import httpx2
import pytest
import pytest_asyncio

from support.client import viewer
from support.headers import wrong
from support.users import MULTIUSER, Town, town
from tavernkeep.app import Application
from tavernkeep.config import ConfigSource
from tavernkeep.contracts.app import Role
from tavernkeep.contracts.http import Route

# Whoever adds to this list says that everybody in the world may do it.
PUBLIC = {
    "GET /",
    "GET /api/auth/current",
    "GET /api/fam/sdk/{name}",
    "GET /api/openapi.json",
    "GET /api/status/auth-required",
    "GET /console/{name}",
    "GET /docs",
    "GET /healthz",
    "GET /plugins/{name}/{path:path}",
    "GET /readyz",
    "GET /ws",
    "GET /{path:path}",
    "POST /api/auth/login",
    "POST /api/auth/logout",
    "POST /api/auth/register",
    "POST /api/auth/reset",
    "POST /api/auth/sessions",
    "POST /api/status/login",
}
PUBLIC_MESSAGES = {"HELLO", "UNSUBSCRIBE"}


@attrs.frozen
class Surface:
    """What there is to walk over."""

    routes: list[Route]
    messages: dict[str, str | None]


async def surface(folder: Path) -> Surface:
    """The declared routes, and the scopes of messages."""
    (folder / "config.json").write_text(json.dumps(MULTIUSER))
    app = Application.load(ConfigSource.read(folder / "config.json", {}))
    await app.start(Role.ALL)
    try:
        return Surface([route for _, route in app.routes], {type_: message.scope for type_, message in app.messages.items()})
    finally:
        await app.stop()


@attrs.frozen
class World:
    """A server, its surface, and everybody."""

    place: Town
    surface: Surface
    clients: dict[str, httpx2.AsyncClient]
    keys: dict[str, str]


@pytest_asyncio.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Nobody, users, a viewer, an administrator, a disabled one; keys without a scope, expired, revoked."""
    declared = await surface(tmp_path_factory.mktemp("surface"))
    async with town(tmp_path_factory.mktemp("town")) as place:
        user, watcher, gone = await place.person("user"), await place.person("watcher", "viewer"), await place.person("gone")
        brief = [key for seconds in (2, 8, 32) if (key := await user.brief_key(seconds, "*"))]
        keys = {
            "no scope": await user.key("project:share:nowhere"),
            "expired": brief[0],
            "disabled key": await gone.key(),
            "viewer key": await watcher.key("*"),
        }
        revoked = (await user.http.post("/api/users/me/service-keys", json={})).json()
        await user.http.delete(f"/api/users/me/service-keys/{revoked['id']}")
        keys["revoked"] = revoked["secret"]
        await place.admin.http.put(f"/api/admin/users/{gone.uid}", json={"disabled": True})
        while (await place.server.http.get("/api/projects", headers={"Authorization": f"Bearer {keys['expired']}"})).status_code != 401:
            await asyncio.sleep(0.1)
        clients = {"nobody": place.client(), "user": user.http, "viewer": watcher.http, "disabled": gone.http, "admin": place.admin.http}
        clients |= {name: place.with_key(key) for name, key in keys.items()}
        yield World(place, declared, clients, keys)
        for client in clients.values():
            await client.aclose()


def path_of(route: Route) -> str:
    """The route's path, with ids that nothing has."""
    return "/".join("none" if part.startswith("{") else part for part in route.path.split("/"))


def is_kept_for_last(route: Route) -> bool:
    """Whether it ends what the walk needs."""
    return route.path in ("/api/server/restart", "/api/auth/logout") or (route.method, route.path) == ("DELETE", "/api/auth/sessions")


async def status(client: httpx2.AsyncClient, route: Route) -> int:
    body: dict[str, Any] = {} if route.method in ("GET", "DELETE") else {"json": {}}
    async with client.stream(route.method, path_of(route), **body) as answer:  # some answers do not end
        assert wrong(answer) == [], (route.method, route.path, answer.status_code)
        return answer.status_code


def test_what_is_public(world: World) -> None:
    """A route without a scope is in the list above, or the build fails."""
    assert {f"{route.method} {route.path}" for route in world.surface.routes if route.public} == PUBLIC
    assert {type_ for type_, scope in world.surface.messages.items() if scope is None} == PUBLIC_MESSAGES


@pytest.mark.parametrize("who", ["nobody", "disabled", "expired", "disabled key", "revoked"])
async def test_who_is_not_let_in(world: World, who: str) -> None:
    """Gets 401 from every route that is not public, before anything else is looked at; a bad key gets it from those as well."""
    client, has_key = world.clients[who], who in world.keys
    for route in world.surface.routes:
        if is_kept_for_last(route):
            continue
        found = await status(client, route)
        if not route.public or (has_key and not route.own_login):
            assert found == 401, (route.method, route.path)
        else:
            assert found != 401 or route.path.startswith("/api/status") or "login" in route.path, (route.method, route.path)


async def test_a_key_without_the_scope(world: World) -> None:
    """Gets 403 from everything that needs one."""
    for route in world.surface.routes:
        if not route.public:
            assert await status(world.clients["no scope"], route) == 403, (route.method, route.path)


@pytest.mark.parametrize("who", ["viewer", "viewer key"])
async def test_a_viewer(world: World, who: str) -> None:
    """Reads, and manages their own account; everything else is 403."""
    for route in world.surface.routes:
        if route.scope is None or is_kept_for_last(route):
            continue
        found = await status(world.clients[who], route)
        allowed = route.scope == "account:self" or (route.scope.endswith(":read") and not route.scope.endswith(":admin"))
        assert (found == 403) is not allowed or (allowed and route.scope == "account:self"), (route.method, route.path, found)
        assert found < 500


async def test_a_user(world: World) -> None:
    """May all that is not for administrators."""
    for route in world.surface.routes:
        if route.scope is None or is_kept_for_last(route):
            continue
        found = await status(world.clients["user"], route)
        if route.scope.endswith(":admin"):
            assert found == 403, (route.method, route.path)
        else:
            assert found not in (401, 403), (route.method, route.path, found)
        assert found < 500


async def test_an_administrator(world: World) -> None:
    """May everything."""
    for route in world.surface.routes:
        if route.scope is not None and not is_kept_for_last(route):
            found = await status(world.clients["admin"], route)
            assert found not in (401, 403), (route.method, route.path, found)
            assert found < 500


@pytest.mark.parametrize("who", ["no scope", "viewer key"])
async def test_messages_without_the_scope(world: World, who: str) -> None:
    """Each gets an error that names the scope; the socket stays."""
    async with viewer(world.place.server.ws_url, subprotocols=["bearer", world.keys[who]]) as client:
        for type_, scope in world.surface.messages.items():
            if scope is not None:
                await client.send(type_, {})
                assert f"You need the scope {scope}" in (await client.error())["payload"]["message"]
