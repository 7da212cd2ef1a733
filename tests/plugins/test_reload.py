"""Plugin folders while the server runs: added, changed, broken, removed, switched off and on; executions keep what they began with."""

import asyncio
import json
from pathlib import Path
from textwrap import dedent
from typing import Any

from support.plugins import install, on_path
from tavernkeep_devkit.processes import Server, serve
from tavernkeep_devkit.sockets import output_of, viewer

MANIFEST = """
    name: greeter
    displayName: Greeter
    version: '{version}'
    nodes: {{entry: nodes}}
    frontend: {{type: vanilla, vanilla: {{entry: main.js}}}}
"""
NODES = """
    import asyncio
    from pathlib import Path

    from tavernkeep import NodeContext, node
    from tavernkeep.contracts.nodes import NodeRegistry
    from .words import WORD

    @node("greeter:Wait")
    async def wait(path: str = "") -> str:
        while not Path(path).exists():
            await asyncio.sleep(0.005)
        return WORD

    @node("greeter:Ask")
    async def ask(context: NodeContext, path: str = "") -> str:
        while not Path(path).exists():
            await asyncio.sleep(0.005)
        return context.service(NodeRegistry).get("greeter:Say").execute({{}}, context)["output"]

    @node("greeter:{type}", deterministic=True, client_script_url="scripts/say.js")
    def say(after: str = "") -> str:
        return WORD
"""


def write(folder: Path, word: str, *, version: str = "1.0", type_: str = "Say") -> None:
    """A plugin folder whose nodes say a word, which stands in a module of its own."""
    (folder / "nodes").mkdir(parents=True, exist_ok=True)
    (folder / "plugin.yaml").write_text(dedent(MANIFEST.format(version=version)))
    (folder / "nodes" / "words.py").write_text(f"WORD = {word!r}\n")
    (folder / "nodes" / "__init__.py").write_text(dedent(NODES.format(type=type_)))
    (folder / "main.js").write_text(f"export const word = {word!r}")
    (folder / "nodes" / "scripts").mkdir(exist_ok=True)
    (folder / "nodes" / "scripts" / "say.js").write_text(f"export const said = {word!r}")


def one(type_: str, **inputs: str) -> dict[str, Any]:
    return {"nodes": [{"id": "a", "fullType": type_, "inputs": inputs}], "edges": []}


async def reload(server: Server, what: str = "plugins") -> dict[str, Any]:
    answer = await server.http.post(f"/api/{what}/reload")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return {key: found[key] for key in ("loaded", "changed", "removed", "failed") if found[key]}


async def listed(server: Server, name: str = "greeter") -> dict[str, Any] | None:
    return next((plugin for plugin in (await server.http.get("/api/plugins?all=true")).json() if plugin["name"] == name), None)


async def test_folders_are_looked_at_again(tmp_path: Path) -> None:
    """Loaded, changed, broken with the last good one going on, mended, removed; clients are told, with nodes and front end."""
    folder = tmp_path / "data" / "plugins" / "greeter"
    async with serve(tmp_path, {}) as server, viewer(server.ws_url) as client:
        assert await reload(server) == {}
        write(folder, "one")
        assert await reload(server) == {"loaded": ["greeter"]}
        told = await client.until(lambda message: message["type"] == "NODES_RELOADED")
        assert "loaded: greeter" in told[-1]["payload"]["message"]
        assert output_of(await client.run(one("greeter:Say")), "a") == {"output": "one"}
        assert "one" in (await server.http.get("/plugins/greeter/main.js")).text
        assert "one" in (await server.http.get("/api/nodes/greeter/Say/client-script/scripts/say.js")).text
        assert await reload(server) == {}

        write(folder, "two")  # as long as before, and within the same second
        assert await reload(server, "nodes") == {"changed": ["greeter"]}
        assert output_of(await client.run(one("greeter:Say")), "a") == {"output": "two"}
        assert "two" in (await server.http.get("/plugins/greeter/main.js")).text
        assert "two" in (await server.http.get("/api/nodes/greeter/Say/client-script/scripts/say.js")).text

        (folder / "nodes" / "words.py").write_text("WORD = 1 / 0\n")
        outcome = await reload(server)
        assert "ZeroDivisionError" in outcome["failed"]["greeter"]
        info = await listed(server)
        assert info is not None
        assert (info["status"], "ZeroDivisionError" in info["error"]) == ("active", True)
        assert output_of(await client.run(one("greeter:Say")), "a") == {"output": "two"}
        (folder / "nodes" / "words.py").write_text("WORD = 'two'\n")  # as it was: nothing to load, and nothing to complain of
        assert await reload(server) == {}
        info = await listed(server)
        assert info is not None
        assert info.get("error") is None
        write(folder, "two", type_="Wait")  # two nodes of one type
        assert "greeter:Wait" in (await reload(server))["failed"]["greeter"]
        assert output_of(await client.run(one("greeter:Say")), "a") == {"output": "two"}

        write(folder, "three", version="3.0", type_="Shout")
        assert await reload(server) == {"changed": ["greeter"]}
        assert output_of(await client.run(one("greeter:Shout")), "a") == {"output": "three"}
        info = await listed(server)
        assert info is not None
        assert (info["version"], info["provides"]) == ("3.0", ["greeter:Ask", "greeter:Shout", "greeter:Wait"])
        assert not info.get("error")

        folder.rename(tmp_path / "elsewhere")
        assert await reload(server) == {"removed": ["greeter"]}
        assert await listed(server) is None
        assert (await server.http.get("/plugins/greeter/main.js")).status_code == 404
        assert not [node for node in (await server.http.get("/api/nodes")).json() if node["namespace"] == "greeter"]


async def test_running_executions_keep_the_nodes_that_they_began_with(tmp_path: Path) -> None:
    """A node that starts after the reload, in an execution that began before it, is the one of before; also when it is gone."""
    folder = tmp_path / "data" / "plugins" / "greeter"
    write(folder, "before")
    async with serve(tmp_path, {}) as server, viewer(server.ws_url) as client:
        for change in ("changed", "removed"):
            go = tmp_path / change
            graph = {
                "nodes": [
                    {"id": "wait", "fullType": "greeter:Wait", "inputs": {"path": str(go)}},
                    {"id": "say", "fullType": "greeter:Say"},
                ],
                "edges": [{"id": "e", "sourceNodeId": "wait", "sourceHandle": "output", "targetNodeId": "say", "targetHandle": "after"}],
            }
            said = "before" if change == "changed" else "after"
            await client.send("PROMPT_REQUEST", graph)
            await client.until(lambda message: message["type"] == "NODE_EXECUTING" and message["payload"]["nodeId"] == "wait")
            if change == "changed":
                write(folder, "after")
            else:
                folder.rename(tmp_path / "elsewhere")
            assert await reload(server) == {change: ["greeter"]}
            go.touch()
            messages = await client.until(lambda message: message["payload"].get("status") in ("complete", "error"))
            assert messages[-1]["payload"]["status"] == "complete"
            assert output_of(messages, "say") == {"output": said}


async def test_a_node_that_looks_up_others_finds_those_that_its_execution_began_with(tmp_path: Path) -> None:
    """As an agent does for its tools: whatever was changed or taken out meanwhile."""
    folder = tmp_path / "data" / "plugins" / "greeter"
    write(folder, "before")
    async with serve(tmp_path, {}) as server, viewer(server.ws_url) as client:
        for change in ("changed", "removed"):
            go = tmp_path / change
            said = "before" if change == "changed" else "after"
            await client.send("PROMPT_REQUEST", one("greeter:Ask", path=str(go)))
            await client.until(lambda message: message["type"] == "NODE_EXECUTING")
            if change == "changed":
                write(folder, "after")
            else:
                folder.rename(tmp_path / "elsewhere")
            assert await reload(server) == {change: ["greeter"]}
            go.touch()
            messages = await client.until(lambda message: message["payload"].get("status") in ("complete", "error"))
            assert output_of(messages, "a") == {"output": said}


async def test_a_folder_is_switched_off_and_on_at_once(tmp_path: Path) -> None:
    """With its nodes, in the configuration too; clients are told of the whole plugin; a reload leaves it off."""
    write(tmp_path / "data" / "plugins" / "greeter", "hello")
    async with serve(tmp_path, {}) as server, viewer(server.ws_url) as client:
        answer = (await server.http.put("/api/plugins/greeter/state", json={"enabled": False})).json()
        assert "restart" not in answer["message"]
        told = (await client.until(lambda message: message["type"] == "plugin-disabled"))[-1]["payload"]["plugin"]
        assert (told["name"], told["displayName"], told["isEnabled"], told["status"]) == ("greeter", "Greeter", False, "disabled")
        assert told["frontend"]["entryUrl"] == "/plugins/greeter/main.js"
        assert json.loads((tmp_path / "config.json").read_text()) == {"plugins": {"disabled": ["greeter"]}}
        assert not [node for node in (await server.http.get("/api/nodes")).json() if node["namespace"] == "greeter"]
        assert (await server.http.get("/plugins/greeter/main.js")).status_code == 404
        assert await reload(server) == {}
        await server.http.put("/api/plugins/greeter/state", json={"enabled": True})
        told = (await client.until(lambda message: message["type"] == "plugin-enabled"))[-1]["payload"]["plugin"]
        assert (told["isEnabled"], told["status"]) == (True, "active")
        assert output_of(await client.run(one("greeter:Say")), "a") == {"output": "hello"}


async def test_what_was_installed_since_needs_a_restart(tmp_path: Path) -> None:
    """It is named, whether it has come or gone, and nothing of it is loaded."""
    packs = install(tmp_path / "packs", "there", "")
    async with serve(tmp_path, {}, **on_path(packs)) as server:
        assert (await server.http.post("/api/plugins/reload")).json()["restart"] == []
        install(packs, "newcomer", "")
        (packs / "there_dist-1.0.dist-info" / "entry_points.txt").unlink()
        answer = (await server.http.post("/api/plugins/reload")).json()
        assert answer["restart"] == ["newcomer", "there"]
        assert "restart the server for newcomer, there" in answer["message"]
        assert await listed(server, "newcomer") is None


async def test_two_reloads_at_once_do_no_harm(tmp_path: Path) -> None:
    """One after the other: what was changed is loaded once."""
    folder = tmp_path / "data" / "plugins" / "greeter"
    async with serve(tmp_path, {}) as server:
        write(folder, "one")
        outcomes = await asyncio.gather(*(reload(server) for _ in range(8)))
        assert [outcome for outcome in outcomes if outcome] == [{"loaded": ["greeter"]}]


async def test_what_was_off_at_the_start_is_switched_on_at_once(tmp_path: Path) -> None:
    """What counts is what the configuration file says now, not what it said at the start; for a reload too."""
    folder = tmp_path / "data" / "plugins" / "greeter"
    write(folder, "hello")
    async with serve(tmp_path, {"plugins": {"disabled": ["greeter"]}}) as server, viewer(server.ws_url) as client:
        answer = (await server.http.put("/api/plugins/greeter/state", json={"enabled": True})).json()
        assert answer == {"success": True, "message": "Plugin 'greeter' is enabled."}
        info = await listed(server)
        assert info is not None
        assert (info["isEnabled"], info["status"]) == (True, "active")
        assert output_of(await client.run(one("greeter:Say")), "a") == {"output": "hello"}

        await server.http.put("/api/plugins/greeter/state", json={"enabled": False})
        folder.rename(tmp_path / "elsewhere")
        assert await reload(server) == {"removed": ["greeter"]}
        (tmp_path / "elsewhere").rename(folder)
        assert await reload(server) == {}
        info = await listed(server)
        assert info is not None
        assert (info["isEnabled"], info["status"]) == (False, "disabled")


async def test_a_name_that_is_taken_stays_with_the_first(tmp_path: Path) -> None:
    """Of two folders, and of a folder and a package; a reload says the same as the start, and lets the other in when the first goes."""
    plugins = tmp_path / "data" / "plugins"
    write(plugins / "a", "one")
    write(plugins / "b", "two")
    write(plugins / "c", "three")
    manifest = plugins / "c" / "plugin.yaml"
    manifest.write_text(manifest.read_text().replace("greeter", "engine"))
    async with serve(tmp_path, {}) as server, viewer(server.ws_url) as client:
        for again in (False, True):
            if again:
                assert set(await reload(server)) <= {"failed"}
            for name, first in (("greeter@folder b", "'greeter' of folder a"), ("engine@folder c", "'engine' of tavernkeep-engine")):
                info = await listed(server, name)
                assert info is not None
                assert (info["status"], first in info["error"]) == ("failed", True)
            assert output_of(await client.run(one("greeter:Say")), "a") == {"output": "one"}
        for enabled in (False, True):  # which takes nothing from who has the name
            await server.http.put("/api/plugins/engine@folder%20c/state", json={"enabled": enabled})
            info = await listed(server, "engine")
            assert info is not None
            assert (info["status"], info["distribution"]) == ("active", "tavernkeep-engine")
        assert "'engine' of tavernkeep-engine" in (await listed(server, "engine@folder c") or {})["error"]
        (plugins / "a").rename(tmp_path / "elsewhere")
        assert (await reload(server))["changed"] == ["greeter"]
        assert output_of(await client.run(one("greeter:Say")), "a") == {"output": "two"}
        assert await listed(server, "greeter@folder b") is None


async def test_a_manifest_that_is_broken_meanwhile_leaves_what_was_there(tmp_path: Path) -> None:
    """Also where the folder has another name than the plugin."""
    folder = tmp_path / "data" / "plugins" / "development"
    write(folder, "one")
    async with serve(tmp_path, {}) as server, viewer(server.ws_url) as client:
        (folder / "plugin.yaml").write_text("name: [")
        assert "plugin.yaml" in (await reload(server))["failed"]["greeter"]
        assert output_of(await client.run(one("greeter:Say")), "a") == {"output": "one"}
        assert await listed(server, "development") is None
        write(folder, "two")
        assert await reload(server) == {"changed": ["greeter"]}
