"""Executions, recorded: pages of them, running them again, and going on after the server was stopped or killed."""

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support.client import FINAL, output_of, viewer
from support.plugins import install, install_odd_nodes, on_path
from support.server import Server, serve

TALLY = '''
    """Nodes that leave a line in a file each time that they run."""

    import asyncio
    import uuid
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tavernkeep import DataFlowType, NodeFailure, Outputs, Routed, Slot, Stream, hookimpl, node


    def note(file: str, line: str) -> None:
        with open(file, "a") as tally:
            tally.write(line + "\\n")


    @node("tally:Mark", output="mark")
    def mark(file: str, name: str, after: str = "") -> str:
        """Note a name, and give something that is never the same again."""
        note(file, name)
        return f"{name} {uuid.uuid4()}"


    @node("tally:Speak")
    async def speak(file: str, after: str = "") -> AsyncIterator[str | Outputs]:
        """Stream words that are never the same again."""
        note(file, "speak")
        for _ in range(3):
            yield f"{uuid.uuid4()} "
        yield Outputs(words=3)


    @node("tally:Hear", output="heard")
    async def hear(stream: Stream) -> str:
        """The text of a stream."""
        return "".join([str(chunk.content) async for chunk in stream if chunk.type == "text_chunk"])


    @node("tally:Way", outputs={"left": Slot(DataFlowType.STRING), "right": Slot(DataFlowType.STRING)})
    def way(file: str, after: str = "") -> dict:
        """Always go left."""
        note(file, "way")
        return Routed({"left": after}, ["right"])


    @node("tally:Bytes", output="raw")
    def raw(file: str) -> bytes:
        """Give what JSON cannot hold."""
        note(file, "bytes")
        return b"raw"


    @node("tally:Gate", output="passed")
    async def gate(open_when: str, after: str = "", fails: bool = False) -> str:
        """Wait for a file, or fail without it."""
        while not Path(open_when).exists():
            if fails:
                raise NodeFailure("the gate is shut")
            await asyncio.sleep(0.02)
        return after


    @hookimpl
    def register_nodes():
        return [mark, speak, hear, way, raw, gate]
'''


@pytest.fixture
def path(tmp_path: Path) -> Mapping[str, str]:
    """The import path with the nodes of these tests."""
    return on_path(install(tmp_path / "packs", "tally", TALLY), install_odd_nodes(tmp_path / "packs"))


def graph(tally: Path, gate: Path, *, fails: bool = False) -> dict[str, Any]:
    """A mark, a stream that is heard, a way that is taken, then a gate, then two more marks of which one is on the other way."""
    where = {"file": str(tally)}
    nodes = [
        {"id": "first", "fullType": "tally:Mark", "inputs": where | {"name": "first"}},
        {"id": "speak", "fullType": "tally:Speak", "inputs": where},
        {"id": "hear", "fullType": "tally:Hear"},
        {"id": "raw", "fullType": "tally:Bytes", "inputs": where},
        {"id": "way", "fullType": "tally:Way", "inputs": where},
        {"id": "gate", "fullType": "tally:Gate", "inputs": {"open_when": str(gate), "fails": fails}},
        {"id": "last", "fullType": "tally:Mark", "inputs": where | {"name": "last"}},
        {"id": "other", "fullType": "tally:Mark", "inputs": where | {"name": "other"}},
    ]
    edges = [
        ("first", "mark", "speak", "after"),
        ("speak", "output", "hear", "stream"),
        ("hear", "heard", "way", "after"),
        ("way", "left", "gate", "after"),
        ("way", "right", "other", "after"),
        ("gate", "passed", "last", "after"),
    ]
    return {
        "nodes": nodes,
        "edges": [{"sourceNodeId": a, "sourceHandle": b, "targetNodeId": c, "targetHandle": d} for a, b, c, d in edges],
        "interfaceOutputs": {"heard": {"key": "heard", "dataFlowType": "STRING"}},
        "outputInterfaceMappings": {"heard": {"sourceNodeId": "hear", "sourceSlotKey": "heard"}},
        "metadata": {"workflowName": "the tally", "projectId": "inn"},
    }


async def submit(server: Server, payload: Mapping[str, Any]) -> str:
    answer = await server.http.post("/api/prompt", json=payload)
    assert answer.status_code == 200, answer.text + server.output()
    return str(answer.json()["promptId"])


async def events_of(server: Server, id_: str) -> list[dict[str, Any]]:
    """All messages of an execution, when it has ended."""
    async with server.http.stream("GET", f"/api/prompt/{id_}/events") as answer:
        return [json.loads(line[6:]) async for line in answer.aiter_lines() if line.startswith("data: ")]


async def until(server: Server, id_: str, node: str, status: str) -> dict[str, Any]:
    """The recorded execution, once a node has a status in it."""
    seq = 0
    async with server.http.stream("GET", f"/api/prompt/{id_}/events") as answer:
        async for line in answer.aiter_lines():
            seq += line.startswith("data: ")
            if line.startswith("data: ") and (message := json.loads(line[6:]))["payload"].get("nodeId") == node:
                if message["type"] == f"NODE_{status}":
                    break
                assert message["type"] in ("NODE_EXECUTING", "NODE_PROGRESS"), message
    recorded: dict[str, Any] = (await server.http.get(f"/api/history/{id_}")).json()  # it is written before it is read
    return recorded


async def running(server: Server, count: int) -> None:
    """Wait until so many executions run."""
    while len((await server.http.get("/api/executions")).json()["running"]) < count:
        pass


async def test_after_kill_9_it_goes_on_and_runs_nothing_twice(tmp_path: Path, path: Mapping[str, str]) -> None:
    """Under the same id, with numbers that go on; what had completed gives what it gave, a stream and a choice of ways included."""
    tally, gate = tmp_path / "tally", tmp_path / "gate"
    config = {"execution": {"max_concurrent_workflows": 1}}
    async with serve(tmp_path, config, **path) as server:
        id_ = await submit(server, graph(tally, gate))
        waiting = [await submit(server, graph(tmp_path / f"tally{n}", gate)) for n in range(3)]
        before = await until(server, id_, "gate", "EXECUTING")
        assert (await server.http.get(f"/api/history/{waiting[-1]}")).json()["execution"]["status"] == "queued"
        await server.stop(signal.SIGKILL)
    assert sorted(tally.read_text().split()) == ["bytes", "first", "speak", "way"]
    async with serve(tmp_path, config, **path) as server:
        again = await until(server, id_, "gate", "EXECUTING")
        assert again["execution"]["status"] == "running"
        gate.touch()
        events = await events_of(server, id_)
        for other in waiting:
            assert (await events_of(server, other))[-1]["payload"]["status"] == "complete"
        after = (await server.http.get(f"/api/prompt/{id_}")).json()
    assert sorted(tally.read_text().split()) == ["bytes", "first", "last", "speak", "way"]
    assert [event["payload"]["seq"] for event in events] == list(range(1, len(events) + 1))
    assert after["status"] == "complete"
    for node in ("first", "speak", "hear"):
        assert after["nodeStatus"][node] == before["execution"]["nodeStatus"][node]
    assert after["outputs"]["heard"] == before["execution"]["nodeStatus"]["hear"]["output"]["heard"]
    assert after["nodeStatus"]["other"]["status"] == "skipped"
    async with serve(tmp_path, config, **path) as server:
        assert (await server.http.get(f"/api/prompt/{id_}")).json() == after
        assert await events_of(server, id_) == events


async def test_what_a_stop_interrupts_is_gone_on_with(tmp_path: Path, path: Mapping[str, str]) -> None:
    """Viewers see it interrupted; the next start runs it to its end. With `history.resume` off it is noted as given up."""
    config: dict[str, Any] = {"engine": {"shutdownGraceS": 0.1}}
    gate = tmp_path / "gate"
    async with serve(tmp_path, config, **path) as server:
        first, second = [await submit(server, graph(tmp_path / name, gate)) for name in ("a", "b")]
        await until(server, second, "gate", "EXECUTING")
        assert await server.stop() == 0
    async with serve(tmp_path, config, **path) as server:
        await running(server, 2)
        assert (await server.http.delete(f"/api/interrupt/{second}")).status_code == 200
        assert await server.stop() == 0
    gate.touch()
    async with serve(tmp_path, config | {"history": {"resume": False}}, **path) as server:
        found = (await server.http.get(f"/api/prompt/{first}")).json()
        assert (found["status"], found["errorInfo"]["message"]) == ("error", "The server was stopped in the middle of it.")
        assert (await server.http.get(f"/api/prompt/{second}")).json()["status"] == "interrupted"
        again = (await server.http.post(f"/api/prompt/{first}/resume")).json()["promptId"]
        assert (await events_of(server, again))[-1]["payload"]["status"] == "complete"
    assert (tmp_path / "a").read_text().split().count("first") == 1


@pytest_asyncio.fixture
async def tavern(tmp_path: Path, path: Mapping[str, str]) -> Any:
    """A server that remembers little itself."""
    async with serve(
        tmp_path, {"engine": {"rememberedExecutions": 1, "rememberedEvents": 3}, "history": {"maxExecutions": 5}}, **path
    ) as running:
        yield running


async def test_resume_and_rerun(tavern: Server, tmp_path: Path) -> None:
    """A resumed one runs what failed and what came after; a rerun runs everything."""
    tally, gate = tmp_path / "tally", tmp_path / "gate"
    failed = await submit(tavern, graph(tally, gate, fails=True))
    assert (await events_of(tavern, failed))[-1]["payload"]["status"] == "error"
    gate.touch()
    resumed = (await tavern.http.post(f"/api/prompt/{failed}/resume")).json()["promptId"]
    events = await events_of(tavern, resumed)
    assert events[-1]["payload"]["status"] == "complete"
    cached = {event["payload"]["nodeId"] for event in events if event["payload"].get("cached")}
    assert cached == {"first", "speak", "hear", "way", "raw"}
    assert sorted(tally.read_text().split()) == ["bytes", "first", "last", "speak", "way"]
    rerun = (await tavern.http.post(f"/api/prompt/{failed}/rerun")).json()["promptId"]
    assert (await events_of(tavern, rerun))[-1]["payload"]["status"] == "complete"
    assert sorted(tally.read_text().split()) == sorted(["bytes", "first", "last", "speak", "way"] * 2)
    assert (await tavern.http.post(f"/api/prompt/{rerun}/resume")).status_code == 409
    for action in ("resume", "rerun"):
        assert (await tavern.http.post(f"/api/prompt/none/{action}")).status_code == 404


async def test_pages_with_filters(tavern: Server, tmp_path: Path) -> None:
    """The latest first, a page after another without gap or double; the oldest beyond the bound are forgotten."""
    ids = []
    for number in range(7):
        payload = graph(tmp_path / "tally", tmp_path / "gate", fails=True) | {"metadata": {"workflowName": f"№ {number} 酒"}}
        ids.append(await submit(tavern, payload))
        await events_of(tavern, ids[-1])
    first = (await tavern.http.get("/api/history", params={"limit": 2})).json()
    second = (await tavern.http.get("/api/history", params={"limit": 2, "cursor": first["next"]})).json()
    third = (await tavern.http.get("/api/history", params={"limit": 2, "cursor": second["next"]})).json()
    pages = [entry["promptId"] for page in (first, second, third) for entry in page["executions"]]
    assert pages == ids[:1:-1]
    assert "next" not in third
    named = (await tavern.http.get("/api/history", params={"name": "5 酒", "status": "error"})).json()["executions"]
    assert [entry["promptId"] for entry in named] == [ids[5]]
    assert (await tavern.http.get("/api/history", params={"status": "complete"})).json()["executions"] == []
    moment = named[0]["submittedAt"]
    later = (await tavern.http.get("/api/history", params={"after": moment})).json()["executions"]
    sooner = (await tavern.http.get("/api/history", params={"before": moment})).json()["executions"]
    assert {entry["promptId"] for entry in later + sooner} == set(pages)
    for wrong in ({"status": "lost"}, {"limit": 0}, {"limit": 201}, {"before": "x"}):
        assert (await tavern.http.get("/api/history", params=wrong)).status_code == 422
    assert (await tavern.http.get("/api/history", params={"cursor": "x"})).status_code == 400


async def test_one_with_its_events_and_forgetting_it(tavern: Server, tmp_path: Path) -> None:
    """The same messages that viewers got; while it runs it cannot be forgotten."""
    gate = tmp_path / "gate"
    id_ = await submit(tavern, graph(tmp_path / "tally", gate))
    await until(tavern, id_, "gate", "EXECUTING")
    assert (await tavern.http.delete(f"/api/history/{id_}")).status_code == 409
    assert (await tavern.http.post(f"/api/prompt/{id_}/resume")).status_code == 409
    gate.touch()
    events = await events_of(tavern, id_)
    whole = (await tavern.http.get(f"/api/history/{id_}")).json()
    assert (whole["events"], whole["moreEvents"], whole["complete"]) == (events, False, True)
    part = (await tavern.http.get(f"/api/history/{id_}", params={"after": 2, "limit": 3})).json()
    assert (part["events"], part["moreEvents"]) == (events[2:5], True)
    assert whole["execution"]["status"] in FINAL
    assert (await tavern.http.delete(f"/api/history/{id_}")).status_code == 204
    for answer in (await tavern.http.get(f"/api/history/{id_}"), await tavern.http.delete(f"/api/history/{id_}")):
        assert answer.status_code == 404


async def test_no_secret_is_in_a_row(tavern: Server) -> None:
    """What is typed into a secret slot is sealed with the payload, and hidden in every event; it can be run again all the same."""
    payload = {"nodes": [{"id": "a", "fullType": "odd:Secret", "inputs": {"key": "PLANTED-in-a-slot"}}], "edges": []}
    id_ = await submit(tavern, payload)
    await events_of(tavern, id_)
    whole = (await tavern.http.get(f"/api/history/{id_}")).text
    assert "the key is ***" in whole
    again = (await tavern.http.post(f"/api/prompt/{id_}/rerun")).json()["promptId"]
    assert (await events_of(tavern, again))[-1]["payload"]["status"] == "complete"
    for file in (tavern.folder / "data").rglob("*"):
        assert not file.is_file() or b"PLANTED" not in file.read_bytes()
    assert "PLANTED" not in whole + tavern.output()


async def test_a_long_stream_leaves_the_least_out(tmp_path: Path, path: Mapping[str, str]) -> None:
    """Past the bound chunks are left out, results never; viewers who want the events back are told that some are lost."""
    async with serve(tmp_path, {"history": {"maxChunks": 1000}, "engine": {"rememberedEvents": 5}}, **path) as server:
        id_ = await submit(server, {"nodes": [{"id": "a", "fullType": "odd:Count", "inputs": {"upto": 20_000}}], "edges": []})
        while (await server.http.get(f"/api/history/{id_}")).json()["execution"]["status"] not in FINAL:
            pass
        whole = (await server.http.get(f"/api/history/{id_}", params={"limit": 10_000})).json()
        assert (whole["execution"]["status"], whole["complete"]) == ("complete", False)
        assert whole["execution"]["nodeStatus"]["a"]["status"] == "complete"
        told = (await server.http.get(f"/api/prompt/{id_}/events")).text.splitlines()
        numbers = [int(line[4:]) for line in told if line.startswith("id: ")]
        assert numbers == list(range(1, len(numbers) + 1))
        assert "event: lost" in told[-3:]
        assert (await server.http.get(f"/api/prompt/{id_}/events", headers={"Last-Event-ID": str(numbers[-1])})).status_code == 410


async def test_a_large_output_is_kept_of_neither(tmp_path: Path, path: Mapping[str, str]) -> None:
    """Viewers get it whole; afterwards a word about it is kept, and a rerun gives it again."""
    config = {"history": {"maxOutputBytes": 5000}, "engine": {"keptOutputBytes": 5000}}
    payload = {"nodes": [{"id": "a", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["x" * 20_000]}}], "edges": []}
    async with serve(tmp_path, config, **path) as server:
        async with viewer(server.ws_url) as client:
            messages = await client.run(payload)
        assert "x" * 20_000 in str(output_of(messages, "a"))
        id_ = messages[0]["payload"]["promptId"]
        while "truncated" not in (detail := await server.http.get(f"/api/prompt/{id_}")).text:
            pass
        assert "xxx" not in detail.text
        whole = (await server.http.get(f"/api/history/{id_}")).text
        assert ("truncated" in whole, "x" * 6000 in whole) == (True, False)
        again = (await server.http.post(f"/api/prompt/{id_}/rerun")).json()["promptId"]
        assert (await events_of(server, again))[-1]["payload"]["status"] == "complete"
