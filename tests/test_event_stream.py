"""An execution followed over HTTP, as Server-Sent Events."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import pytest_asyncio

from support.client import viewer
from support.plugins import install_odd_nodes, on_path
from support.server import PATIENCE_S, Server, serve

STREAM = {"nodes": [{"id": "a", "fullType": "odd:Count", "inputs": {"upto": 10}}], "edges": []}
LONG = {"nodes": [{"id": "a", "fullType": "odd:Count", "inputs": {"upto": 2000}}], "edges": []}
FOREVER = {"nodes": [{"id": "a", "fullType": "odd:ForeverAsync"}], "edges": []}


@pytest_asyncio.fixture(scope="module")
async def odd(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server with nodes that take their time, and a short memory."""
    path = on_path(install_odd_nodes(tmp_path_factory.mktemp("packs")))
    async with serve(
        tmp_path_factory.mktemp("odd"), {"engine": {"rememberedEvents": 200}, "plugins": {"disabled": ["history"]}}, **path
    ) as running:
        yield running


async def read(answer: httpx2.Response) -> AsyncIterator[tuple[int, dict[str, Any]]]:
    """The events of a stream, each with its id."""
    number = 0
    async for line in answer.aiter_lines():
        if line.startswith("id: "):
            number = int(line[4:])
        elif line.startswith("data: "):
            yield number, json.loads(line[6:])


async def test_the_same_messages_as_over_the_socket(odd: Server) -> None:
    """From the first to the last, and again from any of them on; after the last there are none, and a browser is told to stop."""
    async with viewer(odd.ws_url) as client:
        sent = [message for message in await client.run(STREAM) if message["payload"].get("promptId") and "seq" in message["payload"]]
    id_ = sent[0]["payload"]["promptId"]
    url = f"/api/prompt/{id_}/events"
    async with odd.http.stream("GET", url) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
        seen = [entry async for entry in read(answer)]
    assert [message for _, message in seen] == sent
    assert [number for number, _ in seen] == [message["payload"]["seq"] for message in sent]
    async with odd.http.stream("GET", url, headers={"Last-Event-ID": str(seen[4][0])}) as answer:
        assert [entry async for entry in read(answer)] == seen[5:]
    assert (await odd.http.get(url, headers={"Last-Event-ID": str(seen[-1][0])})).status_code == 204


async def test_it_is_live_and_ends_with_the_execution(odd: Server) -> None:
    """What has happened comes at once; the interruption comes when it happens, and is the last."""
    id_ = (await odd.http.post("/api/prompt", json=FOREVER)).json()["promptId"]
    async with odd.http.stream("GET", f"/api/prompt/{id_}/events") as answer:
        events = read(answer)
        async for _, message in events:
            if message["type"] == "NODE_EXECUTING":
                assert (await odd.http.delete(f"/api/interrupt/{id_}")).status_code == 200
        assert message["payload"]["status"] == "interrupted"


async def test_what_cannot_be_followed(odd: Server) -> None:
    """No such execution, no number, and events that are forgotten."""
    assert (await odd.http.get("/api/prompt/nobody/events")).status_code == 404
    async with viewer(odd.ws_url) as client:
        messages = await client.run(LONG)
    url = f"/api/prompt/{messages[-1]['payload']['promptId']}/events"
    for wrong in ("x", "-1", "1.5", "²"):
        assert (await odd.http.get(url, headers={"Last-Event-ID": wrong.encode()})).status_code == 400
    assert (await odd.http.get(url, headers={"Last-Event-ID": "3"})).status_code == 410


def connections(server: Server) -> int:
    """How many the system has open at the server."""
    end = f":{urlsplit(server.url).port:04X}"
    return sum(line.split()[1].endswith(end) and line.split()[3] == "01" for line in Path("/proc/net/tcp").read_text().splitlines()[1:])


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system cannot tell")
async def test_a_reader_that_stands_still_is_let_go(tmp_path: Path) -> None:
    """After the configured time its connection is there no more, and holds nothing; one that waits for something to happen stays."""
    path = on_path(install_odd_nodes(tmp_path / "packs"))
    async with serve(tmp_path, {"web": {"stalledS": 0.5}}, **path) as server:
        node = {"fullType": "core:TextMerge", "inputs": {"text_inputs": ["x" * 10**6]}}
        large = {"nodes": [node | {"id": f"n{i}"} for i in range(10)], "edges": []}
        id_ = (await server.http.post("/api/prompt", json=large)).json()["promptId"]
        waiting = (await server.http.post("/api/prompt", json=FOREVER)).json()["promptId"]
        async with server.http.stream("GET", f"/api/prompt/{waiting}/events") as answer:
            events = read(answer)
            assert [(await anext(events))[0] for _ in range(2)] == [1, 2]
            before = connections(server)
            with socket.create_connection(("127.0.0.1", urlsplit(server.url).port)) as still:
                still.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                still.sendall(f"GET /api/prompt/{id_}/events HTTP/1.1\r\nHost: {urlsplit(server.url).netloc}\r\n\r\n".encode())
                async with asyncio.timeout(PATIENCE_S):
                    while connections(server) == before:
                        await asyncio.sleep(0.01)
                    while connections(server) > before:
                        await asyncio.sleep(0.05)
            assert (await server.http.delete(f"/api/interrupt/{waiting}")).status_code == 200
            assert [message["payload"]["status"] async for _, message in events][-1] == "interrupted"
        assert "Traceback" not in server.output()


@pytest.mark.parametrize("resume", [True, False])
async def test_an_open_stream_does_not_hold_up_the_end(tmp_path: Path, resume: bool) -> None:
    """An execution that nobody goes on with is told to have ended; of another nothing is said, and the stream ends without an end."""
    path = on_path(install_odd_nodes(tmp_path / "packs"))
    config = {"engine": {"shutdownGraceS": 0}, "history": {"resume": resume}}
    async with serve(tmp_path, config, **path) as server:
        id_ = (await server.http.post("/api/prompt", json=FOREVER)).json()["promptId"]
        async with server.http.stream("GET", f"/api/prompt/{id_}/events") as answer:
            events = read(answer)
            seen = [await anext(events)]
            server.process.terminate()
            seen += [event async for event in events]
        statuses = [message["payload"]["status"] for _, message in seen if message["type"] == "EXECUTION_STATUS_UPDATE"]
        assert statuses == (["running"] if resume else ["running", "interrupted"])
        assert await server.stop() == 0
