"""`/api/nodes…`, `/api/plugins…`."""

import asyncio
import json
from pathlib import Path

import pytest

from support.client import viewer
from support.plugins import install, on_path
from support.server import Server, serve
from tavernkeep.testing import Tavern
from tavernkeep_plugin_admin.bodies import Outcome, PluginState
from tavernkeep_plugin_admin.configured import ConfiguredPlugins, SwitchError
from tavernkeep_plugin_admin.routes import AdminRoutes

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
    assert answer.headers.get_list("content-type") == ["text/javascript; charset=utf-8"]
    assert "onButtonClick" in answer.text
    for path, statuses in (
        ("client-scripts/none.js", (404,)),
        ("numbers.py", (403,)),
        ("..%2ftavernkeep_nodes_utility%2fx.js", (403, 404)),
        ("..%2f..%2f..%2fx.js", (403, 404)),
        ("a%00.js", (400,)),
    ):
        assert (await server.http.get(f"{script}/{path}")).status_code in statuses, path
    for none in ("core/NoSuch", "core/MathOperation", "core/NodeGroup", "text/Case"):  # by modes, by a workflow, by the decorator
        assert (await server.http.get(f"/api/nodes/{none}/client-script/x.js")).status_code == 404


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


async def test_only_what_somebody_may_want_to_switch_is_listed(tmp_path: Path) -> None:
    """Node packs, what is not of the bundle, what is off; each of them can be switched off. With `all` it is every one."""
    packs = install(tmp_path / "packs", "widgets", PACK)
    async with serve(tmp_path, {"plugins": {"disabled": ["panels"]}}, **on_path(packs)) as server:
        listed = {plugin["name"]: plugin for plugin in (await server.http.get("/api/plugins")).json()}
        assert {"nodes_http", "nodes_utility", "widgets", "panels"} <= set(listed)
        assert not {"engine", "web", "accounts", "storage", "storage_sqlite", "projects", "files", "plugin_admin"} & set(listed)
        every = {plugin["name"]: plugin for plugin in (await server.http.get("/api/plugins?all=true")).json()}
        assert set(listed) < set(every)
        assert {name: every[name] for name in listed} == listed
        for name in listed:
            answer = await server.http.put(f"/api/plugins/{name}/state", json={"enabled": False})
            assert answer.status_code == 200, (name, answer.text)
    async with serve(tmp_path, **on_path(packs)) as server:  # all of them are off at once, and it starts
        off = {plugin["name"]: plugin["status"] for plugin in (await server.http.get("/api/plugins")).json()}
        assert set(off) >= set(listed)
        assert {off[name] for name in listed} == {"disabled"}


async def test_a_configuration_that_would_not_start_is_never_left(tmp_path: Path) -> None:
    """Also where the file says other things by now than when the server started: what the next start needs is what counts."""
    file = tmp_path / "config.json"
    file.write_text("{}")
    configured = ConfiguredPlugins.of(file)
    changed = {"userManagement": {"multiUserMode": True}}
    file.write_text(json.dumps(changed))
    with pytest.raises(SwitchError, match=r"auth\.provider is 'multiuser'"):
        await configured.switch("auth_multiuser", ["auth_multiuser"], enabled=False)
    assert json.loads(file.read_text()) == changed
    await configured.switch("nodes_http", ["nodes_http"], enabled=False)
    assert json.loads(file.read_text()) == changed | {"plugins": {"disabled": ["nodes_http"]}}
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


async def test_what_the_file_cannot_say_is_not_pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the environment says which are off, or `plugins.only` which run, a switch would do nothing."""
    file = tmp_path / "config.json"
    file.write_text('{"plugins": {"only": ["engine"]}}')
    configured = ConfiguredPlugins.of(file)
    with pytest.raises(SwitchError, match=r"plugins\.only .* 'nodes_http' is none of them"):
        await configured.switch("nodes_http", [], enabled=True)
    monkeypatch.setenv("TAVERNKEEP_PLUGINS__DISABLED", "nodes_http")
    for enabled in (True, False):
        with pytest.raises(SwitchError, match="TAVERNKEEP_PLUGINS__DISABLED"):
            await configured.switch("engine", [], enabled=enabled)
    assert file.read_text() == '{"plugins": {"only": ["engine"]}}'


def test_plugins_that_are_switched_at_once_are_all_switched(tmp_path: Path) -> None:
    """One after the other: none writes the file as it was before another."""
    names = ["other", "nodes_http", "nodes_text", "nodes_io"]
    with Tavern.open(tmp_path, {"plugins": {"disabled": names}}) as tavern:
        routes = AdminRoutes(tavern.app, ConfiguredPlugins.of(tavern.app.config.file))

        async def switch() -> list[Outcome]:
            return await asyncio.gather(*(routes.set_state(name, PluginState(enabled=True)) for name in names[-3:]))

        assert all(outcome.success for outcome in tavern.wait(switch()))
    assert json.loads((tmp_path / "config.json").read_text())["plugins"]["disabled"] == names[:-3]


async def test_a_configuration_file_that_is_broken_meanwhile_refuses_a_reload(tmp_path: Path) -> None:
    """It says where plugin folders are: the answer says what is wrong with it, and nothing changes."""
    async with serve(tmp_path, {}) as server:
        (tmp_path / "config.json").write_text("{ broken")
        for what in ("plugins", "nodes"):
            answer = await server.http.post(f"/api/{what}/reload")
            assert (answer.status_code, answer.json()["success"]) == (409, False)
            assert "config.json: not valid JSON" in answer.json()["message"]
        (tmp_path / "config.json").write_text("{}")
        assert (await server.http.post("/api/plugins/reload")).status_code == 200


async def test_what_cannot_be_switched_on_says_so(tmp_path: Path) -> None:
    """A plugin folder that does not load is enabled in the file, and the answer says what became of it."""
    folder = tmp_path / "data" / "plugins" / "broken"
    folder.mkdir(parents=True)
    (folder / "plugin.yaml").write_text("{name: broken, displayName: Broken, version: '1', nodes: {entry: nodes.py}}")
    (folder / "nodes.py").write_text("1 / 0")
    async with serve(tmp_path, {"plugins": {"disabled": ["broken"]}}) as server:
        answer = await server.http.put("/api/plugins/broken/state", json={"enabled": True})
        assert answer.json()["message"].startswith("Plugin 'broken' is enabled, and is failed: import raised ZeroDivisionError")


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
