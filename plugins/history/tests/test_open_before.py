"""What earlier servers left open when they were killed: it is migrated, gone on with, and completes.

`data/open_before.json` has for each form in which executions were ever kept what such a server left: its database as SQL (without the
models that aerich notes with each migration), the files beside it, and the events that a client was shown. Three nodes had completed, one
of them a stream, and one was at work.
"""

import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support.client import is_final, viewer
from support.forked import Forge, forge
from support.plugins import install

NODES = '''
    """The nodes of the workflow that was left."""

    from collections.abc import AsyncIterator

    from tavernkeep import hookimpl, node


    def leave(mark: str) -> None:
        with open("marks", "a") as opened:  # in the folder of the server
            opened.write(mark + "\\n")


    @node("before:Mark", output="text")
    async def mark(text: str) -> str:
        """Leave a mark."""
        leave(text)
        return text + "!"


    @node("before:Speak")
    async def speak(text: str) -> AsyncIterator[str]:
        """Stream some words."""
        leave("speak")
        for number in range(5):
            yield f"{text}{number} "


    @node("before:Hold", output="text")
    async def hold(text: str) -> str:
        """Wait no more."""
        leave("hold")
        return text + "?"


    @hookimpl
    def register_nodes():
        return [mark, speak, hold]
'''
LEFT: dict[str, Any] = json.loads((Path(__file__).parents[3] / "tests" / "data" / "open_before.json").read_text(encoding="utf-8"))
TEXT = "a!0 a!1 a!2 a!3 a!4 !?"


def lay_out(data: Path, left: dict[str, Any]) -> None:
    """The data folder as it was left."""
    for name, text in left["files"].items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(text, encoding="utf-8")
    connection = sqlite3.connect(data / "tavernkeep.sqlite3")
    connection.executescript("\n".join(left["sql"]))
    connection.close()


@pytest_asyncio.fixture(scope="module")
async def forged(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Forge]:
    """What servers are forked from."""
    packs = install(tmp_path_factory.mktemp("packs"), "before", NODES)
    async with forge(PYTHONPATH=str(packs)) as running:
        yield running


@pytest.mark.parametrize("form", LEFT)
async def test_it_goes_on_and_is_complete(forged: Forge, tmp_path: Path, form: str) -> None:
    """Nothing that had completed runs again, what a client had seen is as it was, and the rest has the numbers after that."""
    left = LEFT[form]
    (tmp_path / "data").mkdir()
    lay_out(tmp_path / "data", left)
    seen: list[dict[str, Any]] = left["seen"]
    async with forged.serve(tmp_path) as server:
        async with viewer(server.ws_url) as client:
            await client.send("SUBSCRIBE", {"promptId": left["id"], "after": seen[-1]["payload"]["seq"]})
            while not is_final(seen[-1]):
                message = await client.receive()
                if message["payload"].get("promptId") == left["id"]:
                    seen.append(message)
        found = (await server.http.get(f"/api/history/{left['id']}", params={"limit": 1000})).json()
        again = await server.http.post(f"/api/prompt/{left['id']}/rerun")
        assert "Traceback" not in server.output
    assert seen[-1]["payload"]["status"] == "complete"
    assert found["events"] == seen
    assert found["execution"]["outputs"] == {"result": f"{TEXT}!"}
    assert (tmp_path / "marks").read_text().splitlines()[:2] == ["hold", TEXT]
    assert again.status_code == 200
