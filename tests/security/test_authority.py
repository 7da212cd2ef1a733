"""A key for one project, and one for one workflow: over every route and message, with ids wherever a request can carry one."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import attrs
import httpx2
import pytest
import pytest_asyncio

from support.client import viewer
from support.users import Person, Town, town

GRAPH: Final[dict[str, Any]] = {"nodes": [], "edges": []}
OWN, OTHER = "inn", "cellar"
PROJECT_SCOPES = (f"project:read:{OWN}", f"project:write:{OWN}", f"project:share:{OWN}")
KEYS: Final = {
    "project": PROJECT_SCOPES,
    "workflow": (f"workflow:execute:{OWN}/w1",),
    "workflow alone": ("workflow:execute:w1",),
}
SPELLINGS = ("projectId", "project_id", "ProjectId", "PROJECTID", "projectid", "workflowId", "workflow_id", "resource", "id", "promptId")


@attrs.frozen
class Operation:
    """A route, as the OpenAPI document has it."""

    method: str
    path: str
    scope: str
    resource: tuple[str, ...]
    query: tuple[str, ...]
    body: dict[str, Any] | None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@attrs.frozen
class World:
    """Somebody's two projects with one of everything, and keys that are for one of them or for a workflow in it."""

    place: Town
    owner: Person
    keys: dict[str, str]
    clients: dict[str, httpx2.AsyncClient]
    operations: list[Operation]
    ids: dict[str, dict[str, str]]

    async def contents(self) -> list[str]:
        """All that is in the other project, and all that was ever run."""
        session = self.ids[OTHER]["session_id"]
        paths = [f"/api/projects/{OTHER}/{part}" for part in ("metadata", "workflows", "workflows/w1", "panels", "shares", "panels/p/fs")]
        paths += [f"/api/chat/sessions?projectId={OTHER}", f"/api/chat/{session}/tree?projectId={OTHER}"]
        return [(await self.owner.http.get(path)).text for path in paths] + await executions(self.owner)


async def executions(owner: Person) -> list[str]:
    """The ids of all that they ever ran."""
    shown = (await owner.http.get("/api/executions")).json()
    return sorted(info["promptId"] for infos in shown.values() for info in infos)


async def furnish(owner: Person, project: str) -> dict[str, str]:
    """Fill a project; every text in it tells which it is."""
    http, planted = owner.http, f"PLANTED-{project}"
    bodies: list[tuple[str, Any]] = [
        ("/api/projects", {"name": project, "description": planted}),
        (f"/api/projects/{project}/workflows", {"id": "w1", "name": "w1", "description": planted, **GRAPH}),
        (f"/api/projects/{project}/workflows", {"id": "w2", "name": "w2", "description": planted, **GRAPH}),
        (f"/api/projects/{project}/panels", {"panelId": "p", "displayName": planted}),
        ("/api/chat/sessions", {"projectId": project, "title": planted}),
    ]
    for path, body in bodies:
        made = await http.post(path, json=body)
        assert made.status_code == 201, made.text
    session = made.json()["id"]
    await http.post(f"/api/projects/{project}/panels/p/fs/f.txt", content=planted.encode())
    said = await http.post(
        f"/api/chat/{session}/message", params={"projectId": project}, json={"parentId": None, "role": "user", "content": planted}
    )
    ran = await http.post(f"/api/projects/{project}/workflows/w2/run", json={})
    return {
        "project_id": project,
        "workflow_id": "w1",
        "panel_id": "p",
        "session_id": session,
        "node_id": said.json()["nodeId"],
        "prompt_id": ran.json()["promptId"],
        "path": "f.txt",
        "name": "f.txt",
    }


def operations_of(document: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "x-scope" not in operation or path == "/api/server/restart":
                continue
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            if schema is not None and "$ref" in schema:
                schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            query = tuple(entry["name"] for entry in operation.get("parameters", ()) if entry["in"] == "query")
            yield Operation(method.upper(), path, operation["x-scope"], tuple(operation.get("x-resource", ())), query, schema)


@pytest_asyncio.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A server with the two projects and the keys."""
    config = {"guard": {"requestsPerMinute": 0}, "engine": {"maxQueuedPerUser": 10_000}}
    async with town(tmp_path_factory.mktemp("town"), config) as place:
        owner = await place.person("owner")
        ids = {project: await furnish(owner, project) for project in (OWN, OTHER)}
        keys = {name: await owner.key(*scopes) for name, scopes in KEYS.items()}
        clients = {name: place.with_key(key) for name, key in keys.items()}
        document = (await owner.http.get("/api/openapi.json")).json()
        # what a walk needs is removed last
        operations = sorted(operations_of(document), key=lambda operation: (operation.method == "DELETE", -len(operation.path)))
        yield World(place, owner, keys, clients, operations, ids)
        for client in clients.values():
            await client.aclose()


def path_of(operation: Operation, ids: dict[str, str]) -> str:
    """The path with the ids in it."""
    parts = (part.strip("{}") if part.startswith("{") else "" for part in operation.path.split("/"))
    return "/".join(ids.get(name, "none") if name else part for name, part in zip(parts, operation.path.split("/"), strict=True))


def body_of(operation: Operation, ids: dict[str, str]) -> dict[str, Any] | None:
    """A body with the ids in it, where the route takes some; the rest of it need not fit."""
    if operation.body is None:
        return None
    names = operation.body.get("properties", {})
    fitting = {"name": "made", "nodes": [], "edges": [], "role": "user", "content": "made", "operations": [], "data": {}, "leafNodeId": "x"}
    return {name: value for name, value in fitting.items() if name in names or not names} | (
        {"projectId": ids["project_id"]} if "projectId" in names else {}
    )


def is_open(operation: Operation, scopes: tuple[str, ...], ids: dict[str, str]) -> bool:
    """Whether a key opens a route for these ids; told from the document alone."""
    if not operation.resource:
        return operation.scope in scopes
    wanted = [ids.get({"projectId": "project_id"}.get(name, name), "none") for name in operation.resource]
    return any(f"{operation.scope}:{'/'.join(wanted[n:])}" in scopes for n in range(len(wanted)))


def decoys(operation: Operation, ids: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Requests about the things of `ids` that also name the key's own, wherever the handler does not look."""
    own = {name: "w1" if "orkflow" in name else OWN for name in SPELLINGS}
    query: list[tuple[str, str]] = [("projectId", ids["project_id"])] if "projectId" in operation.query else []
    unread = [(name, value) for name, value in own.items() if name not in operation.query]
    body = body_of(operation, ids)
    sent: dict[str, Any] = {"params": query}
    if body is not None:
        sent["json"] = body
    yield sent
    yield sent | {"params": query + unread}
    yield sent | {"params": unread + query}
    yield sent | {"headers": dict(own.items()) | {"X-Project-Id": OWN, "Referer": f"http://x/?projectId={OWN}"}}
    yield sent | {"headers": {"Cookie": f"projectId={OWN}; workflowId=w1"}}
    if body is None:
        yield sent | {"content": json.dumps(own).encode(), "headers": {"Content-Type": "application/json"}}
    else:
        known = (operation.body or {}).get("properties", {})
        yield sent | {"json": {name: value for name, value in own.items() if name not in known} | body | {"metadata": own}}


@pytest.mark.parametrize("who", KEYS)
async def test_another_ones_things(world: World, who: str) -> None:
    """403 by every route, whatever else of a request names what the key is for; 422 at most where a body says it and does not fit."""
    ids = world.ids[OTHER]
    before = await world.contents()
    for operation in world.operations:
        if is_open(operation, KEYS[who], ids):
            assert (who, operation.resource) == ("workflow alone", ("project_id", "workflow_id")), operation
            continue
        for request in decoys(operation, ids):
            answer = await world.clients[who].request(operation.method, path_of(operation, ids), **request)
            allowed = (403, 422) if "projectId" in (operation.body or {}).get("properties", {}) else (403,)
            assert answer.status_code in allowed, (str(operation), request, answer.status_code, answer.text[:200])
            assert f"PLANTED-{OTHER}" not in answer.text
    assert await world.contents() == before


async def test_a_thing_named_twice(world: World) -> None:
    """In one query, in one body, in query and body: the key opens what the handler then works on, or nothing."""
    client, session = world.clients["project"], world.ids[OTHER]["session_id"]
    before = await world.contents()
    for first, second in ((OTHER, OWN), (OWN, OTHER)):
        for path in (f"/api/chat/{session}/tree", "/api/chat/sessions", f"/api/chat/{session}/assets"):
            answer = await client.get(f"{path}?projectId={first}&projectId={second}")
            assert answer.status_code != 500
            assert f"PLANTED-{OTHER}" not in answer.text
        for content in (
            f'{{"projectId": "{first}", "projectId": "{second}"}}',
            f'{{"projectId": "{first}", "project_id": "{second}"}}',
        ):
            answer = await client.post(
                f"/api/chat/sessions?projectId={second}", content=content, headers={"Content-Type": "application/json"}
            )
            assert answer.status_code in (201, 403), answer.text
            assert answer.status_code == 403 or answer.json()["projectId"] == OWN
    for spelling in (
        "Inn",
        "inn%20",
        "inn.",
        "%2e%2Finn",
        "inn/",
        "inn%2F..%2Fcellar",
        "inn%00",
        "%2e%2e",
        "..",
        "ｉｎｎ",
        f"{OWN}@x",
        "inn%252F..%252Fcellar",
    ):
        for path in (f"/api/projects/{spelling}/metadata", f"/api/chat/sessions?projectId={spelling}"):
            answer = await client.get(path)
            assert answer.status_code in (400, 403, 404), (path, answer.status_code)
    assert await world.contents() == before


async def test_a_graph_of_ones_own(world: World) -> None:
    """A key for one workflow runs that, as it is stored: no other, and no graph that only says that it is the one."""
    ran = await executions(world.owner)
    claims = {"workflowId": "w1", "projectId": OWN, "id": "w1", "metadata": {"workflowId": "w1", "projectId": OWN}, "requestId": "r"}
    for who in ("workflow", "workflow alone"):
        for path in ("/api/prompt", "/api/prompt?workflowId=w1&workflow_id=w1&projectId=inn"):
            for more in ({}, {"dryRun": True}):
                assert (await world.clients[who].post(path, json=GRAPH | claims | more)).status_code == 403
        for path in (f"/api/projects/{OWN}/workflows/w2/run?workflowId=w1", f"/api/projects/{OTHER}/workflows/w2/run"):
            assert (await world.clients[who].post(path, json={"workflowId": "w1", "id": "w1"})).status_code == 403
        async with viewer(world.place.server.ws_url, subprotocols=["bearer", world.keys[who]]) as client:
            await client.send("PROMPT_REQUEST", GRAPH | claims)
            assert "You need the scope workflow:execute" in (await client.error())["payload"]["message"]
    assert await executions(world.owner) == ran


@pytest.mark.parametrize("who", KEYS)
async def test_messages(world: World, who: str) -> None:
    """What runs, shows, follows, answers or stops an execution needs the whole scope, whatever a message claims."""
    running = {"nodes": [{"id": "n", "fullType": "flow:WaitForPerson", "inputs": {"question": "?"}}], "edges": []}
    id_ = (await world.owner.http.post("/api/prompt", json=running | {"metadata": {"projectId": OWN, "workflowId": "w1"}})).json()[
        "promptId"
    ]
    claims = {"promptId": id_, "after": 0, "nodeId": "n", "value": "x", "workflowId": "w1", "projectId": OWN, "buttonName": "b"}
    async with viewer(world.place.server.ws_url, subprotocols=["bearer", world.keys[who]]) as client:
        for type_ in ("PROMPT_REQUEST", "SUBSCRIBE", "INTERRUPT_REQUEST", "NODE_INPUT", "button_click"):
            await client.send(type_, claims)
            assert f"You need the scope workflow:execute for {type_}." in (await client.error())["payload"]["message"]
    assert (await world.owner.http.get(f"/api/prompt/{id_}")).json()["status"] == "running"
    await world.owner.http.delete(f"/api/interrupt/{id_}")


@pytest.mark.parametrize("who", KEYS)
async def test_who_it_is_for(world: World, who: str) -> None:
    """The name of its user at most: neither their other keys nor their credentials."""
    await world.owner.http.post("/api/users/me/credentials", json={"serviceName": "PLANTED", "credential": "sk-PLANTED-0123"})
    current = (await world.clients[who].get("/api/auth/current")).json()["currentUser"]
    assert (current["username"], current["serviceApiKeys"], current["externalCredentials"]) == ("owner", [], [])
    assert len((await world.owner.http.get("/api/auth/current")).json()["currentUser"]["serviceApiKeys"]) == len(KEYS)


async def test_what_it_may_give(world: World) -> None:
    """A key that reads gives none that writes, also where a project is called like an action."""
    reading = await world.owner.key("*:read", "account:self")
    async with world.place.with_key(reading) as client:
        for scope in ("project:write:read", "workflow:execute:read", "project:write:inn", "*", "*:write"):
            assert (await client.post("/api/users/me/service-keys", json={"scopes": [scope]})).status_code == 403, scope
        made = await client.post("/api/users/me/service-keys", json={"scopes": [f"project:read:{OWN}"]})
        assert made.status_code == 201
        await world.owner.http.delete(f"/api/users/me/service-keys/{made.json()['id']}")
    keys = (await world.owner.http.get("/api/users/me/service-keys")).json()["keys"]
    newest = next(key for key in keys if reading.startswith(key["prefix"]))
    await world.owner.http.delete(f"/api/users/me/service-keys/{newest['id']}")


async def test_its_own_things(world: World) -> None:
    """Nothing that the key is for is refused to it; all that is not is. To have a workflow answer in a chat takes a scope for that too."""
    ids = world.ids[OWN]
    for who in ("workflow", "workflow alone", "project"):
        opened = [operation for operation in world.operations if is_open(operation, KEYS[who], ids)]
        if who == "project":
            assert len(opened) > 25
        else:
            assert [str(operation) for operation in opened] == ["POST /api/projects/{project_id}/workflows/{workflow_id}/run"]
        for operation in opened:
            params = {"projectId": OWN} if "projectId" in operation.query else {}
            body = body_of(operation, ids)
            answer = await world.clients[who].request(
                operation.method, path_of(operation, ids), params=params, **({} if body is None else {"json": body})
            )
            refused = (401,) if operation.path.endswith("/generate") else (401, 403)
            assert answer.status_code not in refused, (str(operation), answer.text)
            assert answer.status_code < 500


async def test_whatever_takes_a_project_says_so(world: World) -> None:
    """No route of a project's things leaves out that it is about one: it would be closed to the key for that one."""
    for operation in world.operations:
        takes = "{project_id}" in operation.path or "projectId" in (*operation.query, *(operation.body or {}).get("properties", {}))
        if operation.scope.startswith("project:") and takes:
            assert {"project_id", "projectId"} & set(operation.resource), operation
