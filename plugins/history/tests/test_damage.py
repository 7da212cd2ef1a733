"""A damaged record concerns its own execution alone, and what is left of it is shown."""

import json
import sqlite3
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support.server import Server, serve

PAYLOAD = {
    "nodes": [
        {"id": "a", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["One"]}},
        {"id": "b", "fullType": "core:TextMerge"},
    ],
    "edges": [{"sourceNodeId": "a", "sourceHandle": "merged_text", "targetNodeId": "b", "targetHandle": "text_inputs__0"}],
    "metadata": {"workflowName": "the tally"},
}
EVENTS = ("cut short", "other bytes", "no messages", "no events", "inexact")
WORKFLOW = ("workflow", "sealed")
ROW = ("row", "row of an open one")
BROKEN = (*EVENTS, *WORKFLOW, *ROW)


def damage(database: Path, id_: str, how: str) -> None:
    """Write over what is recorded of an execution."""
    connection = sqlite3.connect(database)
    row = connection.execute("SELECT id, lines FROM execution_events WHERE execution_id = ? ORDER BY first_seq", (id_,)).fetchone()
    lines = {
        "cut short": row[1][:-3],
        "other bytes": bytes(byte ^ 0x55 for byte in row[1]),
        "no messages": zlib.compress(b"\xc0"),
        "no events": zlib.compress(b'{"type": "NODE_COMPLETE", "payload": {"seq": 1}}'),
    }.get(how, row[1])
    payload = {"workflow": "plain:" + json.dumps({"nodes": 7}), "sealed": "fernet:" + "A" * 100}.get(how)
    connection.execute("UPDATE execution_events SET lines = ? WHERE id = ?", (lines, row[0]))
    if how == "inexact":
        connection.execute("UPDATE execution_events SET inexact = '[' WHERE id = ?", (row[0],))
    if how in ROW:
        status = "odd" if how == "row" else "running"
        connection.execute("UPDATE executions SET user = '{bad', error_info = 'x', cut = '', status = ? WHERE id = ?", (status, id_))
    if payload is not None:
        connection.execute("UPDATE executions SET payload = ? WHERE id = ?", (payload, id_))
    connection.commit()
    connection.close()


@pytest_asyncio.fixture(scope="module")
async def before(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder that a server has left, and the executions that are complete in it."""
    folder = tmp_path_factory.mktemp("damaged")
    async with serve(folder) as server:
        ids = [(await server.http.post("/api/prompt", json=PAYLOAD)).json()["promptId"] for _ in range(len(BROKEN) + 1)]
        for id_ in ids:
            async with server.http.stream("GET", f"/api/prompt/{id_}/events") as answer:
                [_ async for _ in answer.aiter_lines()]
    return folder, ids


@pytest_asyncio.fixture(scope="module")
async def server(before: tuple[Path, list[str]]) -> AsyncIterator[Server]:
    """A server on that folder, in which all but the last are damaged."""
    folder, ids = before
    for id_, how in zip(ids, BROKEN, strict=False):
        damage(folder / "data" / "tavernkeep.sqlite3", id_, how)
    async with serve(folder) as running:
        yield running


async def got(server: Server, path: str) -> Any:
    """What is served."""
    answer = await server.http.get(path)
    assert answer.status_code == 200, answer.text + server.output()
    return answer.json()


@pytest.mark.parametrize("how", BROKEN)
async def test_what_is_there_is_shown(server: Server, before: tuple[Path, list[str]], how: str) -> None:
    """With the word that it is damaged, and never an error of the server."""
    id_ = before[1][BROKEN.index(how)]
    detail, whole = await got(server, f"/api/prompt/{id_}"), await got(server, f"/api/history/{id_}")
    assert (whole["execution"], whole["damaged"], whole["complete"]) == (detail, True, False)
    (warning,) = detail["warnings"]
    assert warning.startswith("The record is damaged: ")
    assert (detail["status"], detail["workflowName"]) == ("error" if how in ROW else "complete", "the tally")
    if how not in EVENTS:
        assert detail["nodeStatus"]["b"]["output"] == {"merged_text": "One"}
        assert whole["events"][-1]["payload"]["status"] == ("error" if how == "row of an open one" else "complete")


@pytest.mark.parametrize("how", BROKEN)
async def test_what_needs_it_says_so(server: Server, before: tuple[Path, list[str]], how: str) -> None:
    """Its events are no longer remembered, it is not gone on with; where its workflow is there it can be run anew."""
    id_ = before[1][BROKEN.index(how)]
    resumed = await server.http.post(f"/api/prompt/{id_}/resume", json={"from": "b"})
    assert resumed.status_code == (503 if how == "sealed" else 200 if how in ROW else 409)
    assert ("is damaged" in resumed.text) == (how not in ROW and how != "sealed")
    assert (await server.http.post(f"/api/prompt/{id_}/rerun")).status_code == (resumed.status_code if how in WORKFLOW else 200)
    events = await server.http.get(f"/api/prompt/{id_}/events")
    assert (events.status_code, "is damaged" in events.text) == ((410, True) if how in EVENTS else (200, False)), events.text


async def test_the_others_are_as_they_were(server: Server, before: tuple[Path, list[str]]) -> None:
    """In the list, whole, and to be run again; a damaged one can be forgotten."""
    page = await got(server, "/api/history?limit=200")
    assert {entry["promptId"] for entry in page["executions"]} >= set(before[1])
    whole = await got(server, f"/api/history/{before[1][-1]}")
    assert (whole["damaged"], whole["complete"], whole["execution"]["warnings"]) == (False, True, [])
    assert (await server.http.post(f"/api/prompt/{before[1][-1]}/resume", json={"from": "b"})).status_code == 200
    assert (await server.http.delete(f"/api/history/{before[1][0]}")).status_code == 204
