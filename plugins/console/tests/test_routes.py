"""`/api/status…`, `/api/server/restart`, and the server's page as files."""

import asyncio
from pathlib import Path

import pytest

from support.client import output_of, viewer
from support.server import Server, serve


async def test_a_question_is_answered_beside_the_editor(server: Server) -> None:
    """Whoever watches may answer what was asked before they came; for the editor, which knows of no question, the node runs until then."""
    asking = {"id": "a", "fullType": "flow:WaitForPerson", "configValues": {"choices": "yes\nno"}}
    async with viewer(server.ws_url) as editor, viewer(server.ws_url) as console:
        await editor.send("PROMPT_REQUEST", {"nodes": [asking], "edges": []})
        begun = await editor.until(lambda message: message["type"] == "NODE_WAITING")
        assert [message["type"] for message in begun if message["type"].startswith("NODE")] == ["NODE_EXECUTING", "NODE_WAITING"]
        (running,) = (await server.http.get("/api/executions")).json()["running"]
        await console.send("SUBSCRIBE", {"promptId": running["promptId"], "after": 0})
        asked = (await console.until(lambda message: message["type"] == "NODE_WAITING"))[-1]["payload"]
        assert asked["choices"] == ["yes", "no"]
        await console.send("NODE_INPUT", {"promptId": asked["promptId"], "nodeId": asked["nodeId"], "value": "no"})
        ended = await editor.until(lambda message: message["payload"].get("status") == "complete")
    assert output_of(ended, "a") == {"answer": "no"}


async def test_the_status(server: Server) -> None:
    """What there is to know, without a login where none is asked for."""
    assert (await server.http.get("/api/status/auth-required")).json() == {"authRequired": False}
    found = (await server.http.get("/api/status")).json()
    assert {"version", "uptime", "os", "cpu", "memory", "disks", "network", "timestamp"} <= set(found)
    assert found["memory"]["process"] > 0


async def test_the_status_has_a_login_of_its_own(tmp_path: Path) -> None:
    """Name and password give a token; nothing else does."""
    config = {"security": {"backendPanel": {"enableAuth": True, "username": "keeper", "password": "mellon"}}}
    async with serve(tmp_path, config) as server:
        assert (await server.http.get("/api/status/auth-required")).json() == {"authRequired": True}
        assert (await server.http.get("/api/status")).status_code == 401
        for body in ({"username": "keeper", "password": "x"}, {"username": "x", "password": "mellon"}, {"username": "", "password": ""}):
            assert (await server.http.post("/api/status/login", json=body)).status_code == 401
        answer = (await server.http.post("/api/status/login", json={"username": "keeper", "password": "mellon"})).json()
        assert (answer["success"], answer["username"]) == (True, "keeper")
        headers = {"authorization": f"Bearer {answer['token']}"}
        assert (await server.http.get("/api/status", headers=headers)).status_code == 200
        assert (await server.http.get("/api/status", headers={"authorization": "Bearer x"})).status_code == 401
        assert "mellon" not in server.output()


async def test_the_server_restarts(tmp_path: Path) -> None:
    """It ends cleanly and is there again, in the same process, with what the configuration says now."""
    async with serve(tmp_path, {"server": {"backend": {"port": 0}}}) as server:
        assert (await server.http.post("/api/server/restart")).status_code == 202
        while sum("is ready at" in line for line in server.stderr) < 2:
            await asyncio.sleep(0.01)
        assert server.process.returncode is None


@pytest.mark.parametrize("path", ["/", "/console/console.js", "/console/console.css"])
async def test_the_page_is_all_from_here(server: Server, path: str) -> None:
    """Nothing of it comes from anywhere else, and nothing in line runs."""
    answer = await server.http.get(path)
    assert answer.status_code == 200
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "http://" not in answer.text.replace("http://www.w3.org", "")
    assert "https://" not in answer.text
    assert "innerHTML" not in answer.text
    assert (await server.http.get("/console/none.js")).status_code == 404
    assert (await server.http.get("/console/..%2fplugin.py")).status_code == 404
