"""`/api/nodes…`, `/api/plugins…`, `/api/status…`, and the server's page as files."""

import asyncio
import json
from pathlib import Path

import pytest

from support.client import viewer
from support.plugins import install, on_path
from support.server import Server, serve

PACK = """
    from tavernkeep import hookimpl, node

    display_name = "Widget pack"
    frontend = {"entryUrl": "/plugins/widgets/main.js", "styleUrls": []}
    config_options = [
        {"key": "size", "type": "number", "label": "Size", "defaultValue": 3},
        {"key": "name", "type": "string", "label": "Name"},
    ]

    @node("widgets:Knob")
    def knob() -> str:
        return ""

    @hookimpl
    def register_nodes():
        return [knob]
"""


async def test_scripts_of_nodes(server: Server) -> None:
    """Scripts alone, from the node's own package."""
    script = "/api/nodes/core/RandomNumber/client-script"
    answer = await server.http.get(f"{script}/client-scripts/RandomNumberNode.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "onButtonClick" in answer.text
    for path, statuses in (
        ("client-scripts/none.js", (404,)),
        ("numbers.py", (403,)),
        ("..%2ftavernkeep_nodes_utility%2fx.js", (403, 404)),
        ("..%2f..%2f..%2fx.js", (403, 404)),
        ("a%00.js", (400,)),
    ):
        assert (await server.http.get(f"{script}/{path}")).status_code in statuses, path
    assert (await server.http.get("/api/nodes/core/NoSuch/client-script/x.js")).status_code == 404


async def test_reloading_is_told_to_everyone(server: Server) -> None:
    """Every socket learns of it."""
    async with viewer(server.ws_url) as client:
        answer = (await server.http.post("/api/nodes/reload")).json()
        told = (await client.until(lambda m: m["type"] == "NODES_RELOADED"))[-1]["payload"]
        assert (answer["success"], told["success"], told["count"]) == (True, True, answer["count"])
        answer = (await server.http.post("/api/plugins/reload")).json()
        told = (await client.until(lambda m: m["type"] == "plugins-reloaded"))[-1]["payload"]
        assert told["reloadedPluginCount"] == answer["count"]


async def test_a_plugin_is_disabled_and_enabled_in_the_configuration(tmp_path: Path) -> None:
    """It is told to everyone, kept beside what else the file says, and in force after a restart."""
    async with serve(tmp_path, {"plugins": {"disabled": ["other"]}, "unknown": {"kept": 1}}) as server:
        url = "/api/plugins/nodes_http/state"
        async with viewer(server.ws_url) as client:
            answer = await server.http.put(url, json={"enabled": False})
            assert answer.json()["success"] is True
            assert (await client.until(lambda m: m["type"] == "plugin-disabled"))[-1]["payload"] == {"pluginName": "nodes_http"}
            (info,) = [plugin for plugin in (await server.http.get("/api/plugins")).json() if plugin["name"] == "nodes_http"]
            assert (info["isEnabled"], info["status"]) == (False, "active")
            assert json.loads((tmp_path / "config.json").read_text()) == {
                "plugins": {"disabled": ["other", "nodes_http"]},
                "unknown": {"kept": 1},
            }
        missing = await server.http.put("/api/plugins/none/state", json={"enabled": True})
        assert (missing.status_code, missing.json()["success"]) == (404, False)
    async with serve(tmp_path) as server:
        (info,) = [plugin for plugin in (await server.http.get("/api/plugins")).json() if plugin["name"] == "nodes_http"]
        assert (info["isEnabled"], info["status"]) == (False, "disabled")
        async with viewer(server.ws_url) as client:
            await server.http.put("/api/plugins/nodes_http/state", json={"enabled": True})
            await client.until(lambda m: m["type"] == "plugin-enabled")
    assert json.loads((tmp_path / "config.json").read_text())["plugins"]["disabled"] == ["other"]


async def test_settings_and_files_of_a_plugin(tmp_path: Path) -> None:
    """Defaults with the user's over them; files of its web folder and of no other."""
    packs = install(tmp_path / "packs", "widgets", PACK)
    (packs / "web").mkdir()
    (packs / "web" / "main.js").write_text("export {}")
    async with serve(tmp_path, {}, **on_path(packs)) as server:
        (info,) = [plugin for plugin in (await server.http.get("/api/plugins")).json() if plugin["name"] == "widgets"]
        assert (info["displayName"], info["frontend"]["entryUrl"]) == ("Widget pack", "/plugins/widgets/main.js")
        assert [option["key"] for option in info["configOptions"]] == ["size", "name"]
        url = "/api/plugins/widgets/settings"
        assert (await server.http.get(url)).json() == {"size": 3}
        assert (await server.http.post(url, json={"size": 5, "more": [1]})).json()["success"] is True
        assert (await server.http.get(url)).json() == {"size": 5, "more": [1]}
        assert (await server.http.get("/api/plugins/none/settings")).status_code == 404
        assert (await server.http.get("/plugins/widgets/main.js")).text == "export {}"
        for path, statuses in (("none.js", (404,)), ("..%2fwidgets.py", (403,)), ("%2fetc%2fpasswd", (403, 404)), ("a%00", (400,))):
            assert (await server.http.get(f"/plugins/widgets/{path}")).status_code in statuses, path


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
