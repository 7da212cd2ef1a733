"""Clients that hang up at any moment, on every route, while workflows run: nothing is held, and every route answers afterwards."""

import asyncio
import json
import os
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from support.server import Server, serve
from tavernkeep.testing import PATIENCE_S

NODES: dict[str, Any] = {"nodes": [{"id": "ok", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["fine"]}}], "edges": []}
AT_ONCE = 20
LONGEST_S = 0.03  # an answer takes about as long
LOAD = 2  # who run workflows meanwhile
PAUSE_S = 0.005  # between two of theirs: a server that is busy with nothing else answers nobody
# These end the server's process or wait for other parties; they are no work that a client could cut off.
NOT_CALLED = {("POST", "/api/plugins/reload"), ("POST", "/api/nodes/reload"), ("GET", "/api/auth/oidc/login")}
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/api/prompt"): NODES,
    ("POST", "/api/users/me/service-keys"): {"name": "n"},
    ("POST", "/api/users/me/credentials"): {"serviceName": "s", "credential": "c" * 20},
    ("PUT", "/api/users/me/username"): {"username": "another"},
    ("POST", "/api/projects"): {"name": "inn"},
    ("POST", "/api/llm/channels"): {"label": "l", "baseUrl": "http://127.0.0.1:9"},
    ("POST", "/api/llm/models"): {"modelId": "m", "displayName": "m"},
    ("POST", "/api/fam/create-dir"): {"parentLogicalPath": "user://", "dirName": "d"},
    ("POST", "/api/fam/write-json"): {"logicalPath": "user://a.json", "content": {"a": [1] * 2000}},
}


async def routes_of(http: httpx2.AsyncClient) -> list[tuple[str, str]]:
    """Every documented route, each parameter of its path with a value that nothing has."""
    document = (await http.get("/api/openapi.json")).json()
    return sorted(
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
        if (method.upper(), path) not in NOT_CALLED and not path.endswith(("/restart", "/reload"))
    )


def filled(path: str, number: int) -> str:
    """A path with something in the place of its parameters."""
    parts = path.split("/")
    return "/".join(f"p{number % 7}" if part.startswith("{") else part for part in parts)


def request_of(method: str, path: str, host: str, number: int) -> bytes:
    """A whole request, with a body where the method has one."""
    body = b""
    if method in ("POST", "PUT"):
        body = json.dumps(BODIES.get((method, path), {"name": f"n{number}", "content": "x" * 5000})).encode()
    head = (
        f"{method} {filled(path, number)} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def hang_up(url: str, request: bytes, chance: random.Random) -> None:
    """Send a request or the beginning of one, wait for a moment, and reset the connection."""
    address = urlsplit(url)
    assert address.hostname is not None
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        cut = len(request) if chance.random() < 0.7 else chance.randrange(1, len(request))
        writer.write(request[:cut])
        await writer.drain()
        if chance.random() < 0.9:
            await asyncio.sleep(chance.random() * LONGEST_S)
        elif cut == len(request):
            with suppress(TimeoutError):
                async with asyncio.timeout(1):  # some answer begins when there is something to tell
                    await reader.read(1)
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    finally:
        writer.transport.abort()


async def load(http: httpx2.AsyncClient, stop: asyncio.Event) -> int:
    """Run workflows until it is enough; gives how many were taken."""
    taken = 0
    while not stop.is_set():
        answer = await http.post("/api/prompt", json=NODES)
        taken += answer.status_code == 200
        await asyncio.sleep(PAUSE_S)
    return taken


async def answers(server: Server, method: str, path: str, number: int) -> tuple[int, str]:
    """The status of an answer to a whole request, and its beginning; what goes on for ever is not waited for."""
    body = BODIES.get((method, path), {"name": "n", "content": "x"})
    async with server.http.stream(method, filled(path, number), json=body if method in ("POST", "PUT") else None) as answer:
        if answer.status_code < 400:
            return answer.status_code, ""
        return answer.status_code, (await answer.aread()).decode()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server of its own: one that hangs would concern everybody."""
    async with serve(tmp_path, {"engine": {"shutdownGraceS": 0}}) as running:
        yield running


@pytest.mark.parametrize(
    "count", [pytest.param(60, marks=pytest.mark.timeout(300)), pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(1500)])]
)
async def test_every_route_answers_after_clients_hung_up(server: Server, count: int) -> None:
    """Connections that are reset at random moments, with whole and half requests, while workflows run."""
    seed = int(os.environ.get("HANGUPS_SEED", random.randrange(2**32)))
    print(f"HANGUPS_SEED={seed}")
    chance = random.Random(seed)
    routes, stop = await routes_of(server.http), asyncio.Event()
    assert len(routes) > 60
    working = [asyncio.create_task(load(server.http, stop)) for _ in range(LOAD)]
    asked = [chance.choice(routes) if number % 2 else ("GET", "/api/history") for number in range(count)]
    for start in range(0, count, AT_ONCE):
        some = enumerate(asked[start : start + AT_ONCE], start)
        await asyncio.gather(*(hang_up(server.url, request_of(*route, urlsplit(server.url).netloc, n), chance) for n, route in some))
    stop.set()
    async with asyncio.timeout(PATIENCE_S):
        assert all([await taken > 0 for taken in working])
    failed = {}
    for number, (method, path) in enumerate(routes):
        async with asyncio.timeout(PATIENCE_S):
            status, text = await answers(server, method, path, number)
        if status >= 500 and status != 502:
            failed[f"{method} {path}"] = (status, text)
    assert failed == {}
    ready = await server.http.get("/readyz")
    assert ready.status_code == 200, ready.text
    assert "Traceback" not in server.output()
