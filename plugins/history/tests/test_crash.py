"""A server that is killed, again and again, as its clients see it: nothing that they were told is untrue afterwards."""

import asyncio
import json
import os
import random
import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import httpx2
import pytest
from websockets.exceptions import WebSocketException

from support.client import Message, is_final, viewer
from support.plugins import install, on_path
from support.server import Server, serve

NODES = '''
    """Nodes that leave a mark on the disk each time that they run."""

    import asyncio
    import os
    from collections.abc import AsyncIterator

    from tavernkeep import Outputs, hookimpl, node


    def leave(file: str, mark: str) -> None:
        number = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(number, (mark + "\\n").encode())
        os.fsync(number)
        os.close(number)


    @node("crash:Mark", output="mark")
    async def mark(file: str, mark: str, after: str = "") -> str:
        """Leave a mark, then work for a moment."""
        leave(file, mark)
        await asyncio.sleep(0.002)
        return mark


    @node("crash:Speak")
    async def speak(file: str, mark: str, after: str = "") -> AsyncIterator[str | Outputs]:
        """Leave a mark, and stream some words."""
        leave(file, mark)
        for number in range(20):
            yield f"{number} "
            await asyncio.sleep(0)
        yield Outputs(words=20)


    @hookimpl
    def register_nodes():
        return [mark, speak]
'''
CONFIG: Mapping[str, Any] = {
    "execution": {"max_concurrent_workflows": 4},
    "engine": {"rememberedEvents": 30},
    "history": {"maxExecutions": 1_000_000},  # what is forgotten on purpose is not lost
}
_CLIENTS = 3  # of each protocol
_YOUNG_S = 0.025


@attrs.define(eq=False)
class Watched:
    """An execution as its client has seen it."""

    id: str
    name: str
    seen: dict[int, Message] = attrs.field(factory=dict)
    ended: bool = False

    def see(self, message: Message) -> None:
        """Take a message; its number is higher than any before."""
        seq = message["payload"].get("seq")
        if seq is None or message["payload"].get("promptId") != self.id:
            return
        assert seq > self.last, f"{self.name}: number {seq} after {self.last}"
        self.seen[seq] = message
        self.ended = self.ended or is_final(message)

    def compare(self, recorded: list[Message]) -> None:
        """What was seen, over all lives of the server, is what is recorded; to a slow viewer, texts of one stream come as one."""
        assert [event["payload"]["seq"] for event in recorded] == list(range(1, len(recorded) + 1)), self.name
        assert self.last == len(recorded), self.name
        merged = ""
        for event in recorded:
            payload, seen = event["payload"], self.seen.get(event["payload"]["seq"])
            if merged or seen is None:
                merged += payload["yieldedContent"]["content"]
                event = {**event, "payload": {**payload, "yieldedContent": {**payload["yieldedContent"], "content": merged}}}
            if seen is not None:
                assert seen == event, f"{self.name}: number {payload['seq']} had another content"
                merged = ""

    @property
    def last(self) -> int:
        return max(self.seen, default=0)

    def completed(self) -> list[str]:
        return [
            f"{self.name}/{message['payload']['nodeId']}"
            for message in self.seen.values()
            if message["type"] == "NODE_COMPLETE" and not message["payload"]["nodeId"].startswith("__")
        ]


@attrs.define(eq=False)
class Crashes:
    """The clients, and what they know."""

    marks: Path
    chance: random.Random
    watched: list[Watched] = attrs.field(factory=list)
    accepted: asyncio.Event = attrs.field(factory=asyncio.Event)
    complete: dict[str, int] = attrs.field(factory=dict)  # the nodes that were seen complete, with how often they had run by then
    _count: int = 0

    def payload(self) -> tuple[str, dict[str, Any]]:
        """A workflow that is like no other: a chain, with a branch that streams."""
        self._count += 1
        name = f"w{self._count}"
        length = self.chance.randint(1, 6)
        nodes = [
            {"id": f"n{i}", "fullType": "crash:Mark", "inputs": {"file": str(self.marks), "mark": f"{name}/n{i}"}} for i in range(length)
        ]
        nodes.append({"id": "s", "fullType": "crash:Speak", "inputs": {"file": str(self.marks), "mark": f"{name}/s"}})
        pairs = [(f"n{i}", f"n{i + 1}") for i in range(length - 1)] + [("n0", "s")]
        edges = [{"sourceNodeId": a, "sourceHandle": "mark", "targetNodeId": b, "targetHandle": "after"} for a, b in pairs]
        return name, {"nodes": nodes, "edges": edges}

    def begin(self, id_: str, name: str) -> Watched:
        """An execution was accepted."""
        self.watched.append(watched := Watched(id_, name))
        self.accepted.set()
        return watched

    async def over_a_socket(self, server: Server) -> None:
        """Submit one after the other, and watch."""
        async with viewer(server.ws_url) as client:
            while True:
                name, payload = self.payload()
                await client.send("PROMPT_REQUEST", payload)
                current: Watched | None = None
                while current is None or not current.ended:
                    message = await client.receive()
                    if message["type"] == "PROMPT_ACCEPTED_RESPONSE":
                        current = self.begin(message["payload"]["promptId"], name)
                    elif current is not None:
                        current.see(message)

    async def over_http(self, server: Server) -> None:
        """Submit one after the other, and follow each."""
        async with httpx2.AsyncClient(base_url=server.url, timeout=60) as http:
            while True:
                name, payload = self.payload()
                answer = await http.post("/api/prompt", json=payload)
                assert answer.status_code == 200, answer.text
                await follow(http, self.begin(answer.json()["promptId"], name))

    async def life(self, server: Server, *, young: bool) -> None:
        """Be clients until the server is killed; `young`: soon after an acceptance."""
        clients = [self.over_a_socket(server) for _ in range(_CLIENTS)] + [self.over_http(server) for _ in range(_CLIENTS)]
        tasks = [asyncio.create_task(client) for client in clients]
        self.accepted.clear()
        await self.accepted.wait()
        if young:
            await asyncio.sleep(self.chance.random() * 0.2)
            self.accepted.clear()
            await self.accepted.wait()
            await asyncio.sleep(self.chance.random() * _YOUNG_S)
        else:
            await asyncio.sleep(self.chance.random() * 0.5)
        server.process.send_signal(signal.SIGKILL)
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(result, (OSError, EOFError, WebSocketException, httpx2.TransportError)):
                assert isinstance(result, BaseException)
                raise result
        await server.stop(signal.SIGKILL)
        marks = self._marks()
        self.complete = {mark: marks[mark] for watched in self.watched for mark in watched.completed()}

    async def check(self, server: Server) -> None:
        """Everything that was accepted is known, and goes on to its end from where it was seen."""
        open_ = [watched for watched in self.watched if not watched.ended]
        for watched in self.watched:
            found = await server.http.get(f"/api/prompt/{watched.id}")
            assert found.status_code == 200, f"{watched.name} was accepted and is unknown"
        async with viewer(server.ws_url) as client:
            for number, watched in enumerate(open_):
                if number % 2:
                    await follow(server.http, watched)
                else:
                    await client.send("SUBSCRIBE", {"promptId": watched.id, "after": watched.last})
                    while not watched.ended:
                        watched.see(await client.receive())
        for watched in open_:
            recorded = (await server.http.get(f"/api/history/{watched.id}", params={"limit": 10_000})).json()
            watched.compare(recorded["events"])
            assert recorded["execution"]["status"] == "complete", recorded["execution"]
        marks = self._marks()
        again = [mark for mark, count in self.complete.items() if marks[mark] != count]
        assert not again, f"seen complete, and ran again: {again}"

    def _marks(self) -> Counter[str]:
        return Counter(self.marks.read_text().split())


async def follow(http: httpx2.AsyncClient, watched: Watched) -> None:
    """Read its events to its end."""
    async with http.stream("GET", f"/api/prompt/{watched.id}/events", headers={"Last-Event-ID": str(watched.last)}) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                watched.see(json.loads(line[6:]))


async def crash(tmp_path: Path, kills: int) -> None:
    """Kill a server so often, and look each time."""
    seed = int(os.environ.get("CRASH_SEED", random.randrange(2**32)))
    print(f"CRASH_SEED={seed}")
    path = on_path(install(tmp_path / "packs", "crash", NODES))
    crashes = Crashes(tmp_path / "marks", random.Random(seed))
    crashes.marks.touch()
    for number in range(kills + 1):
        async with serve(tmp_path, CONFIG, **path) as server:
            await crashes.check(server)
            if number < kills:
                await crashes.life(server, young=number % 2 == 0)
    print(f"{len(crashes.watched)} executions were accepted")
    assert len(crashes.watched) >= kills


async def test_what_was_told_stays_true_over_ten_kills(tmp_path: Path) -> None:
    """Nothing accepted is unknown, no node that was seen complete ran again, no number has a hole, a double or another content."""
    await crash(tmp_path, 10)


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_what_was_told_stays_true_over_many_kills(tmp_path: Path) -> None:
    """As above; `CRASH_KILLS` says how many."""
    await crash(tmp_path, int(os.environ.get("CRASH_KILLS", "50")))
