"""One node pack for each way to be wrong, all of them next to one healthy server: each is named in one line, and everybody agrees."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import attrs
import pytest
import pytest_asyncio

from support.plugins import install, on_path
from tavernkeep_devkit.processes import Server, environment, serve, tavernkeep
from tavernkeep_devkit.sockets import output_of, viewer

HEAD = "from tavernkeep import ConfigSection, ModelSet, NodeDefinition, Route, StartError, WebSocketMessage, hookimpl, hookspec, node\n"
CONFIG = """
    import attrs

    @attrs.frozen
    class Section:
        {key}

    @hookimpl
    def register_config():
        return [ConfigSection({path!r}, Section)]
"""
NODE = """
    @node({type!r})
    def made() -> str:
        return ""

    @hookimpl
    def register_nodes():
        return [made]
"""

# Each with its source and what its one line must say.
AT_IMPORT = {
    "import_raises": ("raise RuntimeError('on purpose')", "import raised RuntimeError: on purpose"),
    "import_exits": ("raise SystemExit('on purpose')", "import raised SystemExit: on purpose"),
    "import_start_error": ("raise StartError('on purpose')", "import raised StartError: on purpose"),
    "import_base": ("class Own(BaseException): ...\nraise Own('on purpose')", "import raised Own: on purpose"),
    "import_generator_exit": ("raise GeneratorExit('on purpose')", "GeneratorExit"),
    "import_unreadable": (
        "class Own(Exception):\n    def __str__(self):\n        raise ValueError\nraise Own",
        "import raised Own: (its message cannot be read: ValueError)",
    ),
    "import_unprintable": ("raise ValueError('half \\ud800 \\x1b[31m')", r"import raised ValueError: half \ud800 \x1b[31m"),
    "import_syntax": ("def on purpose(:", "SyntaxError"),
    "import_missing": ("import not_installed_anywhere.deep", "needs 'not_installed_anywhere', which is not installed"),
    "import_missing_own": ("import import_missing_own.nothing", "import raised ModuleNotFoundError"),
    "requires_text": ("requires = 'engine'", "requires must be a tuple of names of plugins, not 'engine'"),
    "doc_raises": ("class E:\n    @property\n    def __doc__(self):\n        1 / 0", "import raised ZeroDivisionError"),
    "requires_missing": ("requires = ('nowhere',)", "needs plugin 'nowhere', which is not installed"),
    "requires_itself": ("requires = ('requires_itself',)", "a circle of requirements"),
    "requires_failed": ("requires = ('import_raises',)", "needs plugin 'import_raises', which is failed"),
}
CONFIGURATION = {
    "config_no_attrs": ("@hookimpl\ndef register_config():\n    return [ConfigSection('mine', dict)]", "must be an attrs class"),
    "config_no_section": ("@hookimpl\ndef register_config():\n    return ['mine']", "gave 'mine', expected ConfigSection"),
    "config_no_default": (CONFIG.format(key="size: int", path="sized"), "'sized.size' has no default"),
    "config_bad_default": (CONFIG.format(key="n: int = attrs.field(default=0, validator=attrs.validators.gt(0))", path="own"), "defaults"),
    "config_bad_path": (CONFIG.format(key="size: int = 3", path="a..b"), "is no path of a configuration section"),
    "config_exits": (CONFIG.format(key="n: int = attrs.field(factory=lambda: exit('on purpose'))", path="leaving"), "raised SystemExit"),
    "config_no_section_of_that_name": (
        CONFIG.format(key="n: int = 3", path="customPluginsPaths"),
        "'customPluginsPaths' is no path of a configuration section",
    ),
    "config_kernels": (
        CONFIG.format(key="disabled: int = 3", path="plugins"),
        "the configuration key 'plugins.disabled', which is the kernel's",
    ),
    "config_taken": (
        CONFIG.format(key="max_body_bytes: int = 3", path="web"),
        "'web.maxBodyBytes', which is plugin 'web' of tavernkeep-web",
    ),
}
HOOKS = {
    "hook_unknown": ("@hookimpl\ndef register_node():\n    return []", "there is no hook 'register_node'; there is 'register_nodes'"),
    "hook_signature": ("@hookimpl\ndef register_nodes(application):\n    return []", "{'application'} are declared in the hookimpl"),
    "hook_old_wrapper": ("@hookimpl(hookwrapper=True)\ndef register_nodes():\n    yield", "write wrapper=True"),
    "hook_no_generator": ("@hookimpl(wrapper=True)\ndef register_nodes():\n    return []", "not a generator function"),
    "hook_awaited_wrapper": ("@hookimpl(wrapper=True)\ndef startup():\n    return (yield)", "cannot be wrapped"),
    "hook_async": ("@hookimpl\nasync def register_nodes():\n    return []", "it is no coroutine function"),
    "hook_twice": (
        "@hookimpl\ndef register_hookspecs():\n    import tavernkeep.hookspecs\n    return [tavernkeep.hookspecs]",
        "there is a hook",
    ),
    "wrapper_raises": ("@hookimpl(wrapper=True)\ndef register_nodes():\n    yield\n    raise RuntimeError('on purpose')", "on purpose"),
    "wrapper_yields_twice": ("@hookimpl(wrapper=True)\ndef register_nodes():\n    yield\n    yield", "a wrapper yields once"),
}
REGISTERING = {
    "nodes_raise": (
        "@hookimpl\ndef register_nodes():\n    raise RuntimeError('on purpose')",
        "register_nodes raised RuntimeError: on purpose",
    ),
    "nodes_no_nodes": ("@hookimpl\ndef register_nodes():\n    return ['x']", "gave 'x', expected Node or NodeDefinition"),
    "nodes_taken": (
        NODE.format(type="core:TextMerge"),
        "the node type 'core:TextMerge', which is plugin 'nodes_utility' of tavernkeep-nodes-utility",
    ),
    "service_kernels": (
        """
        from tavernkeep.contracts.auth import AuthProvider

        @hookimpl
        def register_services(services, owner):
            services.add(AuthProvider, 1, owner=owner)
        """,
        "the service tavernkeep.contracts.auth.AuthProvider, which is the kernel's",
    ),
    "service_taken": (
        """
        from tavernkeep_files.contracts import Files

        @hookimpl(tryfirst=True)
        def register_services(services, owner):
            services.add(Files, 1, owner=owner)
        """,
        "the service tavernkeep_files.contracts.Files, which is plugin 'files' of tavernkeep-files",
    ),
    "provider_nameless": ("@hookimpl\ndef auth_provider():\n    return object()", "the provider has no name"),
    "provider_name_raises": (
        "class Mine:\n    @property\n    def name(self):\n        1 / 0\n@hookimpl\ndef auth_provider():\n    return Mine()",
        "auth_provider raised ZeroDivisionError",
    ),
    "provider_taken": (
        "class Mine:\n    name = 'local'\n@hookimpl(tryfirst=True)\ndef auth_provider():\n    return Mine()",
        "the name 'local' for auth.provider, which is plugin 'auth_local' of tavernkeep-auth-local",
    ),
    "models_taken": (
        "from pathlib import Path\n@hookimpl\ndef register_models():\n    return [ModelSet('accounts', 'json', Path('.'))]",
        "the tables 'accounts', which is plugin 'accounts' of tavernkeep-accounts",
    ),
    "models_nowhere": (
        "from pathlib import Path\n@hookimpl\ndef register_models():\n    return [ModelSet('own', 'no_such_models', Path('.'))]",
        "needs 'no_such_models', which is not installed",
    ),
    "sink_no_function": ("@hookimpl\ndef event_sink():\n    return 3", "event_sink raised TypeError: gave 3"),
    "middleware_raises": (
        "@hookimpl\ndef node_middleware():\n    def wrap(definition, execute):\n        raise RuntimeError('on purpose')\n    return wrap",
        "node_middleware",
    ),
    "middleware_exits": (
        "@hookimpl\ndef node_middleware():\n    return lambda definition, execute: exit('on purpose')",
        "raised SystemExit: on purpose",
    ),
    "middleware_gives_nothing": (
        "@hookimpl\ndef node_middleware():\n    return lambda definition, execute: None",
        "raised TypeError: gave None, expected a function",
    ),
    "command_taken": (
        "import click\n@hookimpl\ndef register_commands():\n    return [click.Command('serve')]",
        "'serve', which is plugin 'web'",
    ),
    "command_kernels": (
        "import click\n@hookimpl\ndef register_commands():\n    return [click.Command('plugins')]",
        "'plugins', which is the kernel's",
    ),
}
SURFACE = {
    "a_route_taken": (
        "async def mine():\n    return 1\n@hookimpl(tryfirst=True)\ndef register_routes():\n"
        "    return [Route('GET', '/api/nodes/', mine, public=True)]",
        "GET /api/nodes, which is plugin 'plugin_admin' of tavernkeep-plugin-admin",
    ),
    "route_taken_by_shape": (
        "async def mine(x):\n    return 1\n@hookimpl\ndef register_routes():\n"
        "    return [Route('GET', '/api/plugins/{x}/settings', mine, public=True)]",
        "which is plugin 'plugin_admin' of tavernkeep-plugin-admin",
    ),
    "route_twice": (
        "async def mine():\n    return 1\n@hookimpl\ndef register_routes():\n    return [Route('GET', '/mine', mine, public=True)] * 2",
        "GET /mine, which is plugin 'route_twice' of route_twice-dist",
    ),
    "route_nowhere": (
        "async def mine(): ...\n@hookimpl\ndef register_routes():\n    return [Route('GET', 'mine', mine, public=True)]",
        "register_routes, for GET mine, raised ValueError",
    ),
    "route_of_no_method": (
        "async def mine(): ...\n@hookimpl\ndef register_routes():\n    return [Route('get', '/odd/method', mine, public=True)]",
        "the method must be one of GET, POST, PUT, DELETE, OPTIONS, not 'get'",
    ),
    "route_of_no_status": (
        "async def mine() -> int: ...\n@hookimpl\ndef register_routes():\n"
        "    return [Route('GET', '/odd/status', mine, public=True, status=9999)]",
        "register_routes, for GET /odd/status, raised ValueError: 9999",
    ),
    "route_undocumented": (
        "async def mine() -> int: ...\n@hookimpl\ndef register_routes():\n"
        "    return [Route('GET', '/odd/errors', mine, public=True, errors=3)]",
        "register_routes, for GET /odd/errors, raised TypeError",
    ),
    "handler_of_nobody": (
        "async def mine(on_purpose): ...\n@hookimpl\ndef register_routes():\n    return [Route('GET', '/x', mine, public=True)]",
        "on_purpose",
    ),
    "surface_no_app": ("@hookimpl(tryfirst=True)\ndef asgi_app():\n    return 3", "asgi_app raised TypeError: gave 3, expected a function"),
    "message_taken": (
        "async def mine(payload, client): ...\n@hookimpl\ndef register_websocket_messages():\n    return [WebSocketMessage('HELLO', mine)]",
        "the message 'HELLO', which is plugin",
    ),
}
# What nobody can know before a server starts.
STARTED = {
    "node_unshowable": (
        "from tavernkeep import Slot\n@hookimpl\ndef register_nodes():\n    return [NodeDefinition(type='X', namespace='unshowable', "
        "inputs={'a': Slot(match_categories=3)}, execute=lambda inputs, context: {})]",
        "the node type 'unshowable:X', as editors are shown it, raised",
    ),
    "startup_raises": (
        NODE.format(type="started:Node") + "\n    @hookimpl\n    async def startup():\n        raise RuntimeError('on purpose')",
        "startup raised RuntimeError: on purpose",
    ),
    "startup_exits": ("@hookimpl\nasync def startup():\n    raise SystemExit('on purpose')", "startup raised SystemExit: on purpose"),
    "startup_cancels": (
        "import asyncio\n@hookimpl\nasync def startup():\n    raise asyncio.CancelledError",
        "startup raised CancelledError",
    ),
}
REGISTERING["nodes_half"] = (
    """
    @node("half:Node")
    def made() -> str:
        return ""

    @hookimpl
    def register_nodes():
        yield made
        raise RuntimeError("on purpose")
    """,
    "register_nodes raised RuntimeError: on purpose",
)
BEFORE_START = AT_IMPORT | CONFIGURATION | HOOKS | REGISTERING | SURFACE
WRONG = BEFORE_START | STARTED
UNAVAILABLE = {"import_missing", "models_nowhere", "requires_missing", "requires_itself", "requires_failed"}


@attrs.frozen
class Place:
    """A server among wrong packs."""

    server: Server
    folder: Path
    packs: Path
    plugins: dict[str, dict[str, Any]]


@pytest_asyncio.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """A healthy server, and every pack that is wrong."""
    folder = tmp_path_factory.mktemp("wrong")
    packs = folder / "packs"
    for name, (source, _) in WRONG.items():
        install(packs, name, HEAD + dedent(source), entry=f"{name}:E" if "class E" in source else None)
    install(packs, "odd_options", "display_name = 3\nfrontend = {'entryUrl': object()}\nconfig_options = [3, {'key': 3}, {'key': 'a'}]")
    async with serve(folder, {}, **on_path(packs)) as server:
        assert (await server.http.get("/api/nodes")).status_code == 200
        plugins = {plugin["name"]: plugin for plugin in (await server.http.get("/api/plugins?all=true")).json()}
        yield Place(server, folder, packs, plugins)


@pytest.mark.parametrize("name", WRONG)
async def test_each_is_named_in_one_line(place: Place, name: str) -> None:
    """It has failed, or is unavailable, and its one line says what is wrong, with both distributions where two want one thing."""
    info = place.plugins[name]
    assert info["status"] == ("unavailable" if name in UNAVAILABLE else "failed")
    assert WRONG[name][1] in info["error"]
    assert "\n" not in info["error"]
    assert not info["provides"]
    assert any(name in line and "plugin is not available" in line for line in place.server.stderr)


async def test_all_others_are_as_they_were(place: Place) -> None:
    """Every standard plugin is active, nothing of the wrong packs is left, and the server works."""
    assert {name for name, info in place.plugins.items() if info["status"] != "active"} == set(WRONG)
    nodes = (await place.server.http.get("/api/nodes")).json()
    assert not [node for node in nodes if node["namespace"] in ("half", "started")]
    assert (await place.server.http.get("/mine")).status_code == 404
    assert (await place.server.http.get("/api/fam/list/user%3A%2F%2F")).status_code == 200
    graph = {"nodes": [{"id": "ok", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["fine"]}}], "edges": []}
    async with viewer(place.server.ws_url) as client:
        assert output_of(await client.run(graph), "ok") == {"merged_text": "fine"}


async def test_what_is_said_of_a_plugin_in_another_form_counts_as_nothing(place: Place) -> None:
    """Name, front end and options that are none leave the list of plugins whole."""
    info = place.plugins["odd_options"]
    assert (info["status"], info["displayName"], info["configOptions"]) == ("active", "Odd options", [{"key": "a"}])
    assert (await place.server.http.get("/api/plugins/odd_options/settings")).json() == {}


async def test_readiness_tells_of_them_and_stays(place: Place) -> None:
    """`/readyz` is ready, with every plugin that does not run and the reason, as `/api/plugins` has it."""
    answer = await place.server.http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "problems": {}, "plugins": {name: place.plugins[name]["error"] for name in WRONG}}


async def test_commands_tell_of_them_and_go_on(place: Place) -> None:
    """`plugins` and `config check` find all that can be known before a start, in the words of `/api/plugins`; others work as ever."""
    listed = await tavernkeep(place.folder, "plugins", "--json", **on_path(place.packs))
    told = {row["name"]: (row["status"], row["error"]) for row in json.loads(listed.stdout) if row["error"]}
    assert told == {name: (place.plugins[name]["status"], place.plugins[name]["error"]) for name in BEFORE_START}
    checked = await tavernkeep(place.folder, "config", "check", **on_path(place.packs))
    assert checked.code == 1
    lines = [line for line in checked.stderr.splitlines() if line.startswith(str(place.folder))]
    for name in BEFORE_START:
        assert [line for line in lines if f"plugin {name!r} of {name}-dist 1.0 is" in line and str(place.plugins[name]["error"]) in line], (
            name
        )
    assert len(lines) == len(BEFORE_START)
    assert (await tavernkeep(place.folder, "version", **on_path(place.packs))).code == 0


async def test_a_mistake_in_a_section_costs_its_plugin_alone(tmp_path: Path) -> None:
    """What a validator raises that is no complaint about the value is told of the plugin; every command goes on."""
    key = "n: int = attrs.field(default=0, validator=lambda section, key, value: value and value.nothing)"
    install(tmp_path / "packs", "config_bug", HEAD + dedent(CONFIG.format(key=key, path="buggy")))
    there = on_path(tmp_path / "packs")
    listed = await tavernkeep(tmp_path, "plugins", "--json", config={"buggy": {"n": 1}}, **there)
    found = {row["name"]: row for row in json.loads(listed.stdout)}
    assert found["config_bug"]["status"] == "failed"
    assert "AttributeError: 'int' object has no attribute 'nothing'" in found["config_bug"]["error"]
    assert {row["status"] for name, row in found.items() if name != "config_bug"} == {"active"}
    assert (await tavernkeep(tmp_path, "config", "show", **there)).code == 0
    healthy = await tavernkeep(tmp_path, "plugins", "--json", config={"buggy": {"n": 0}}, **there)
    assert {row["status"] for row in json.loads(healthy.stdout)} == {"active"}


async def test_two_packs_may_share_a_section(tmp_path: Path) -> None:
    """Each has keys of its own there; one that wants a key of the other's is put out, and only that one."""
    for name, key in (("share_a", "one: int = 1"), ("share_b", "two: int = 2"), ("share_c", "One: int = 3")):
        install(tmp_path / "packs", name, HEAD + dedent(CONFIG.format(key=key, path="shared")))
    there = on_path(tmp_path / "packs")
    shown = await tavernkeep(tmp_path, "config", "show", config={"shared": {"one": 5}}, TAVERNKEEP_SHARED__TWO="7", **there)
    assert json.loads(shown.stdout)["shared"] == {"one": 5, "two": 7}
    listed = await tavernkeep(tmp_path, "plugins", "--json", **there)
    found = {row["name"]: row for row in json.loads(listed.stdout)}
    assert (found["share_a"]["status"], found["share_b"]["status"], found["share_c"]["status"]) == ("active", "active", "failed")
    assert "plugin 'share_a' of share_a-dist" in found["share_c"]["error"]


async def test_what_needs_a_plugin_that_is_off_says_so(tmp_path: Path) -> None:
    """Also by way of another one, and in whatever order they are found: a circle is told only where there is one."""
    for name, wanted in (
        ("a_last", "b_middle"),
        ("b_middle", "c_first"),
        ("c_first", "nowhere"),
        ("d_ring", "e_ring"),
        ("e_ring", "d_ring"),
    ):
        install(tmp_path / "packs", name, f"requires = ({wanted!r},)")
    listed = await tavernkeep(tmp_path, "plugins", "--json", config={}, **on_path(tmp_path / "packs"))
    found = {row["name"]: row["error"] for row in json.loads(listed.stdout) if row["error"]}
    assert found["c_first"] == "needs plugin 'nowhere', which is not installed"
    assert found["b_middle"] == f"needs plugin 'c_first', which is unavailable ({found['c_first']})"
    assert found["a_last"] == f"needs plugin 'b_middle', which is unavailable ({found['b_middle']})"
    assert sum("a circle of requirements" in error for error in found.values()) == 2


async def test_nobody_is_the_kernel_but_the_kernel(tmp_path: Path) -> None:
    """A plugin of that name would have all that is reserved: it is not even imported."""
    packs = install(tmp_path / "packs", "kernel", "raise RuntimeError('imported')")
    listed = await tavernkeep(tmp_path, "plugins", "--json", **on_path(packs))
    (found,) = [row for row in json.loads(listed.stdout) if row["distribution"] == "kernel-dist"]
    assert (found["name"], found["status"]) == ("kernel@kernel-dist", "failed")
    assert found["error"] == "its name is that of the kernel, which was there first"


def test_a_server_knows_of_commands_that_are_taken_whoever_starts_it(tmp_path: Path) -> None:
    """Also where no command does: what `tavernkeep plugins` tells is what became of the plugin."""
    packs = install(tmp_path / "packs", "command_taken", HEAD + REGISTERING["command_taken"][0])
    script = "from tavernkeep.asgi import load; print(load().plugins.get('command_taken').error)"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment(**on_path(packs)), capture_output=True, text=True)
    assert "'serve', which is plugin 'web'" in done.stdout
