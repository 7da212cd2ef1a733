"""The HTTP surface: what it tells, what it refuses, and whom it lets in."""

import json
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from support.client import statuses, viewer
from support.server import Server, serve

GOOD = {"nodes": [{"id": "a", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["x"]}}], "edges": []}


async def test_the_default_user_is_there(server: Server) -> None:
    """`GET /api/auth/current` in single-user mode: the default user, an administrator, logged in."""
    current = (await server.http.get("/api/auth/current")).json()
    user = current.pop("currentUser")
    assert current == {"mode": "SingleUser", "multiUserMode": False, "accessPasswordRequired": False, "isAuthenticated": True}
    assert (user["uid"], user["isAdmin"], user["serviceApiKeys"], user["externalCredentials"]) == ("default_user", True, [], [])
    assert user["createdAt"].endswith("Z")


async def test_node_definitions_as_editors_need_them(server: Server) -> None:
    """`GET /api/nodes` has every type with its slots, and no path of the server."""
    answer = await server.http.get("/api/nodes")
    nodes = {f"{node['namespace']}:{node['type']}": node for node in answer.json()}
    assert nodes["core:TextMerge"]["inputs"]["text_inputs"] == {
        "key": "text_inputs",
        "dataFlowType": "STRING",
        "displayName": "Texts",
        "required": True,
        "multi": True,
        "matchCategories": ["UiBlock"],
    }
    assert "/tavernkeep" not in answer.text.replace("\\/", "/")


async def test_plugins_tell_where_they_come_from(server: Server) -> None:
    """`GET /api/plugins` has each plugin with its distribution, its state and what it provides."""
    plugins = {plugin["name"]: plugin for plugin in (await server.http.get("/api/plugins")).json()}
    io = plugins["nodes_io"]
    assert (io["distribution"], io["isEnabled"], io["status"]) == ("tavernkeep-nodes-io", True, "active")
    assert {"core:GroupInput", "core:GroupOutput"} <= set(io["provides"])
    assert io["displayName"]
    assert io["version"]


async def test_the_openapi_document_describes_every_route(server: Server) -> None:
    """`/api/openapi.json` has each route with its parameters, answers, errors and scope; `/docs` shows it without any network."""
    document = (await server.http.get("/api/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    prompt = document["paths"]["/api/prompt"]["post"]
    assert (prompt["x-scope"], "x-resource" in prompt) == ("workflow:execute", False)
    assert document["paths"]["/api/chat/sessions"]["post"]["x-resource"] == ["projectId"]
    assert document["paths"]["/api/projects/{project_id}/workflows/{workflow_id}/run"]["post"]["x-resource"] == [
        "project_id",
        "workflow_id",
    ]
    assert {"200", "401", "403", "413", "415", "422", "503"} <= set(prompt["responses"])
    taken = prompt["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    assert [schema["$ref"].rpartition("/")[2] for schema in taken] == ["WorkflowPayload", "StoredWorkflow"]
    page = await server.http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "/api/prompt" in page.text
    assert "src=" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("method", "path", "content", "headers", "status", "mention"),
    [
        ("GET", "/nowhere", None, {}, 404, "/nowhere"),
        ("GET", "/api/prompt/%00", None, {}, 404, "error"),
        ("PUT", "/api/prompt", None, {}, 405, "PUT"),
        ("POST", "/api/prompt", b"", {"content-type": "application/json"}, 422, "empty"),
        ("POST", "/api/prompt", b"{", {"content-type": "application/json"}, 422, "JSON"),
        ("POST", "/api/prompt", b"\xff\xfe", {"content-type": "application/json"}, 422, "JSON"),
        ("POST", "/api/prompt", b"[" * 100_000, {"content-type": "application/json"}, 422, "nested too deeply"),
        ("POST", "/api/prompt", b"[]", {"content-type": "application/json"}, 422, "expected an object"),
        ("POST", "/api/prompt", b"{}", {"content-type": "text/plain"}, 415, "application/json"),
        ("POST", "/api/prompt", b"a=b", {"content-type": "application/x-www-form-urlencoded"}, 415, "application/json"),
        ("POST", "/api/prompt", b"{}", {}, 415, "application/json"),
        ("POST", "/api/prompt", b"x" * (33 * 1024 * 1024), {"content-type": "application/json"}, 413, "web.maxBodyBytes"),
        ("DELETE", "/api/interrupt/none", None, {}, 404, "success"),
    ],
)
async def test_what_is_wrong_with_a_request_is_said_as_json(
    server: Server, method: str, path: str, content: bytes | None, headers: dict[str, str], status: int, mention: str
) -> None:
    """Each error is JSON with the reason, and never a 500."""
    answer = await server.http.request(method, path, content=content, headers=headers)
    assert answer.status_code == status
    assert mention in json.dumps(answer.json())
    assert (await server.http.get("/healthz")).json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"origin": "http://localhost:5573"}, True),
        ({"origin": "http://127.0.0.1:5573"}, True),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "http://localhost:5574"}, False),
        ({"origin": "http://localhost:5573.evil.example"}, False),
        ({"origin": "null"}, False),
        ({"host": "evil.example"}, False),
        ({"host": "localhost.evil.example"}, False),
        ({"host": "[::1"}, False),
        ({"host": "127.0.0.1:3233"}, True),
        ({"host": "localhost"}, True),
    ],
)
async def test_pages_from_elsewhere_are_kept_out(server: Server, headers: dict[str, str], allowed: bool) -> None:
    """A write and a handshake from an unknown page, or under an unknown name (DNS rebinding), are refused; the front end may."""
    answer = await server.http.post("/api/prompt", json=GOOD, headers=headers)
    assert answer.status_code == (200 if allowed else 403)
    if "host" in headers:
        assert (await server.http.get("/api/nodes", headers=headers)).status_code == (200 if allowed else 403)
        return
    if allowed:
        async with viewer(server.ws_url, additional_headers=headers) as client:
            assert statuses(await client.run(GOOD)) == ["running", "complete"]
    else:
        with pytest.raises(InvalidStatus, match="403"):
            async with viewer(server.ws_url, additional_headers=headers):
                pass


async def test_the_front_end_may_call_from_its_own_origin(server: Server) -> None:
    """CORS: the front end's origin gets the headers that its browser asks for, any other does not."""
    asked = {"access-control-request-method": "PUT", "access-control-request-headers": "content-type,authorization"}
    ours = await server.http.options("/api/prompt", headers={"origin": "http://localhost:5573", **asked})
    assert ours.headers["access-control-allow-origin"] == "http://localhost:5573"
    assert ours.headers["access-control-allow-credentials"] == "true"
    assert {"GET", "POST", "PUT", "DELETE", "OPTIONS"} <= set(ours.headers["access-control-allow-methods"].replace(" ", "").split(","))
    theirs = await server.http.options("/api/prompt", headers={"origin": "https://evil.example", **asked})
    assert "access-control-allow-origin" not in theirs.headers
    read = await server.http.get("/api/nodes", headers={"origin": "http://localhost:5573"})
    assert read.headers["access-control-allow-origin"] == "http://localhost:5573"


async def test_answers_carry_their_guards(server: Server) -> None:
    """Each answer has the security headers and an id that the log has too."""
    answer = await server.http.get("/api/nodes")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    request_id = answer.headers["x-request-id"]
    await server.http.get("/healthz")
    assert any(request_id in line for line in server.stderr)


async def test_a_part_that_cannot_work_makes_it_unready(tmp_path: Any) -> None:
    """`/readyz` is 503 with the reason while a plugin's `health` raises; `/healthz` still answers."""
    from support.plugins import install, on_path

    source = """
        from tavernkeep import hookimpl

        @hookimpl
        async def health(app):
            raise RuntimeError("the database is on holiday")
    """
    async with serve(tmp_path, {}, **on_path(install(tmp_path / "packs", "poorly", source))) as server:
        answer = await server.http.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["details"] == {"poorly": "the database is on holiday"}
        assert (await server.http.get("/healthz")).status_code == 200
