"""Ids and numbers that nobody has, over HTTP and the WebSocket."""

import subprocess
from pathlib import Path

import httpx2
import pytest

from tavernkeep.testing import BIN, Socket, Tavern

WORKFLOW = {"nodes": [{"id": "a", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["x"]}}], "edges": []}
IMPOSSIBLE = ["%00", "a%00b", "%ED%A0%80", "x" * 3000, "%F0%9F%8D%BA", "a'b"]


@pytest.mark.parametrize("id_", IMPOSSIBLE)
def test_an_id_that_no_execution_can_have_is_unknown(http: httpx2.Client, id_: str) -> None:
    """Whatever the archive's database would make of it."""
    for method, path in (
        ("GET", f"/api/prompt/{id_}"),
        ("GET", f"/api/prompt/{id_}/events"),
        ("DELETE", f"/api/interrupt/{id_}"),
        ("POST", f"/api/prompt/{id_}/nodes/a/input"),
    ):
        answer = http.request(method, path, json={} if method == "POST" else None)
        assert (answer.status_code in (400, 404), len(answer.text) < 500) == (True, True), path


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 19, "-1", "x", "1e3"])
def test_a_number_that_no_event_can_have_is_none(http: httpx2.Client, socket: Socket, number: str) -> None:
    """However many digits it has."""
    id_ = socket.run(WORKFLOW)[0]["payload"]["promptId"]
    answer = http.get(f"/api/prompt/{id_}/events", headers={"Last-Event-ID": number})
    assert answer.status_code == 400
    assert len(answer.text) < 400


def test_who_asks_for_what_is_after_the_last_gets_nothing(tavern: Tavern, socket: Socket) -> None:
    """An ended execution is watched by nobody, however often it is subscribed to, and however high the number is."""
    id_ = socket.run(WORKFLOW)[0]["payload"]["promptId"]
    for after in (None, 0, 2**63, 10**30):
        socket.send("SUBSCRIBE", {"promptId": id_} | ({} if after is None else {"after": after}))
    socket.send("nonsense")
    while (message := socket.receive())["type"] != "error":
        assert message["payload"].get("promptId", id_) == id_
    assert "nonsense" in message["payload"]["message"]
    assert id_ not in tavern.app.events._watchers


def test_nobody_need_read_how_a_run_goes(tmp_path: Path) -> None:
    """`tavernkeep run … 2>&1 | head -1`: the run goes on to its end without its reader."""
    (tmp_path / "w.json").write_text(
        '{"nodes": [{"id": "a", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["x"]}}], "edges": []}'
    )
    process = subprocess.Popen(
        [BIN / "tavernkeep", "run", "w.json"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    process.stderr.close()
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, '{\n  "a": {\n    "merged_text": "x"\n  }\n}\n')
