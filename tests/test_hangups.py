"""Clients that hang up at any moment, on every route, while workflows run: nothing is held, and every route answers afterwards."""

import asyncio
import json
import os
import random
import socket
import statistics
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from support.server import Server, serve
from support.users import PASSWORD, town
from tavernkeep.testing import PATIENCE_S

NODES: dict[str, Any] = {"nodes": [{"id": "ok", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["fine"]}}], "edges": []}
AT_ONCE = 20
LONGEST_S = 0.03  # an answer takes about as long
LOAD = 2  # who run workflows meanwhile
PAUSE_S = 0.005  # between two of theirs: a server that is busy with nothing else answers nobody
NOT_CALLED = ("POST", "/api/server/restart")  # it ends the process, and what that held with it
# What they ask of the database begins with a transaction, so a moment of some width is that in which it is just beginning.
IN_TRANSACTIONS = [("POST", "/api/plugins/accounts/settings"), ("GET", "/api/history")]
MEASURED = 9  # answers, to know about when that moment is
OIDC = {"issuer": "http://127.0.0.1:9", "clientId": "tavern"}
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/api/prompt"): NODES,
    ("POST", "/api/users/me/service-keys"): {"name": "n"},
    ("POST", "/api/users/me/credentials"): {"serviceName": "s", "credential": "c" * 20},
    ("PUT", "/api/users/me/username"): {"username": "another"},
    ("POST", "/api/projects"): {"name": "inn"},
    ("POST", "/api/llm/channels"): {"label": "l", "baseUrl": "http://127.0.0.1:9"},
    ("POST", "/api/llm/models"): {"modelId": "m", "displayName": "m"},
    ("POST", "/api/plugins/accounts/settings"): {"a": 1},
    ("POST", "/api/auth/register"): {"username": "bob", "password": PASSWORD, "token": "t"},
    ("POST", "/api/auth/login"): {"username": "bob", "password": PASSWORD},
    ("POST", "/api/admin/users"): {"username": "bob", "password": PASSWORD, "role": "user"},
    ("POST", "/api/admin/invitations"): {"role": "user"},
    ("POST", "/api/fam/create-dir"): {"parentLogicalPath": "user://", "dirName": "d"},
    ("POST", "/api/fam/write-json"): {"logicalPath": "user://a.json", "content": {"a": [1] * 2000}},
}


async def routes_of(http: httpx2.AsyncClient) -> list[tuple[str, str]]:
    """Every documented route, each parameter of its path with a value that nothing has."""
    document = (await http.get("/api/openapi.json")).json()
    return sorted(
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods if (method.upper(), path) != NOT_CALLED
    )


def filled(path: str, number: int) -> str:
    """A path with something in the place of its parameters."""
    parts = path.split("/")
    return "/".join(f"p{number % 7}" if part.startswith("{") else part for part in parts)


def request_of(method: str, path: str, http: httpx2.AsyncClient, number: int) -> bytes:
    """A whole request, with a body where the method has one, by the same user as those of a client."""
    body = b""
    if method in ("POST", "PUT"):
        body = json.dumps(BODIES.get((method, path), {"name": f"n{number}", "content": "x" * 5000})).encode()
    lines = [f"{method} {filled(path, number)} HTTP/1.1", f"Host: {http.base_url.netloc.decode()}", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}", *(f"Authorization: {key}" for key in http.headers.get_list("authorization")), "", ""]
    return "\r\n".join(lines).encode() + body


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection of one's own, which is reset and not closed."""
    address = urlsplit(url)
    assert address.hostname is not None
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    finally:
        writer.transport.abort()


async def hang_up(url: str, request: bytes, chance: random.Random) -> None:
    """Send a request or the beginning of one, wait for a moment, and reset the connection."""
    async with connected(url) as (reader, writer):
        cut = len(request) if chance.random() < 0.7 else chance.randrange(1, len(request))
        writer.write(request[:cut])
        await writer.drain()
        if chance.random() < 0.9:
            await asyncio.sleep(chance.random() * LONGEST_S)
        elif cut == len(request):
            with suppress(TimeoutError):
                async with asyncio.timeout(1):  # some answer begins when there is something to tell
                    await reader.read(1)


async def hang_up_within(url: str, request: bytes, longest_s: float, chance: random.Random) -> None:
    """Send a whole request, and reset the connection at a moment at which it is worked on."""
    async with connected(url) as (_, writer):
        writer.write(request)
        await writer.drain()
        await asyncio.sleep(chance.random() * longest_s)


async def taken_by(url: str, request: bytes) -> float:
    """How long an answer takes here and now: the middle of some, in seconds."""
    took = []
    for _ in range(MEASURED):
        async with connected(url) as (reader, writer):
            began = time.perf_counter()
            writer.write(request)
            assert b" 200" in await reader.readline()
            took.append(time.perf_counter() - began)
    return statistics.median(took)


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


@asynccontextmanager
async def at_work(server: Server) -> AsyncIterator[None]:
    """Workflows run meanwhile, and are taken to the last."""
    stop = asyncio.Event()
    working = [asyncio.create_task(load(server.http, stop)) for _ in range(LOAD)]
    yield
    stop.set()
    async with asyncio.timeout(PATIENCE_S):
        assert all([await taken > 0 for taken in working])


async def all_answer(server: Server, routes: list[tuple[str, str]]) -> None:
    """Every route answers, and the server says that it is ready."""
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


@pytest.fixture
def chance() -> random.Random:
    """Another each time; what it was is printed, and is given again by `HANGUPS_SEED`."""
    seed = int(os.environ.get("HANGUPS_SEED", random.randrange(2**32)))
    print(f"HANGUPS_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server of its own: one that hangs would concern everybody."""
    async with serve(tmp_path, {"engine": {"shutdownGraceS": 0}}) as running:
        yield running


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Server]:
    """One with accounts, and a login elsewhere; asked with a key of the administrator's."""
    config = {"auth": {"provider": "multiuser", "multiuser": {"oidc": OIDC}}, "engine": {"shutdownGraceS": 0}}
    async with town(tmp_path, config) as place:
        place.server.http.headers["Authorization"] = f"Bearer {await place.admin.key()}"
        yield place.server


COUNTS = [pytest.param(60, marks=pytest.mark.timeout(300)), pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(1500)])]


async def hang_up_on_all(server: Server, count: int, chance: random.Random) -> None:
    """On every route, at random moments, some at once."""
    routes = await routes_of(server.http)
    assert len(routes) > 60
    async with at_work(server):
        asked = [chance.choice(routes) if number % 2 else ("GET", "/api/history") for number in range(count)]
        for start in range(0, count, AT_ONCE):
            some = enumerate(asked[start : start + AT_ONCE], start)
            await asyncio.gather(*(hang_up(server.url, request_of(*route, server.http, n), chance) for n, route in some))
    await all_answer(server, routes)


@pytest.mark.parametrize("count", COUNTS)
async def test_every_route_answers_after_clients_hung_up(server: Server, chance: random.Random, count: int) -> None:
    """Connections that are reset at random moments, with whole and half requests, while workflows run."""
    await hang_up_on_all(server, count, chance)


@pytest.mark.parametrize("count", COUNTS)
async def test_every_route_of_a_shared_server_answers_after_clients_hung_up(shared: Server, chance: random.Random, count: int) -> None:
    """Those of accounts, sessions and invitations among them, and of a login elsewhere where nobody answers."""
    assert ("GET", "/api/auth/oidc/login") in await routes_of(shared.http)
    await hang_up_on_all(shared, count, chance)


@pytest.mark.parametrize("count", COUNTS)
async def test_who_hangs_up_while_a_transaction_begins_holds_nothing(server: Server, chance: random.Random, count: int) -> None:
    """One after the other, each while its request is worked on: some are cut off between the lock of the database and `BEGIN`."""
    async with at_work(server):
        requests = [request_of(*route, server.http, 0) for route in IN_TRANSACTIONS]
        longest = [1.2 * await taken_by(server.url, request) for request in requests]
        for number in range(count):
            await hang_up_within(server.url, requests[number % 2], longest[number % 2], chance)
    await all_answer(server, await routes_of(server.http))
