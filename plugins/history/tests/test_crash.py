"""A server that is killed, again and again, as its clients see it: nothing that they were told is untrue afterwards.

The seed of the random choices is printed (`CRASH_SEED` gives one; the kills themselves fall as they fall). `CRASH_KILLS` says how many.
With `history.durability` at `relaxed` what was told last may not be known any more. Then whoever saw it is told that, and nothing else is
untrue.
"""

import asyncio
import gc
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, Final

import attrs
import httpx2
import pytest
from websockets.exceptions import WebSocketException

from support.client import Message, is_final, viewer
from support.crashing import NODES, workflow
from support.forked import Forge, ForkedServer, forge
from support.plugins import install

CONFIG: Mapping[str, dict[str, Any]] = {
    "execution": {"max_concurrent_workflows": 4},
    "engine": {"rememberedEvents": 30},
    "history": {"maxExecutions": 1_000_000},  # what is forgotten on purpose is not lost
    "logging": {"level": "warning"},
}
_CLIENTS: Final = 6
_YOUNG_S: Final = 0.025
_IN_A_ROW: Final = 4  # kills before all that is open may come to its end
_UNDISTURBED: Final = "undisturbed"
_TEXTS: Final = ("NODE_YIELD", "WORKFLOW_INTERFACE_YIELD")
_LOST: Final = (OSError, EOFError, WebSocketException, httpx2.TransportError)


class Lost(Exception):
    """What a client was told last is not known any more, and the server says so."""


@attrs.define(eq=False)
class Follower:
    """What one client was told of an execution, over all lives of the server.

    Attributes:
        before: What it was told until it had to start over; some of that is not recorded.
    """

    seen: dict[int, Message] = attrs.field(factory=dict)
    ended: bool = False
    before: list[Message] = attrs.field(factory=list)

    @property
    def last(self) -> int:
        """The number of the last event."""
        return max(self.seen, default=0)

    def see(self, message: Message) -> None:
        """Take an event; its number is higher than any before."""
        seq = message["payload"]["seq"]
        assert seq > self.last, f"number {seq} after {self.last}: {message}"
        self.seen[seq] = message
        self.ended = is_final(message)

    def start_over(self) -> None:
        """Some of what it was told is not known any more."""
        self.before += self.seen.values()
        self.seen, self.ended = {}, False

    def compare(self, recorded: list[Message]) -> None:
        """What it was told is what is recorded, all of it; to a slow viewer texts of one stream come as one."""
        numbers = {event["payload"]["seq"]: event for event in recorded}
        assert self.last == max(numbers)
        for message in self.before:
            if message["type"] not in _TEXTS:
                assert numbers.get(message["payload"]["seq"], message) == message, "one number stood for two events"
        merged = ""
        for event in recorded:
            payload, seen = event["payload"], self.seen.get(event["payload"]["seq"])
            if merged or seen is None:
                assert event["type"] in _TEXTS, f"never told: {event}"
                merged += payload["yieldedContent"]["content"]
                event = {**event, "payload": {**payload, "yieldedContent": {**payload["yieldedContent"], "content": merged}}}
            if seen is not None:
                assert seen == event, f"number {payload['seq']} had another content"
                merged = ""


@attrs.define(eq=False)
class Execution:
    """A workflow that a client wants to run, and what it knows of it.

    Attributes:
        id: `None` until it was told.
        request_id: Under which it asks again where it was not told.
        followers: Its client, and others.
        patience: How often it is looked at before what it asks is answered.
        interrupt_at: The number of the event at which it interrupts it.
        interrupted: Whether it has, and was told so; `None` where it has not tried.
        tried: What it has answered to each node.
        answered: Of that, what was taken.
    """

    name: str
    payload: dict[str, Any]
    request_id: str | None = None
    patience: int = 0
    interrupt_at: int | None = None
    interrupted: bool | None = None
    id: str | None = None
    followers: list[Follower] = attrs.field(factory=lambda: [Follower()])
    tried: dict[str, list[str]] = attrs.field(factory=dict)
    answered: dict[str, str] = attrs.field(factory=dict)

    @property
    def can_be_found(self) -> bool:
        """Whether its client knows its id, or can ask for it."""
        return self.id is not None or self.request_id is not None

    def completed(self) -> list[str]:
        """The marks of the nodes that somebody was told to be complete."""
        return [
            f"{self.id}/{message['payload']['nodeId']}"
            for follower in self.followers
            for message in follower.seen.values()
            if message["type"] == "NODE_COMPLETE"
        ]


@attrs.define(eq=False)
class Crashes:
    """The clients, and what they know.

    Attributes:
        strict: All that they are told is recorded.
    """

    forge: Forge
    folder: Path
    chance: random.Random
    strict: bool
    open: list[Execution] = attrs.field(factory=list)
    statuses: dict[str, str] = attrs.field(factory=dict)  # of those that have ended
    complete: dict[str, int] = attrs.field(factory=dict)  # the nodes that were seen complete, with how often they had run by then
    marks: Counter[str] = attrs.field(factory=Counter)
    counts: Counter[str] = attrs.field(factory=Counter)
    _made: int = 0
    _accepted: asyncio.Event = attrs.field(factory=asyncio.Event)
    _killed: bool = False
    _settling: bool = False
    _read: int = 0

    # Being a client

    def make(self) -> Execution:
        """An execution like no other."""
        self._made += 1
        name, chance = f"w{self._made}", self.chance
        return Execution(
            name,
            workflow(chance, name),
            request_id=f"r-{name}" if chance.random() < 0.5 else None,
            patience=chance.choice([0, 0, 0, 1, 2]),
            interrupt_at=chance.randint(1, 20) if chance.random() < 0.1 else None,
        )

    async def submit_always(self, server: ForkedServer) -> None:
        """Run one after the other."""
        while True:
            self.open.append(execution := self.make())
            await self.walk(server, execution)

    async def walk(self, server: ForkedServer, execution: Execution) -> None:
        """Submit an execution, or take it up again, and follow it to its end; often with somebody else who follows it too."""
        async with asyncio.TaskGroup() as others:
            for follower in execution.followers[1:]:
                others.create_task(self.watch(server, execution, follower))
            async with aclosing(self.follow(server, execution, execution.followers[0])) as messages:
                async for message in messages:
                    await self.react(server, execution, message, others)

    async def watch(self, server: ForkedServer, execution: Execution, follower: Follower) -> None:
        """Be somebody else who follows it."""
        async with aclosing(self.follow(server, execution, follower)) as messages:
            async for _ in messages:
                pass

    async def follow(self, server: ForkedServer, execution: Execution, follower: Follower) -> AsyncGenerator[Message, None]:
        """The events as they come, after those that were seen before; and first of all the acceptance of what was not accepted yet."""
        while True:
            # That an execution has ended may be what was lost; over a socket nobody asks.
            over_a_socket = self.chance.random() < 0.5 and (self.strict or not follower.ended)
            try:
                async with aclosing((self.over_a_socket if over_a_socket else self.over_http)(server, execution, follower)) as messages:
                    async for message in messages:
                        yield message
                return
            except Lost:
                assert not self.strict
                follower.start_over()
                self.counts["started over"] += 1

    async def over_a_socket(self, server: ForkedServer, execution: Execution, follower: Follower) -> AsyncGenerator[Message, None]:
        """See `follow`."""
        async with viewer(server.ws_url, close_timeout=0.1) as client:
            if execution.id is None:
                request = {"requestId": execution.request_id} if execution.request_id else {}
                await client.send("PROMPT_REQUEST", {**execution.payload, **request})
            else:
                await client.send("SUBSCRIBE", {"promptId": execution.id, "after": follower.last})
            while not follower.ended:
                message = await client.receive()
                if message["type"] == "PROMPT_ACCEPTED_RESPONSE":
                    self.accept(execution, message["payload"]["promptId"])
                    yield message
                elif execution.id is not None and "seq" in message["payload"] and message["payload"].get("promptId") == execution.id:
                    follower.see(message)
                    yield message
                elif message["type"] == "error":
                    raise Lost(message)
                else:
                    assert message["type"].startswith("SYSTEM_"), message

    async def over_http(self, server: ForkedServer, execution: Execution, follower: Follower) -> AsyncGenerator[Message, None]:
        """See `follow`."""
        async with httpx2.AsyncClient(base_url=server.url, timeout=60, trust_env=False) as http:
            if execution.id is None:
                headers = {"Idempotency-Key": execution.request_id} if execution.request_id else {}
                answer = await http.post("/api/prompt", json=execution.payload, headers=headers)
                assert answer.status_code == 200, answer.text
                self.accept(execution, answer.json()["promptId"])
                yield {"type": "PROMPT_ACCEPTED_RESPONSE", "payload": {}}
            path = f"/api/prompt/{execution.id}/events"
            async with http.stream("GET", path, headers={"Last-Event-ID": str(follower.last)}) as answer:
                if answer.status_code == 410:
                    raise Lost
                assert answer.status_code == (204 if follower.ended else 200), f"{execution.name}: {answer.status_code}"
                async for line in answer.aiter_lines():
                    if line == "event: lost":
                        raise Lost
                    if line.startswith("data: "):
                        follower.see(message := json.loads(line[6:]))
                        yield message
            assert follower.ended, f"{execution.name}: its events ended before it did"

    def accept(self, execution: Execution, id_: str) -> None:
        """It was accepted."""
        assert execution.id in (None, id_)
        execution.id = id_
        self._accepted.set()

    async def react(self, server: ForkedServer, execution: Execution, message: Message, others: asyncio.TaskGroup) -> None:
        """Do what a client does about an event."""
        first = execution.followers[0]
        match message["type"]:
            case "PROMPT_ACCEPTED_RESPONSE":
                if self.chance.random() < 0.3:
                    execution.followers.append(other := Follower())
                    others.create_task(self.watch(server, execution, other))
                if execution.request_id is not None and self.chance.random() < 0.2:
                    answer = await server.http.post("/api/prompt", json={**execution.payload, "requestId": execution.request_id})
                    assert answer.json()["promptId"] == execution.id, "one request became two executions"
            case "NODE_WAITING" if self._settling or (self.chance.random() < 0.7 and not execution.patience):
                others.create_task(self.answer(server, execution, message["payload"]))
            case "NODE_ANSWERED" if self.strict:
                execution.answered[message["payload"]["nodeId"]] = message["payload"]["value"]
        if execution.interrupt_at is not None and first.last >= execution.interrupt_at and not first.ended:
            execution.interrupt_at, execution.interrupted = None, False
            answer = await server.http.delete(f"/api/interrupt/{execution.id}")
            assert answer.status_code in (200, 404), answer.text
            execution.interrupted = answer.status_code == 200

    async def answer(self, server: ForkedServer, execution: Execution, question: Mapping[str, Any]) -> None:
        """Answer a node's question, with something else each time."""
        node = question["nodeId"]
        tried = execution.tried.setdefault(node, [])
        tried.append(value := f"{execution.name} {len(tried)}")
        if self.chance.random() < 0.5:
            answer = await server.http.post(f"/api/prompt/{execution.id}/nodes/{node}/input", json={"value": value})
            if answer.status_code in (200, 204):
                execution.answered[node] = value
            else:  # that was another life's question, or it was interrupted; else it asks again
                assert answer.status_code == 409, answer.text
            return
        async with viewer(server.ws_url, close_timeout=0.1) as client:
            await client.send("SUBSCRIBE", {"promptId": execution.id, "after": question["seq"]})
            await client.send("NODE_INPUT", {"promptId": execution.id, "nodeId": node, "value": value})
            # The socket is a client's as long as it is open; that it was taken is told.
            await client.until(lambda message: message["type"] == "NODE_ANSWERED" or is_final(message))

    # Killing

    async def life(self, server: ForkedServer, *, new: bool) -> None:
        """Be clients until the server is killed; without `new` ones only of what is open."""
        self._killed = False
        work = [self.walk(server, execution) for execution in self.open]
        if new:
            work += [self.submit_always(server) for _ in range(_CLIENTS)]
        tasks = [asyncio.create_task(client) for client in work]
        killing = asyncio.create_task(self.kill_young(server.pid) if new and self.chance.random() < 0.5 else self.kill_somewhen(server.pid))
        await asyncio.wait([killing, *tasks], return_when=asyncio.FIRST_EXCEPTION)
        killing.cancel()  # which nothing but a failure leaves undone
        results = await asyncio.gather(killing, *tasks, return_exceptions=True)
        for result in results[1:]:
            if isinstance(result, BaseException) and (not self._killed or not is_lost(result)):
                raise result
        assert "Traceback" not in server.output, server.output
        self.end()

    async def kill_young(self, pid: int) -> None:
        """Kill it soon after an acceptance."""
        await asyncio.sleep(self.chance.random() * 0.2)
        self._accepted.clear()
        with suppress(TimeoutError):  # all clients may be waiting for a person
            async with asyncio.timeout(0.5):
                await self._accepted.wait()
        await asyncio.sleep(self.chance.random() * _YOUNG_S)
        self.kill(pid, "young")

    async def kill_somewhen(self, pid: int) -> None:
        """Kill it at any moment; or as soon as something is written to the database or its log: in the middle of a commit, mostly."""
        await asyncio.sleep(self.chance.random() * 0.4)
        file = self.chance.choice([None, "tavernkeep.sqlite3-wal", "tavernkeep.sqlite3-wal", "tavernkeep.sqlite3"])
        if file is not None:
            await asyncio.to_thread(wait_for_a_write, self.folder / "data" / file)
        self.kill(pid, file or "at any moment")

    async def kill_while_it_starts(self) -> None:
        """Start one, and kill it before, or soon after, it serves."""
        pid, output = await self.forge.start(self.folder, "--port", "0")
        try:
            await asyncio.sleep(self.chance.random() * 0.3)
            self.kill(pid, "while it starts")
        finally:
            await self.forge.end(pid)
            os.close(output)
        self.end()

    def kill(self, pid: int, how: str) -> None:
        """Kill it."""
        self._killed = True
        self.counts["kills"] += 1
        self.counts[how] += 1
        os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """It is dead: what anybody knows by now is what it has told."""
        self.read_marks()
        for execution in self.open:
            for mark in execution.completed() if self.strict else ():
                self.complete.setdefault(mark, self.marks[mark])
        self.counts["acceptances that were never told"] += sum(execution.id is None for execution in self.open)
        self.open = [execution for execution in self.open if execution.can_be_found]

    def read_marks(self) -> None:
        """What the nodes have left since the last time."""
        with (self.folder / "marks").open() as opened:
            opened.seek(self._read)
            self.marks.update(opened.read().split())
            self._read = opened.tell()

    # Looking

    async def settle(self, server: ForkedServer) -> None:
        """Let all that is open come to its end, but for some that wait for a person, and look at it."""
        self._settling = True
        wait = [execution for execution in self.open if execution.patience and asks(execution)]
        for execution in wait:
            execution.patience -= 1
        ending = [execution for execution in self.open if execution not in wait]
        try:
            await asyncio.gather(*(self.walk(server, execution) for execution in ending))
        except BaseException as error:
            error.add_note(f"the server has printed: {server.output}")
            raise
        for execution in ending:
            try:
                await self.look(server, execution)
            except AssertionError as error:
                error.add_note(f"execution {execution.name}, {execution.id}")
                raise
        self.read_marks()
        again = [mark for mark, count in self.complete.items() if self.marks[mark] != count]
        assert not again, f"seen complete, and ran again: {again}"
        self.open, self._settling = wait, False

    async def look(self, server: ForkedServer, execution: Execution) -> None:
        """At everything that there is of an execution that has ended."""
        events, detail = await recorded(server, execution.id)
        numbers = [event["payload"]["seq"] for event in events]
        assert numbers == (list(range(1, len(events) + 1)) if self.strict else sorted(set(numbers)))
        for follower in execution.followers:
            follower.compare(events)
        given: dict[str, Any] = {}
        for payload in [event["payload"] for event in events if event["type"] == "NODE_COMPLETE"]:  # each life tells it again
            assert given.setdefault(payload["nodeId"], payload["output"]) == payload["output"]
        status = self.statuses[execution.id or ""] = detail["status"]
        assert status == events[-1]["payload"]["status"]
        assert status in {None: ("complete",), True: ("interrupted",), False: ("complete", "interrupted")}[execution.interrupted], detail
        for node, value in execution.answered.items():
            assert given.get(node, {"answer": value}) == {"answer": value}
        self.counts["executions"] += 1
        self.counts["events"] += len(events)
        if status == "complete" and self.chance.random() < 0.1:
            await self.run_undisturbed(server, execution, events)

    async def run_undisturbed(self, server: ForkedServer, execution: Execution, events: list[Message]) -> None:
        """Its results are those of the same workflow on a server that nobody kills, with the same answers."""
        answers = {event["payload"]["nodeId"]: event["payload"]["value"] for event in events if event["type"] == "NODE_ANSWERED"}
        async with viewer(server.ws_url, close_timeout=0.1) as client:
            await client.send("PROMPT_REQUEST", {**execution.payload, "metadata": {"workflowName": _UNDISTURBED}})
            while not is_final(message := await client.receive()):
                if message["type"] == "NODE_WAITING":
                    node = message["payload"]["nodeId"]
                    await client.send("NODE_INPUT", {**message["payload"], "value": answers[node]})
        undisturbed, _ = await recorded(server, message["payload"]["promptId"])
        assert results(events) == results(undisturbed)
        self.counts["run again undisturbed"] += 1

    async def finish(self, server: ForkedServer) -> None:
        """Of all that ever was, nothing has changed since, and nothing has run since."""
        before = self.marks.copy()
        for id_, status in self.statuses.items():
            found = await server.http.get(f"/api/prompt/{id_}")
            assert found.status_code == 200, f"{id_} was accepted and is unknown"
            assert found.json()["status"] == status
        self.read_marks()
        assert self.marks == before
        names = await self.names(server)
        assert len(names) >= len(self.statuses)
        twice = [name for name, count in names.items() if count > 1]
        assert not twice, f"one request became two executions: {twice}"
        running = (await server.http.get("/api/executions")).json()["running"]
        assert not self.statuses.keys() & {info["promptId"] for info in running}

    async def names(self, server: ForkedServer) -> Counter[str]:
        """The names of all executions that are recorded, but for those that were run undisturbed."""
        found: Counter[str] = Counter()
        cursor: dict[str, str] = {}
        while True:
            page = (await server.http.get("/api/history", params={"limit": 100, **cursor})).json()
            found.update(entry["workflowName"] for entry in page["executions"] if entry["workflowName"] != _UNDISTURBED)
            if page.get("next") is None:
                return found
            cursor = {"cursor": page["next"]}


def asks(execution: Execution) -> bool:
    """Whether it has asked something that nobody has answered."""
    seen = execution.followers[0].seen.values()
    return bool({message["payload"]["nodeId"] for message in seen if message["type"] == "NODE_WAITING"} - execution.tried.keys())


def is_lost(error: BaseException) -> bool:
    """Whether it says that there is no server, and nothing else."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_lost(inner) for inner in error.exceptions)
    return isinstance(error, (*_LOST, asyncio.CancelledError))


def wait_for_a_write(file: Path) -> None:
    """Return as soon as a file is written to; or when that takes too long."""
    before, end = modified(file), time.monotonic() + 0.5
    while modified(file) == before and time.monotonic() < end:
        time.sleep(0.00002)


def modified(file: Path) -> int:
    """When it was written to; 0 where it is not there."""
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


async def recorded(server: ForkedServer, id_: str | None) -> tuple[list[Message], dict[str, Any]]:
    """The events of an execution, and how it stands."""
    found = (await server.http.get(f"/api/history/{id_}", params={"limit": 10_000})).json()
    assert found["complete"]
    return found["events"], found["execution"]


def results(events: list[Message]) -> dict[str, Any]:
    """What became of each node in the end: its output, and what it streamed since it began last."""
    found: dict[str, Any] = {}
    for event in events:
        payload = event["payload"]
        match event["type"]:
            case "NODE_EXECUTING":
                found[payload["nodeId"]] = {"chunks": []}
            case "NODE_YIELD" if payload["sourceNodeId"] in found:
                found[payload["sourceNodeId"]]["chunks"].append(payload["yieldedContent"])
            case "NODE_RETRYING":
                found[payload["nodeId"]]["chunks"].clear()
            case "NODE_COMPLETE":
                found.setdefault(payload["nodeId"], {"chunks": []})["output"] = payload["output"]
            case "NODE_SKIPPED":
                found[payload["nodeId"]] = "skipped"
    return found


@pytest.fixture(autouse=True)
def cut_off() -> Iterator[None]:
    """Connections whose other end was killed go with the event loop, which is the test's own; what is said of them is expected here."""
    yield
    gc.collect()


async def crash(folder: Path, kills: int, durability: str) -> None:
    """Kill a server so often, and look each time."""
    seed = int(os.environ.get("CRASH_SEED", random.randrange(2**32)))
    print(f"CRASH_SEED={seed}")
    install(folder / "packs", "crash", NODES)
    config = {**CONFIG, "history": {**CONFIG["history"], "durability": durability}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "marks").touch()
    begun = time.monotonic()
    async with forge(PYTHONPATH=str(folder / "packs"), CRASH_MARKS=str(folder / "marks")) as forged:
        crashes = Crashes(forged, folder, random.Random(seed), strict=durability == "strict")
        while crashes.counts["kills"] < kills:
            async with forged.serve(folder) as server:
                await crashes.settle(server)
                await crashes.life(server, new=True)
            for _ in range(crashes.chance.randint(0, _IN_A_ROW - 1)):
                if crashes.chance.random() < 0.5:
                    await crashes.kill_while_it_starts()
                    continue
                async with forged.serve(folder) as server:
                    await crashes.life(server, new=crashes.chance.random() < 0.5)
        for execution in crashes.open:
            execution.patience = 0
        async with forged.serve(folder) as server:
            await crashes.settle(server)
            await crashes.finish(server)
    print(f"{dict(crashes.counts)} in {time.monotonic() - begun:.0f} s")
    assert crashes.counts["executions"] >= kills


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="function")
@pytest.mark.timeout(3600)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of connections whose other end was killed
async def test_what_was_told_stays_true_over_many_kills(tmp_path: Path) -> None:
    """Nothing accepted is unknown or there twice, no node that was seen complete ran again, no number has a hole, a double or another
    content, an answer and an interrupt hold, and the results are those of an undisturbed run. `CRASH_KILLS` says how many."""
    await crash(tmp_path, int(os.environ.get("CRASH_KILLS", "300")), "strict")


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="function")
@pytest.mark.timeout(3600)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_who_was_told_too_early_is_told_to_start_over(tmp_path: Path) -> None:
    """Where what is told is written a little later: what was lost is not accepted work, nor an answer or an interrupt that was taken; no
    number stands for two events; and whoever has seen more than is recorded is told so. `CRASH_KILLS` says how many kills."""
    await crash(tmp_path, int(os.environ.get("CRASH_KILLS", "60")), "relaxed")
