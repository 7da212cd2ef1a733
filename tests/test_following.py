"""Viewers of any speed that come and go, of a server that is killed and stopped: each sees each event once, and no end but the end."""

import asyncio
import json
import os
import random
import signal
from pathlib import Path
from typing import Any

import attrs
import httpx2
import pytest
from websockets.exceptions import WebSocketException

from support.client import Message, is_final, viewer
from support.plugins import install, on_path
from support.server import PATIENCE_S, Server, serve

NODES = '''
    """A node that talks for a moment."""

    import asyncio
    from collections.abc import AsyncIterator

    from tavernkeep import Outputs, hookimpl, node


    @node("follow:Talk")
    async def talk(count: int, after: str = "") -> AsyncIterator[str | Outputs]:
        """Stream words, a few at a time."""
        for number in range(count):
            yield f"{number} "
            if number % 10 == 0:
                await asyncio.sleep(0.005)
        yield Outputs(said=str(count))


    @hookimpl
    def register_nodes():
        return [talk]
'''
CONFIG = {
    "execution": {"max_concurrent_workflows": 8},
    "engine": {"rememberedEvents": 20, "shutdownGraceS": 0},
    "web": {"socketQueueMessages": 16, "socketQueueBytes": 4096},
}
GONE = (OSError, EOFError, WebSocketException, httpx2.TransportError)


def talks(chance: random.Random) -> dict[str, Any]:
    """A chain of nodes that talk."""
    length = chance.randint(2, 6)
    nodes = [{"id": f"n{i}", "fullType": "follow:Talk", "inputs": {"count": chance.randint(5, 80)}} for i in range(length)]
    edges = [
        {"sourceNodeId": f"n{i}", "sourceHandle": "said", "targetNodeId": f"n{i + 1}", "targetHandle": "after"} for i in range(length - 1)
    ]
    return {"nodes": nodes, "edges": edges}


@attrs.define(eq=False)
class Follower:
    """One that follows one execution to its end, over as many connections and lives of the server as it takes."""

    id: str
    chance: random.Random
    pause_s: float
    seen: list[Message] = attrs.field(factory=list)

    @property
    def last(self) -> int:
        return int(self.seen[-1]["payload"]["seq"]) if self.seen else 0

    @property
    def ended(self) -> bool:
        return bool(self.seen) and is_final(self.seen[-1])

    def see(self, message: Message) -> None:
        assert message["type"] != "error", message
        if message["payload"].get("promptId") == self.id and "seq" in message["payload"]:
            assert message["payload"]["seq"] > self.last, f"{message} after {self.last}"
            self.seen.append(message)

    async def follow(self, server: Server) -> None:
        """Follow for a while, in one way or the other."""
        most = self.chance.choice([3, 30, 10**6])
        if self.chance.random() < 0.5:
            await self._over_http(server, most)
        else:
            await self._over_a_socket(server, most)

    async def _over_a_socket(self, server: Server, most: int) -> None:
        async with viewer(server.ws_url, max_queue=1) as client:
            await client.send("SUBSCRIBE", {"promptId": self.id, "after": self.last})
            while most > 0 and not self.ended:
                self.see(await client.receive())
                most -= 1
                await asyncio.sleep(self.pause_s * self.chance.random())

    async def _over_http(self, server: Server, most: int) -> None:
        headers = {"Last-Event-ID": str(self.last)}
        async with server.http.stream("GET", f"/api/prompt/{self.id}/events", headers=headers) as answer:
            assert answer.status_code == 200, await answer.aread()
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    self.see(json.loads(line[6:]))
                    most -= 1
                    await asyncio.sleep(self.pause_s * self.chance.random())
                if most <= 0:
                    return

    def compare(self, recorded: list[Message]) -> None:
        """What it saw is what is recorded; texts of one stream may have come together."""
        numbers = [event["payload"]["seq"] for event in recorded]
        assert numbers == list(range(1, len(recorded) + 1))
        assert [event["payload"]["seq"] for event in recorded if is_final(event)] == numbers[-1:]
        seen = {message["payload"]["seq"]: message for message in self.seen}
        merged = ""
        for event in recorded:
            payload, told = event["payload"], seen.pop(event["payload"]["seq"], None)
            if merged or told is None:
                merged += payload["yieldedContent"]["content"]
                event = {**event, "payload": {**payload, "yieldedContent": {**payload["yieldedContent"], "content": merged}}}
            if told is not None:
                assert told == event
                merged = ""
        assert not seen
        assert not merged


@attrs.define(eq=False)
class Place:
    """Where the followers find the server, while there is one."""

    up: asyncio.Event = attrs.field(factory=asyncio.Event)
    server: Server | None = None

    async def bring(self, follower: Follower) -> None:
        """Let one follow until it has seen the end."""
        await asyncio.sleep(follower.chance.random())
        while not follower.ended:
            await self.up.wait()
            assert self.server is not None
            try:
                await follower.follow(self.server)
            except GONE:
                await asyncio.sleep(0.01)


async def recorded(server: Server, id_: str) -> list[Message]:
    found: list[Message] = []
    while True:
        after = found[-1]["payload"]["seq"] if found else 0
        page = (await server.http.get(f"/api/history/{id_}", params={"after": after})).json()
        found += page["events"]
        if not page["moreEvents"]:
            return found


async def lives(tmp_path: Path, count: int) -> None:
    """Let a server live so often, and then to the end of all that it was given."""
    seed = int(os.environ.get("FOLLOW_SEED", random.randrange(2**32)))
    print(f"FOLLOW_SEED={seed}")
    chance = random.Random(seed)
    path = on_path(install(tmp_path / "packs", "follow", NODES))
    place, followers, tasks = Place(), list[Follower](), list["asyncio.Task[None]"]()
    for number in range(count + 1):
        async with serve(tmp_path, CONFIG, **path) as server:
            place.server = server
            place.up.set()
            for _ in range(2):
                id_ = (await server.http.post("/api/prompt", json=talks(chance))).json()["promptId"]
                for pause_s in (0, 0.001, 0.005):
                    followers.append(follower := Follower(id_, random.Random(chance.random()), pause_s))
                    tasks.append(asyncio.create_task(place.bring(follower)))
            if number < count:
                await asyncio.sleep(chance.random() * 1.5)
                place.up.clear()
                await server.stop(chance.choice([signal.SIGKILL, signal.SIGTERM]))
            else:
                async with asyncio.timeout(2 * PATIENCE_S):
                    await asyncio.gather(*tasks)
                for follower in followers:
                    follower.compare(await recorded(server, follower.id))
    assert len(followers) == 6 * (count + 1)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_each_event_once_over_many_lives(tmp_path: Path) -> None:
    """Whoever follows, however slowly, however often it comes back, over kills and stops: what it saw is what is recorded."""
    await lives(tmp_path, 20)
