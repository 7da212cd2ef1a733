"""`tavernkeep user adopt`: all, or nothing."""

import sqlite3
from contextlib import closing
from pathlib import Path

from support.plugins import install, on_path
from support.server import serve, tavernkeep
from support.users import PASSWORD

BREAKS = """
    from tavernkeep import hookimpl


    @hookimpl(optionalhook=True)
    async def hand_over(source, target):
        raise RuntimeError("made to fail")
"""


async def test_what_cannot_all_be_given_is_not_given_at_all(tmp_path: Path) -> None:
    """When one plugin fails, no row and no file has another owner; without it everything has."""
    async with serve(tmp_path, {}) as server:
        await server.http.post("/api/projects", json={"name": "inn"})
        await server.http.post("/api/llm/models", json={"modelId": "m", "displayName": "M"})
        await server.http.post("/api/llm/channels", json={"label": "c", "baseUrl": "http://x"})
        await server.http.post("/api/users/me/service-keys", json={"name": "n"})
    (tmp_path / "config.json").write_text('{"auth": {"provider": "multiuser"}}')
    assert (await tavernkeep(tmp_path, "user", "create", "anna", stdin=PASSWORD.encode())).code == 0

    def owners() -> dict[str, set[str]]:
        with closing(sqlite3.connect(tmp_path / "data" / "tavernkeep.sqlite3")) as database:
            return {
                table: {uid for (uid,) in database.execute(f"SELECT user_id FROM {table}")}
                for table in ("llm_models", "llm_channels", "service_keys")
            }

    local = tmp_path / "data" / "users" / "default_user" / "projects" / "inn"
    before = owners()
    assert (all(before.values()), local.is_dir()) == (True, True)
    failed = await tavernkeep(tmp_path, "user", "adopt", "anna", **on_path(install(tmp_path / "packs", "zz_breaks", BREAKS)))
    assert (failed.code, "zz_breaks: made to fail" in failed.stderr) == (1, True), failed.stderr
    assert (owners(), local.is_dir()) == (before, True)
    assert (await tavernkeep(tmp_path, "user", "adopt", "anna")).code == 0
    after = owners()
    assert not any(before[table] & after[table] for table in after)
    assert not local.is_dir()
