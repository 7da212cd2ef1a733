"""Plugins from outside: left out, broken, in conflict, and chosen by configuration alone."""

from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from support.client import output_of, statuses, viewer
from support.plugins import install, on_path
from support.server import serve, tavernkeep

GOOD = {"nodes": [{"id": "ok", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["fine"]}}], "edges": []}
INSTALLED = sorted(
    entry_point.name for entry_point in entry_points(group="tavernkeep.plugins") if entry_point.module.startswith("tavernkeep_")
)

# What cannot be left out, with what the one line that ends the start must mention.
NEEDED = {
    "accounts": "auth.provider is 'local', which no active plugin provides",
    "auth_local": "auth.provider is 'local', which no active plugin provides",
    "engine": "execution.provider is 'embedded', which no active plugin provides",
    "secrets": "accounts is unavailable (needs plugin 'secrets', which is disabled",
    "storage_sqlite": "storage.provider is 'sqlite', which no active plugin provides",
    "web": "'serve'",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", INSTALLED)
async def test_without_any_one_plugin_the_rest_starts_or_says_why_not(tmp_path: Path, name: str) -> None:
    """With one plugin disabled the server runs without it, or the start ends with one line that says what is missing and why."""
    config = {"plugins": {"disabled": [name]}}
    if name in NEEDED:
        ran = await tavernkeep(tmp_path, "serve", "--port", "0", config=config)
        assert ran.code != 0
        assert "Traceback" not in ran.stderr
        last = ran.stderr.splitlines()[-1]
        assert NEEDED[name] in last
        assert f"{name} is disabled" in last
        return
    async with serve(tmp_path, config) as server:
        assert (await server.http.get("/readyz")).status_code == 200
        listed = await server.http.get("/api/plugins")
        if name == "plugin_admin":
            assert listed.status_code == 404
        else:
            (info,) = [plugin for plugin in listed.json() if plugin["name"] == name]
            assert (info["isEnabled"], info["status"]) == (False, "disabled")
        async with viewer(server.ws_url) as client:
            wanted = "error" if name == "nodes_utility" else "complete"
            assert statuses(await client.run(GOOD)) == ["running", wanted]


STARTUP = """
    from tavernkeep import hookimpl

    @hookimpl
    async def startup(app):
        raise RuntimeError("broken on purpose")
"""
SHUTDOWN = STARTUP.replace("startup", "shutdown")


async def test_a_plugin_that_breaks_at_the_end_keeps_no_other_from_it(tmp_path: Path) -> None:
    """What a plugin raises when it is told to stop is logged, all else is taken down, and the exit code says that something failed."""
    async with serve(tmp_path, {}, **on_path(install(tmp_path / "packs", "broken", SHUTDOWN))) as server:
        assert await server.stop() == 1
        assert "broken on purpose" in server.output()


async def test_a_required_plugin_that_breaks_stops_the_start(tmp_path: Path) -> None:
    """A plugin that `plugins.required` names ends the start when it fails, in one line."""
    path = on_path(install(tmp_path / "packs", "broken", STARTUP))
    ran = await tavernkeep(tmp_path, "serve", "--port", "0", config={"plugins": {"required": ["broken"]}}, **path)
    assert ran.code == 1
    assert "Traceback" not in ran.stderr
    assert "plugins.required names 'broken', which is failed: startup raised RuntimeError: broken on purpose" in ran.stderr.splitlines()[-1]


async def test_only_finds_the_plugin_that_breaks_something(tmp_path: Path) -> None:
    """`plugins.only`, from the environment too, leaves all others out."""
    listed = await tavernkeep(tmp_path, "plugins", TAVERNKEEP_PLUGINS__ONLY="web,engine")
    active = [line.split()[0] for line in listed.stdout.splitlines() if " active " in line]
    assert active == ["engine", "web"]


NODE = """
    from tavernkeep import hookimpl, node

    @node("same:Type")
    def same() -> str:
        return "{name}"

    @hookimpl
    def register_nodes():
        return [same]
"""


async def test_two_plugins_with_one_node_type_name_both_distributions(tmp_path: Path) -> None:
    """Of two plugins that register the same type, the second fails with an error that names both distributions; the first's node works."""
    folder = install(tmp_path / "packs", "first", NODE.format(name="first"))
    install(folder, "second", NODE.format(name="second"))
    async with serve(tmp_path, {}, **on_path(folder)) as server:
        plugins = {plugin["name"]: plugin for plugin in (await server.http.get("/api/plugins")).json()}
        assert plugins["first"]["provides"] == ["same:Type"]
        assert plugins["second"]["status"] == "failed"
        for distribution in ("first-dist", "second-dist"):
            assert distribution in plugins["second"]["error"]
        async with viewer(server.ws_url) as client:
            messages = await client.run({"nodes": [{"id": "a", "fullType": "same:Type"}], "edges": []})
        assert output_of(messages, "a") == {"output": "first"}


AUTH = """
    from tavernkeep import AuthError, UserContext, hookimpl

    class HeaderAuth:
        name = "header"

        async def authenticate(self, credentials):
            name = credentials.headers.get("x-user")
            if name == "mallory":
                raise AuthError("not you")
            scopes = frozenset({"nodes:read"}) if name == "reader" else frozenset({"*"})
            return UserContext(name, name, scopes=scopes) if name else None

        async def renew(self, user):
            return user

        async def describe(self, user):
            return {"mode": "Header", "currentUser": user and {"uid": user.uid}}

        def check_listening(self, host):
            pass

    @hookimpl
    def auth_provider(app):
        return HeaderAuth()
"""


async def test_a_third_partys_auth_provider_is_chosen_by_the_configuration_alone(tmp_path: Path) -> None:
    """`auth.provider` names it, and every request and socket goes through it: nobody, a wrong credential, a user, a missing scope."""
    path = on_path(install(tmp_path / "packs", "header_auth", AUTH))
    async with serve(tmp_path, {"auth": {"provider": "header"}}, **path) as server:

        async def status(method: str, url: str, user: str | None, **more: Any) -> int:
            headers = {"x-user": user} if user else {}
            return (await server.http.request(method, url, headers=headers, **more)).status_code

        assert await status("GET", "/api/nodes", None) == 401
        assert await status("GET", "/api/nodes", "mallory") == 401
        assert await status("GET", "/api/nodes", "alice") == 200
        assert await status("GET", "/api/nodes", "reader") == 200
        assert await status("POST", "/api/prompt", "reader", json=GOOD) == 403
        assert (await server.http.get("/api/auth/current")).json() == {"mode": "Header", "currentUser": None}
        async with viewer(server.ws_url, additional_headers={"x-user": "alice"}) as client:
            accepted, *messages = await client.run(GOOD)
            assert statuses(messages) == ["running", "complete"]
        prompt = f"/api/prompt/{accepted['payload']['promptId']}"
        assert await status("GET", prompt, "alice") == 200
        assert await status("GET", prompt, "bob") == 404
        with pytest.raises(Exception, match="401"):
            async with viewer(server.ws_url):
                pass
        async with viewer(server.ws_url, additional_headers={"x-user": "reader"}) as client:
            await client.send("PROMPT_REQUEST", GOOD)
            assert "workflow:execute" in (await client.error())["payload"]["message"]


STORAGE = """
    from pathlib import Path

    from tavernkeep import hookimpl
    from tavernkeep_storage_sqlite.config import SqliteConfig
    from tavernkeep_storage_sqlite.provider import SqliteStorage

    class Elsewhere(SqliteStorage):
        name = "elsewhere"

    @hookimpl
    def storage_provider(app):
        return Elsewhere(app.config.data / "elsewhere.db", SqliteConfig())
"""


async def test_a_third_partys_storage_provider_is_chosen_by_the_configuration_alone(tmp_path: Path) -> None:
    """`storage.provider` names it, and everybody's data is kept there and nowhere else."""
    path = on_path(install(tmp_path / "packs", "elsewhere", STORAGE))
    async with serve(tmp_path, {"storage": {"provider": "elsewhere"}}, **path) as server:
        current = (await server.http.get("/api/auth/current")).json()
        assert current["currentUser"]["uid"] == "default_user"
    assert (tmp_path / "data" / "elsewhere.db").stat().st_size > 0
    assert not (tmp_path / "data" / "tavernkeep.sqlite3").exists()


MIDDLEWARE = """
    from tavernkeep import hookimpl

    seen = []

    @hookimpl
    def node_middleware(app):
        def wrap(definition, execute):
            if definition.type != "TextMerge":
                return execute
            def louder(inputs, context):
                return {key: value.upper() for key, value in execute(inputs, context).items()}
            return louder
        return wrap
"""


async def test_middleware_wraps_nodes(tmp_path: Path) -> None:
    """`node_middleware` may wrap the function of any node type, once, at boot."""
    path = on_path(install(tmp_path / "packs", "louder", MIDDLEWARE))
    async with serve(tmp_path, {}, **path) as server, viewer(server.ws_url) as client:
        assert output_of(await client.run(GOOD), "ok") == {"merged_text": "FINE"}
