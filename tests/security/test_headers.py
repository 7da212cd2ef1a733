"""The headers of all answers, route by route and kind by kind."""

import asyncio
import base64
import json
from typing import Any, Final
from urllib.parse import quote

import attrs
import httpx2
import pytest
import pytest_asyncio

from support.headers import FRONT_END, wrong
from support.server import Server

PICTURE: Final = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
PRIVATE: Final = "private, no-cache"
SANDBOX: Final = "sandbox"
EVIL: Final = "https://evil.example"


@attrs.frozen
class Row:
    """A kind of answer.

    Attributes:
        path: What is asked for, or a name of what the fixture has made.
        caching: Its `Cache-Control`.
        tagged: It has an `ETag`, and is 304 for who has it.
        policy: What its `Content-Security-Policy` begins with; empty where there is none.
        disposition: What its `Content-Disposition` begins with; empty where there is none.
    """

    path: str
    content_type: str
    caching: str
    tagged: bool = False
    policy: str = ""
    disposition: str = ""
    status: int = 200


JSON: Final = "application/json"
TABLE = [
    # pages
    Row("/", "text/html; charset=utf-8", "no-cache", policy="default-src 'none'"),
    Row("/docs", "text/html; charset=utf-8", "no-store", policy="default-src 'none'"),
    Row("/console/console.js", "text/javascript; charset=utf-8", "no-cache", True, "default-src 'none'", "inline"),
    Row("/console/icon.svg", "image/svg+xml", "no-cache", True, "default-src 'none'", "inline"),
    Row("/avatars/default_user.png", "image/png", "no-cache", True, SANDBOX, "inline"),
    # what runs in editors
    Row(
        "/api/nodes/core/RandomNumber/client-script/client-scripts/RandomNumberNode.js",
        "text/javascript; charset=utf-8",
        PRIVATE,
        True,
        disposition="inline",
    ),
    Row("/api/fam/sdk/panel.js", "text/javascript; charset=utf-8", "no-cache", True, disposition="inline"),
    # users' files
    Row("/api/fam/download/user%3A%2F%2Fh%2Fnote.txt", "text/plain; charset=utf-8", PRIVATE, True, SANDBOX, "inline"),
    Row("/api/fam/download/user%3A%2F%2Fh%2Fpage.html", "text/html; charset=utf-8", PRIVATE, True, SANDBOX, "attachment"),
    Row("/api/fam/download/user%3A%2F%2Fh%2Fpicture.png", "image/png", PRIVATE, True, SANDBOX, "inline"),
    Row("/api/fam/read/user%3A%2F%2Fh%2Fnote.txt", "text/plain; charset=utf-8", "no-store"),
    Row("/api/fam/read/user%3A%2F%2Fh%2Fnone", JSON, "no-store"),
    Row("/api/characters/image/ada.png", "image/png", PRIVATE, True, disposition="inline"),
    Row("asset", "image/png", PRIVATE, True, SANDBOX, "inline"),
    # data
    Row("/api/nodes", JSON, "no-store"),
    Row("/api/auth/current", JSON, "no-store"),
    Row("/api/openapi.json", JSON, "no-store"),
    Row("/api/projects", JSON, "no-store"),
    Row("/api/projects/headers/metadata", JSON, PRIVATE, True),
    Row("workflow", JSON, PRIVATE, True),
    Row("events", "text/event-stream", "no-store"),
    Row("/healthz", JSON, "no-store"),
    # errors
    Row("/none", JSON, "no-store", status=404),
    Row("/api/projects/none/metadata", JSON, "no-store", status=404),
    Row("/api/chat/sessions", JSON, "no-store", status=422),
    Row("/api/fam/download/user%3A%2F%2F..", JSON, "no-store", status=400),
]


@pytest_asyncio.fixture(scope="module")
async def made(server: Server) -> dict[str, str]:
    """Something of each kind; gives the addresses that the table does not know."""
    http = server.http
    cards = "user://library/SillyTavern/CharacterCard"
    files = {"h": [("note.txt", b"ale"), ("page.html", b"<p>"), ("picture.png", PICTURE)], cards[7:]: [("ada.png", PICTURE)]}
    for folder, entries in files.items():
        sent = [("files", entry) for entry in entries]
        assert (await http.post(f"/api/fam/upload/{quote('user://' + folder, safe='')}", files=sent)).status_code == 200
    await http.post("/api/users/me/avatar", files={"avatar": ("a.png", PICTURE)})
    await http.post("/api/projects", json={"name": "headers"})
    workflow = (await http.post("/api/projects/headers/workflows", json={"name": "w", "nodes": [], "edges": []})).json()
    chat = (await http.post("/api/chat/sessions", json={"projectId": "headers"})).json()["id"]
    asset = await http.post(f"/api/chat/{chat}/assets?projectId=headers", files={"file": ("picture.png", PICTURE)})
    prompt = await http.post("/api/prompt", json={"nodes": [{"id": "a", "fullType": "core:TextMerge"}], "edges": []})
    return {
        "asset": asset.json()["url"],
        "workflow": f"/api/projects/headers/workflows/{workflow['id']}",
        "events": f"/api/prompt/{prompt.json()['promptId']}/events",
    }


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.path)
@pytest.mark.parametrize("origin", [None, FRONT_END, EVIL])
async def test_each_kind(server: Server, made: dict[str, str], row: Row, origin: str | None) -> None:
    """Its type once, what is private to no cache, what has a tag asked for again by it; whoever asks, and from whichever page."""
    path, asks = made.get(row.path, row.path), {"Origin": origin} if origin else {}
    async with server.http.stream("GET", path, headers=asks) as answer:
        headers = answer.headers
    found = {
        "status": answer.status_code,
        "type": headers["content-type"],
        "caching": headers["cache-control"],
        "tagged": "etag" in headers,
        "policy": headers.get("content-security-policy", "").startswith(row.policy) and bool(headers.get("content-security-policy")),
        "disposition": headers.get("content-disposition", "").partition(";")[0],
    }
    assert found == {
        "status": row.status,
        "type": row.content_type,
        "caching": row.caching,
        "tagged": row.tagged,
        "policy": bool(row.policy),
        "disposition": row.disposition,
    }
    assert wrong(answer, origin) == []
    if row.tagged:
        again = await server.http.get(path, headers=asks | {"If-None-Match": headers["etag"]})
        assert (again.status_code, again.content, again.headers["cache-control"]) == (304, b"", row.caching)
        assert wrong(again, origin) == []


async def test_every_route(server: Server, made: dict[str, str]) -> None:
    """Whatever it answers, and to whichever page."""
    document = (await server.http.get("/api/openapi.json")).json()
    limit = asyncio.Semaphore(16)

    async def one(method: str, path: str, origin: str | None) -> None:
        options: dict[str, Any] = {"json": {}} if method in ("POST", "PUT") else {}
        headers = {"Origin": origin} if origin else {}
        async with limit, server.http.stream(method, path, headers=headers, **options) as answer:
            assert wrong(answer, origin) == [], (method, path, answer.status_code)

    async with asyncio.TaskGroup() as group:
        for path, methods in document["paths"].items():
            place = "/".join("none" if part.startswith("{") else part for part in path.split("/"))
            for method in methods:
                if "restart" not in path:
                    for origin in (None, FRONT_END, EVIL) if method == "get" else (None, FRONT_END):
                        group.create_task(one(method.upper(), place, origin))


async def test_what_no_route_answers(server: Server) -> None:
    """Preflights, methods that there are not, targets that are none."""
    for origin in (None, FRONT_END, EVIL):
        asks = {"Origin": origin, "Access-Control-Request-Method": "PUT"} if origin else {}
        for method, path in (("OPTIONS", "/api/projects"), ("PATCH", "/api/projects"), ("HEAD", "/healthz"), ("GET", "/ws")):
            answer: httpx2.Response = await server.http.request(method, path, headers=asks)
            if not (method == "PATCH" and origin == EVIL):
                assert wrong(answer, origin) == [], (method, path, origin)


async def test_a_tag_is_no_other_contents(server: Server, made: dict[str, str]) -> None:
    """A file that is written anew, in the same length and at once, is sent anew; so is what was stored in a project."""
    url = "/api/fam/download/user%3A%2F%2Fh%2Fanew.json"
    before: dict[str, str] = {}
    for content in range(5):
        await server.http.post("/api/fam/write-json", json={"logicalPath": "user://h/anew.json", "content": content})
        answer = await server.http.get(url, headers=before)
        before = {"If-None-Match": answer.headers["etag"]}
        assert (answer.status_code, json.loads(answer.content)) == (200, content)
    url = made["workflow"]
    stored = await server.http.get(url)
    await server.http.put(url, json=stored.json() | {"description": "anew"})
    again = await server.http.get(url, headers={"If-None-Match": stored.headers["etag"]})
    assert (again.status_code, again.json()["description"]) == (200, "anew")
