"""Plugins that are folders with a `plugin.yaml`, beside those that are installed."""

import json
from pathlib import Path
from textwrap import dedent

import pytest

from support.client import output_of, statuses, viewer
from support.server import serve

GREETER = {
    "plugin.yaml": """
        name: greeter
        displayName: Greeter 你好
        version: 2.1.0
        description: Says hello.
        nodes: {entry: nodes.py}
        frontend: {type: vanilla, vanilla: {entry: main.js, styles: [look.css]}}
        configOptions:
          - {key: tone, type: string, label: Tone, defaultValue: warm}
    """,
    "nodes.py": """
        from tavernkeep import node

        @node("greeter:Hello")
        def hello(name: str = "you") -> str:
            return f"Hello, {name}."
    """,
    "main.js": "export default {}",
    "look.css": "body {}",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    """A plugin folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(content), encoding="utf-8")
    return folder


@pytest.mark.parametrize("place", ["named", "itself", "data", "environment"])
async def test_a_folder_is_a_plugin_like_any_other(tmp_path: Path, place: str) -> None:
    """Found in a named folder, as a named folder, in the data folder or by the environment; with nodes, front end and settings."""
    parent = tmp_path / ("data/plugins" if place == "data" else "mine")
    folder = write(parent / "greeter", GREETER)
    paths = {"named": [str(parent)], "itself": ["mine/greeter"], "data": [], "environment": []}[place]
    variables = {"TAVERNKEEP_CUSTOM_PLUGINS_PATHS": json.dumps([str(parent)])} if place == "environment" else {}
    async with serve(tmp_path, {"customPluginsPaths": paths}, **variables) as server:
        (info,) = [plugin for plugin in (await server.http.get("/api/plugins")).json() if plugin["name"] == "greeter"]
        assert (info["status"], info["displayName"], info["version"]) == ("active", "Greeter 你好", "2.1.0")
        assert (info["description"], info["provides"]) == ("Says hello.", ["greeter:Hello"])
        assert info["frontend"] == {"entryUrl": "/plugins/greeter/main.js", "styleUrls": ["/plugins/greeter/look.css"]}
        assert (await server.http.get("/plugins/greeter/main.js")).text == "export default {}"
        for source in ("plugin.yaml", "nodes.py", "NODES.PY"):
            assert (await server.http.get(f"/plugins/greeter/{source}")).status_code == 403
        assert (await server.http.get("/api/plugins/greeter/settings")).json() == {"tone": "warm"}
        async with viewer(server.ws_url) as client:
            graph = {"nodes": [{"id": "a", "fullType": "greeter:Hello", "inputs": {"name": "世界"}}], "edges": []}
            messages = await client.run(graph)
        assert statuses(messages)[-1] == "complete"
        assert output_of(messages, "a") == {"output": "Hello, 世界."}
    assert folder.exists()


BROKEN = {
    "not-yaml": ({"plugin.yaml": "name: [unclosed"}, "plugin.yaml"),
    "empty": ({"plugin.yaml": ""}, "plugin.yaml"),
    "no-name": ({"plugin.yaml": "displayName: x\nversion: '1'"}, "name"),
    "wrong-type": ({"plugin.yaml": "name: wrong-type\ndisplayName: x\nversion: '1'\nconfigOptions: 3"}, "configOptions"),
    "leads-out": ({"plugin.yaml": "name: leads-out\ndisplayName: x\nversion: '1'\nnodes: {entry: ../../secret.py}"}, "leads out"),
    "web-out": (
        {"plugin.yaml": "name: web-out\ndisplayName: x\nversion: '1'\nfrontend: {type: vanilla, vanilla: {entry: a.js, rootDir: /}}"},
        "leads out",
    ),
    "no-build": ({"plugin.yaml": "name: no-build\ndisplayName: x\nversion: '1'\nfrontend: {type: vite}"}, "frontend.build"),
    "missing": ({"plugin.yaml": "name: missing\ndisplayName: x\nversion: '1'\nnodes: {entry: gone.py}"}, "gone.py"),
    "raises": ({"plugin.yaml": "name: raises\ndisplayName: x\nversion: '1'\nnodes: {entry: n.py}", "n.py": "1 / 0"}, "division by zero"),
    "engine": ({"plugin.yaml": "name: engine\ndisplayName: x\nversion: '1'"}, ""),
}


async def test_a_broken_folder_harms_nobody(tmp_path: Path) -> None:
    """Each is listed with what is wrong; what is installed keeps its name; the rest runs."""
    for name, (files, _) in BROKEN.items():
        write(tmp_path / "mine" / name, files)
    write(tmp_path / "mine" / "greeter", GREETER)
    (tmp_path / "mine" / "no plugin").mkdir()
    async with serve(tmp_path, {"customPluginsPaths": ["mine", "gone"]}) as server:
        plugins = {plugin["name"]: plugin for plugin in (await server.http.get("/api/plugins?all=true")).json()}
        for name, (_, reason) in BROKEN.items():
            if name == "engine":
                assert (plugins[name]["status"], plugins[name]["distribution"]) == ("active", "tavernkeep-engine")
            else:
                assert (plugins[name]["status"], reason in plugins[name]["error"]) == ("failed", True), plugins[name]
        assert plugins["greeter"]["status"] == "active"
        assert "plugin folder cannot be read" in server.output()
