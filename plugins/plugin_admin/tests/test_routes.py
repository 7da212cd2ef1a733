"""`/api/nodes…`, `/api/plugins…`."""

import json
from pathlib import Path

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
            assert (await client.until(lambda m: m["type"] == "plugin-disabled"))[-1]["payload"]["plugin"]["isEnabled"] is False
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
