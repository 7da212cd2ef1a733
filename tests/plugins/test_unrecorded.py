"""What is to be recorded is not accepted where nothing records it, whatever keeps the plugin that does from running."""

from pathlib import Path
from typing import Any

import pytest

from support.plugins import install, on_path
from tavernkeep_devkit.processes import serve

MERGE = {"nodes": [{"id": "n", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["x"]}}], "edges": []}
BROKEN = "raise RuntimeError('on purpose')"
ROBS = """
    from tavernkeep import hookimpl
    import tavernkeep_history.journal

    async def start(self):
        raise ValueError("on purpose")

    tavernkeep_history.journal.Journal.start = start

    @hookimpl
    def register_nodes():
        return []
"""
LATER = """
    from tavernkeep import Route, hookimpl

    @hookimpl
    def register_routes(app):
        async def break_() -> dict:
            app.plugins.fail(app.plugins.get("history"), "a hook", RuntimeError("on purpose"))
            return {}
        return [Route("POST", "/api/break", break_, public=True)]
"""


def broken(folder: Path, when: str) -> Path:
    """What keeps the plugin `history` from running."""
    if when == "import":
        (folder / "tavernkeep_history").mkdir(parents=True)
        (folder / "tavernkeep_history" / "__init__.py").write_text(BROKEN)
        return folder
    return install(folder, "robs", ROBS if when == "start" else LATER)


@pytest.mark.parametrize("when", ["import", "start", "later"])
async def test_nothing_is_accepted_that_would_not_be_recorded(tmp_path: Path, when: str) -> None:
    """The server serves, refuses new work with the reason, and is not ready."""
    async with serve(tmp_path, {}, **on_path(broken(tmp_path / "packs", when))) as server:
        if when == "later":
            assert (await server.http.post("/api/break")).status_code == 200
        answer = await server.http.post("/api/prompt", json=MERGE)
        assert (answer.status_code, "on purpose" in answer.text) == (503, True), answer.text
        ready = await server.http.get("/readyz")
        assert (ready.status_code, "on purpose" in ready.json()["details"]["engine"]) == (503, True)
        assert (await server.http.get("/api/executions")).json() == {"running": [], "pending": [], "recent": []}


@pytest.mark.parametrize("config", [{"plugins": {"disabled": ["history"]}}, {"history": {"durability": "off"}}])
async def test_who_wants_nothing_recorded_has_nothing_recorded(tmp_path: Path, config: dict[str, Any]) -> None:
    """The plugin is switched off, or is to record nothing and is broken besides: new work is taken, and all is well."""
    path = on_path(broken(tmp_path / "packs", "import")) if "history" in config else {}
    async with serve(tmp_path, config, **path) as server:
        assert (await server.http.post("/api/prompt", json=MERGE)).status_code == 200
        assert (await server.http.get("/readyz")).status_code == 200
