"""A wall clock that is set, ten days ahead and ten days back, while a server runs: what it measures, waits for and keeps is as before."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from support.client import Message, is_final, statuses, viewer
from support.plugins import install, on_path
from support.server import PATIENCE_S, Server, serve

pytestmark = pytest.mark.slow

DAY_S: Final = 24 * 60 * 60
# Python reads this before anything else, in each process: from then on the clock says what the file adds to it.
SET: Final = """
import datetime
import time
from pathlib import Path

_time, _file = time.time, Path(__file__).with_name("ahead")


def ahead():
    try:
        return float(_file.read_text() or 0)
    except OSError:
        return 0.0


class Moment(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(time.time(), tz)


time.time = lambda: _time() + ahead()
time.time_ns = lambda: int(time.time() * 1e9)

import tavernkeep.clock

tavernkeep.clock.datetime = Moment
"""
PATIENT = '''
    """Nodes that take until something has come."""

    import asyncio
    from pathlib import Path

    from tavernkeep import NodeFailure, hookimpl, node

    tried = set()


    @node("patient:Gate")
    async def gate(file: str) -> str:
        """Wait until a file is there."""
        while not Path(file).exists():
            await asyncio.sleep(0.01)
        return "open"


    @node("patient:Again")
    async def again(file: str) -> str:
        """Fail until a file is there."""
        if not Path(file).exists():
            raise NodeFailure("not yet", retryable=True)
        return "done"


    @hookimpl
    def register_nodes():
        return [gate, again]
'''
EASY: Final = {"nodes": [{"id": "easy", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["x"]}}], "edges": []}


class Clock:
    """The wall clock of a server's processes."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def set(self, days: float) -> None:
        """Let it be so many days ahead of the true one."""
        file = self._file.with_suffix(".new")
        file.write_text(str(days * DAY_S))
        file.rename(self._file)


@asynccontextmanager
async def clocked(folder: Path, config: dict[str, Any] | None = None) -> AsyncIterator[tuple[Server, Clock]]:
    """A server whose clock can be set."""
    packs = install(folder / "packs", "patient", PATIENT)
    (packs / "sitecustomize.py").write_text(SET)
    whole = {"engine": {"shutdownGraceS": 0}, "execution": {"max_concurrent_workflows": 10}, **(config or {})}
    async with serve(folder, whole, **on_path(packs)) as server:
        yield server, Clock(packs / "ahead")


def waiting(type_: str, file: Path, policy: dict[str, Any] | None = None, **payload: Any) -> dict[str, Any]:
    node = {"id": "waits", "fullType": f"patient:{type_}", "inputs": {"file": str(file)}}
    return {"nodes": [node | ({"configValues": {"executionPolicy": policy}} if policy else {})], "edges": [], **payload}


async def submit(server: Server, payload: dict[str, Any]) -> str:
    answer = await server.http.post("/api/prompt", json=payload)
    assert answer.status_code == 200, answer.text
    id_: str = answer.json()["promptId"]
    return id_


async def ended(server: Server, id_: str) -> dict[str, Any]:
    """What has come of an execution, when it has ended."""
    async with asyncio.timeout(PATIENCE_S):
        while (detail := (await server.http.get(f"/api/prompt/{id_}")).json()).get("completedAt") is None:
            await asyncio.sleep(0.02)
    found: dict[str, Any] = detail
    return found


async def listed(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await server.http.get("/api/history")).json()["executions"]
    return found


@pytest.mark.parametrize("durability", ["strict", "off"])
async def test_nothing_vanishes_and_durations_are_right(tmp_path: Path, durability: str) -> None:
    """Executions before, across and after each setting are all there, in the order of their acceptance, each with the time it took."""
    async with clocked(tmp_path, {"history": {"durability": durability}}) as (server, clock):
        began = time.monotonic()
        across, ids = [], []
        for days in (0, 10, -10, 0, -10, 10, 0):
            clock.set(days)
            across.append(await submit(server, waiting("Gate", tmp_path / "gate")))
            ids += [across[-1], await submit(server, EASY)]
            await ended(server, ids[-1])
        held = time.monotonic()
        await asyncio.sleep(0.5)
        clock.set(-10)
        held_ms = (time.monotonic() - held) * 1000
        (tmp_path / "gate").touch()
        details = [await ended(server, id_) for id_ in ids]
        took_ms = (time.monotonic() - began) * 1000
        assert [detail["status"] for detail in details] == ["complete"] * len(ids)
        submitted = [detail["submittedAt"] for detail in details]
        assert max(submitted) - min(submitted) > 19 * DAY_S * 1000  # the clock was set indeed
        assert all(0 <= detail["durationMs"] <= took_ms for detail in details)
        assert all(detail["durationMs"] >= held_ms for detail in details if detail["promptId"] in across)
        if durability != "off":
            assert [entry["promptId"] for entry in await listed(server)] == ids[::-1]
            assert [entry["durationMs"] for entry in await listed(server)] == [detail["durationMs"] for detail in details[::-1]]


async def test_the_oldest_are_forgotten_and_not_those_of_a_clock_that_was_behind(tmp_path: Path) -> None:
    """What is forgotten first was accepted first, whatever the clock said then."""
    async with clocked(tmp_path, {"history": {"maxExecutions": 5}, "engine": {"rememberedExecutions": 1}}) as (server, clock):
        ids = []
        for days in (0, 10, -10):
            clock.set(days)
            for _ in range(5):
                ids.append(await submit(server, EASY))
                await ended(server, ids[-1])
        async with asyncio.timeout(PATIENCE_S):
            while len(found := await listed(server)) > 5:
                await asyncio.sleep(0.02)
        assert [entry["promptId"] for entry in found] == ids[:-6:-1]


async def test_retries_and_limits_come_when_they_are_due(tmp_path: Path) -> None:
    """Neither does a wait that has begun end at once when the clock is set ahead, nor does it last for days when it is set back."""
    async with clocked(tmp_path) as (server, clock), viewer(server.ws_url) as client:
        policy = {"attempts": 100, "waitS": 0.3, "longestWaitS": 0.3}
        await client.send("PROMPT_REQUEST", waiting("Again", tmp_path / "file", policy))
        for days in (10, -10, 0):
            await client.until(lambda m: m["type"] == "NODE_RETRYING")
            clock.set(days)
        (tmp_path / "file").touch()
        assert statuses(await client.until(is_final))[-1] == "complete"
        for days in (10, -10):
            clock.set(0)
            begun = time.monotonic()
            await client.send("PROMPT_REQUEST", waiting("Gate", tmp_path / "never", timeoutS=0.5))
            await client.until(lambda m: m["type"] == "NODE_EXECUTING")
            clock.set(days)
            messages = await client.until(is_final)
            assert statuses(messages)[-1] == "error"
            assert "took longer than 0.5 s" in _said(messages)
            assert time.monotonic() - begun >= 0.5


def _said(messages: list[Message]) -> str:
    said: str = messages[-1]["payload"]["errorInfo"]["message"]
    return said


async def test_whoever_follows_is_kept_connected(tmp_path: Path) -> None:
    """Comments come that keep a connection open, and after them the end."""
    async with clocked(tmp_path) as (server, clock):
        id_ = await submit(server, waiting("Gate", tmp_path / "gate"))
        async with server.http.stream("GET", f"/api/prompt/{id_}/events") as stream:
            lines = stream.aiter_lines()
            async for line in lines:
                if "NODE_EXECUTING" in line:
                    break
            clock.set(-10)
            async for line in lines:
                if line.startswith(":"):
                    break
            clock.set(10)
            (tmp_path / "gate").touch()
            assert any('"complete"' in line for line in [line async for line in lines])


async def test_a_request_is_one_execution_whatever_the_clock_says(tmp_path: Path) -> None:
    """Whoever asks again with the same id is given the same execution, also when the clock was set in between, and after a restart."""
    payload = {**EASY, "requestId": "once"}
    async with clocked(tmp_path) as (server, clock):
        id_ = await submit(server, payload)
        for days in (10, -10, 0):
            clock.set(days)
            assert await submit(server, payload) == id_
        clock.set(-10)
    async with clocked(tmp_path) as (server, clock):
        assert await submit(server, payload) == id_
        assert [entry["promptId"] for entry in await listed(server)] == [id_]


async def test_what_is_taken_up_counts_what_it_ran_before(tmp_path: Path) -> None:
    """The time that an execution took is what it ran in each life of the server, and not what lay between them by a clock that was set."""
    began = time.monotonic()
    async with clocked(tmp_path) as (server, clock):
        id_ = await submit(server, waiting("Gate", tmp_path / "gate"))
        async with viewer(server.ws_url) as client:
            await client.send("SUBSCRIBE", {"promptId": id_, "after": 0})
            await client.until(lambda m: m["type"] == "NODE_EXECUTING")
        first = time.monotonic()
        await asyncio.sleep(0.5)
        first_ms = (time.monotonic() - first) * 1000
        assert await server.stop() == 0
        clock.set(-10)
    async with clocked(tmp_path) as (server, clock):
        (tmp_path / "gate").touch()
        detail = await ended(server, id_)
        assert detail["status"] == "complete"
        assert first_ms <= detail["durationMs"] <= (time.monotonic() - began) * 1000
