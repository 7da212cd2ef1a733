"""What the configuration says of plugins: checked by name, before anything starts."""

from pathlib import Path
from typing import Any

import pytest

from support.plugins import install, on_path
from tavernkeep_devkit.processes import BIN, serve, tavernkeep

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "auth": ({"auth": {"provider": "locale"}}, "auth.provider is 'locale', which no active plugin provides; there are: local, multiuser"),
    "storage": ({"storage": {"provider": "oracle"}}, "storage.provider is 'oracle', which no active plugin provides; there are: sqlite"),
    "execution": ({"execution": {"provider": "x"}}, "execution.provider is 'x', which no active plugin provides; there are: embedded"),
    "disabled": (
        {"plugins": {"disabled": ["nodes_htp"]}},
        "plugins.disabled names 'nodes_htp', which is not installed; there is 'nodes_http'",
    ),
    "only": ({"plugins": {"only": ["webb"]}}, "plugins.only names 'webb', which is not installed; there is 'web'"),
    "required": ({"plugins": {"required": ["nowhere"]}}, "plugins.required names 'nowhere', which is not installed"),
    "needed": ({"plugins": {"disabled": ["secrets"]}}, "auth.provider is 'local', which no active plugin provides"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_check_finds_names_that_nobody_has(tmp_path: Path, case: str) -> None:
    """Names of providers and of plugins, in one line each, with those there are or the nearest; exit code 1, and nothing is written."""
    config, said = WRONG[case]
    ran = await tavernkeep(tmp_path, "config", "check", config=config)
    assert ran.code == 1
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


async def test_a_required_plugin_that_is_not_there_ends_the_start_alone(tmp_path: Path) -> None:
    """`config check` goes on to all else that is wrong, the other commands go on as ever, and a start ends before anything is written."""
    config = {"plugins": {"required": ["nowhere"], "disabled": ["nodes_htp"]}, "unknown": 1}
    ran = await tavernkeep(tmp_path, "config", "check", config=config)
    lines = [line.partition("config.json: ")[2] for line in ran.stderr.splitlines() if line.startswith(str(tmp_path))]
    assert [line.partition(",")[0] for line in lines] == [
        "unknown: unknown key",
        "plugins.disabled names 'nodes_htp'",
        "plugins.required names 'nowhere'",
    ]
    listed = await tavernkeep(tmp_path, "plugins")
    assert (listed.code, "engine " in listed.stdout) == (0, True)
    assert "plugins.required names 'nowhere', which is not installed" in listed.stderr
    started = await tavernkeep(tmp_path, "serve", "--port", "0")
    assert (started.code, "Traceback" in started.stderr) == (1, False)
    assert started.stderr.splitlines()[-1].startswith("tavernkeep: plugins.required names 'nowhere', which is not installed; installed: ")
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


async def test_a_required_plugin_that_fails_later_is_not_ready(tmp_path: Path) -> None:
    """A plugin that the configuration requires and that fails while the server runs makes `/readyz` 503, with its name and reason."""
    source = """
        from tavernkeep import hookimpl

        @hookimpl
        def event_sink():
            def sink(event):
                raise RuntimeError("on purpose")
            return sink
    """
    path = on_path(install(tmp_path / "packs", "late", source))
    async with serve(tmp_path, {"plugins": {"required": ["late"]}}, **path) as server:
        assert (await server.http.get("/readyz")).status_code == 200
        await server.http.post("/api/nodes/reload")  # publishes a notice
        answer = await server.http.get("/readyz")
        assert answer.status_code == 503
        assert "on purpose" in answer.json()["details"]["late"]


@pytest.mark.parametrize("name", ["web", "engine", "storage_sqlite", "auth_local", "accounts", "secrets"])
async def test_what_the_server_needs_cannot_be_switched_off(tmp_path: Path, name: str) -> None:
    """It is told apart in the list, and switching it off is refused with the reason: the configuration stays one that starts."""
    async with serve(tmp_path, {}) as server:
        plugins = {plugin["name"]: plugin for plugin in (await server.http.get("/api/plugins?all=true")).json()}
        assert plugins[name]["needed"]
        assert "needed" not in plugins["nodes_utility"] or plugins["nodes_utility"]["needed"] is None
        answer = await server.http.put(f"/api/plugins/{name}/state", json={"enabled": False})
        assert (answer.status_code, answer.json()["success"]) == (409, False)
        assert plugins[name]["needed"] in answer.json()["message"]
    assert (tmp_path / "config.json").read_text() == "{}"


async def test_any_other_error_at_the_start_ends_it_in_one_line(tmp_path: Path) -> None:
    """Whatever the start raises, under `hypercorn tavernkeep.asgi:app` too: one line and an exit code, and nobody is served 500."""
    source = """
        from tavernkeep import hookimpl

        class Provider:
            name = "mine"
            dialect = "sqlite"

            async def open(self, models):
                raise RuntimeError("on purpose")

            async def close(self): ...

        @hookimpl
        def storage_provider():
            return Provider()
    """
    path = on_path(install(tmp_path / "packs", "mine", source))
    command = (str(BIN / "hypercorn"), "tavernkeep.asgi:app", "--bind", "127.0.0.1:0")
    server = serve(tmp_path, {"storage": {"provider": "mine"}}, command=command, ready=r"Running on (http://\S+)", **path)
    with pytest.raises(RuntimeError, match="the server did not start") as failure:
        await server.__aenter__()
    assert "tavernkeep: the server cannot start: RuntimeError: on purpose" in str(failure.value).splitlines()[-1]


@pytest.mark.parametrize("config", [{"paths": {"data": "a\0b"}}, {"paths": {"data": "~no.such.user/a"}}, {"customPluginsPaths": ["a\0b"]}])
async def test_a_path_that_is_none_is_told_in_one_line(tmp_path: Path, config: dict[str, Any]) -> None:
    """Also where it is read before anything else is."""
    result = await tavernkeep(tmp_path, "config", "check", config=config)
    assert result.code == 1
    assert "is no path" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
