"""Faults made on a real server while it runs workflows: nothing that anybody was told is untrue afterwards, and it comes back by itself.

What a fault does to each single write is looked at in `test_faults`, `test_unavailable`, `test_door` and the tests of the history.
"""

import asyncio
import itertools
import json
import os
import resource
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import httpx2
import pytest
import pytest_asyncio
from websockets.exceptions import ConnectionClosed

from support.client import Message, Viewer, is_final, viewer
from support.forked import Forge, ForkedServer, forge
from support.plugins import install
from support.server import PATIENCE_S

NODES = '''
    """Nodes that wait for a file, and nodes that end the process that they run in."""

    import asyncio
    import ctypes
    import os
    import time
    from pathlib import Path

    from tavernkeep import hookimpl, node


    @node("outage:Hold", output="name")
    async def hold(name: str, folder: str, after: str = "") -> str:
        """Leave a mark, and wait until a file is there."""
        with open(Path(folder) / "marks", "a") as opened:
            opened.write(name + "\\n")
        while not (Path(folder) / name).exists():
            await asyncio.sleep(0.005)
        return name


    @node("outage:Big")
    async def big() -> str:
        """Give a text that no page of the database has room for, however it is packed."""
        return os.urandom(20_000).hex()


    @node("outage:End")
    async def end(how: str, after: str = "") -> str:
        """End the process."""
        if how == "exit":
            os._exit(7)
        if how == "crash":
            ctypes.string_at(0)
        eaten = [bytearray(os.urandom(1)) * (64 << 20) for _ in range(64)]
        return str(len(eaten))


    @node("outage:Never")
    def never() -> str:
        """Never return, in a thread, and take no notice of anything."""
        while True:
            time.sleep(0.05)


    @hookimpl
    def register_nodes():
        return [hold, big, end, never]
'''
pytestmark = pytest.mark.slow
QUICK: Mapping[str, Any] = {"storage": {"sqlite": {"busyTimeoutS": 0.05}}, "logging": {"level": "warning"}}


def holds(folder: Path, *names: str) -> dict[str, Any]:
    """A chain of nodes that wait for the files of these names."""
    nodes = [{"id": name, "fullType": "outage:Hold", "inputs": {"name": name, "folder": str(folder)}} for name in names]
    pairs = itertools.pairwise(names)
    edges = [{"sourceNodeId": a, "sourceHandle": "name", "targetNodeId": b, "targetHandle": "after"} for a, b in pairs]
    return {"nodes": nodes, "edges": edges, "metadata": {"workflowName": " ".join(names)}}


@pytest_asyncio.fixture(scope="module")
async def forged(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Forge]:
    """What servers are forked from."""
    packs = install(tmp_path_factory.mktemp("packs"), "outage", NODES)
    async with forge(PYTHONPATH=str(packs)) as running:
        yield running


def configure(folder: Path, config: Mapping[str, Any] = QUICK) -> None:
    (folder / "config.json").write_text(json.dumps(config))


# Nothing can be written


@contextmanager
def full(server: ForkedServer, database: Path) -> Iterator[None]:
    """The disk is full."""
    filler = database.parent / "filler"
    with filler.open("wb", buffering=0) as opened, suppress(OSError):
        while True:
            opened.write(b"\0" * 4096)
    yield
    filler.unlink()


@contextmanager
def no_longer_files(server: ForkedServer, database: Path) -> Iterator[None]:
    """The system refuses to write files further than this: each such write is an I/O error."""
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (hard, hard))


@contextmanager
def locked(server: ForkedServer, database: Path) -> Iterator[None]:
    """Another process holds the database."""
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def gone(server: ForkedServer, database: Path) -> Iterator[None]:
    """The file is not where it was."""
    away = database.rename(database.with_name("away"))
    yield
    away.rename(database)


FAULTS: Mapping[str, Callable[[ForkedServer, Path], Any]] = {
    "full": full,
    "no longer files": no_longer_files,
    "locked": locked,
    "gone": gone,
}


@attrs.define(eq=False)
class Watching:
    """All that a viewer was told."""

    client: Viewer
    messages: list[Message] = attrs.field(factory=list)

    async def until(self, wanted: Callable[[Message], bool]) -> Message:
        """The first message that is wanted, of those that come."""
        while True:
            self.messages.append(message := await self.client.receive())
            if wanted(message):
                return message

    def of(self, execution_id: str) -> list[Message]:
        """The events of one execution."""
        return [message for message in self.messages if message["payload"].get("promptId") == execution_id and "seq" in message["payload"]]

    async def submit(self, payload: Mapping[str, Any]) -> str:
        """Run a workflow; gives its id."""
        await self.client.send("PROMPT_REQUEST", payload)
        return str((await self.until(lambda message: message["type"] == "PROMPT_ACCEPTED_RESPONSE"))["payload"]["promptId"])


def executing(node: str) -> Callable[[Message], bool]:
    return lambda message: message["type"] == "NODE_EXECUTING" and message["payload"]["nodeId"] == node


def recording(on: bool) -> Callable[[Message], bool]:
    return lambda message: message["type"] == "SYSTEM_RECORDING_UPDATE" and message["payload"]["recording"] is on


async def recorded(server: ForkedServer, execution_id: str) -> tuple[str, list[Message]]:
    """The status of an execution, and its events."""
    found = (await server.http.get(f"/api/history/{execution_id}", params={"limit": 10_000})).json()
    assert [event["payload"]["seq"] for event in found["events"]] == list(range(1, len(found["events"]) + 1))
    return found["execution"]["status"], found["events"]


async def until_well(server: ForkedServer) -> None:
    """Return when it says that it is ready."""
    async with asyncio.timeout(PATIENCE_S):
        while (await server.http.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("fault", FAULTS)
async def test_nothing_can_be_written(forged: Forge, tmp_path: Path, small_disk: Path, fault: str) -> None:
    """New work is refused with 503 and the reason, `/readyz` says it, what runs goes on, a notice tells it; then all is as it was."""
    database = small_disk / "db.sqlite3"
    configure(tmp_path, {**QUICK, "storage": {"url": str(database), "sqlite": {"busyTimeoutS": 0.05}}})
    async with forged.serve(tmp_path) as server:
        async with viewer(server.ws_url) as client:
            watching = Watching(client)
            runs = await watching.submit(holds(tmp_path, "a", "b"))
            await watching.until(executing("a"))
            with FAULTS[fault](server, database):
                while (refused := await server.http.post("/api/prompt", json=holds(tmp_path, "x"))).status_code == 200:
                    await asyncio.sleep(0)  # what was written last has left some room, which is used up first
                assert refused.status_code == 503
                assert refused.json()["error"].startswith("Executions cannot be recorded: ")
                await watching.until(recording(False))
                ready = await server.http.get("/readyz")
                assert ready.status_code == 503
                assert "Executions cannot be recorded" in ready.json()["details"]["history"]
                (tmp_path / "a").touch()
                async with asyncio.timeout(PATIENCE_S):
                    while "b" not in (tmp_path / "marks").read_text().split():
                        await asyncio.sleep(0.01)
                shown = (await server.http.get(f"/api/prompt/{runs}")).json()
                assert {node["status"] for node in shown["nodeStatus"].values()} == {"executing", "pending"}, "shown before it is kept"
            await watching.until(recording(True))
            await until_well(server)
            (tmp_path / "b").touch()
            (tmp_path / "x").touch()
            await watching.until(lambda message: is_final(message) and message["payload"]["promptId"] == runs)
            after = await watching.submit(holds(tmp_path, "a"))
            await watching.until(lambda message: is_final(message) and message["payload"]["promptId"] == after)
        told = {id_: watching.of(id_) for id_ in (runs, after)}
        known = {entry["promptId"] for entry in (await server.http.get("/api/history")).json()["executions"]}
    async with forged.serve(tmp_path) as server:
        for id_, events in told.items():
            assert await recorded(server, id_) == ("complete", events)
        assert {entry["promptId"] for entry in (await server.http.get("/api/history")).json()["executions"]} == known


async def test_another_process_that_writes_all_the_time(forged: Forge, tmp_path: Path) -> None:
    """Each has its turn: nothing is refused, and nothing lost."""
    configure(tmp_path, {"logging": {"level": "warning"}})
    program = (
        "import sqlite3, sys, time\n"
        "other = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)\n"
        "other.execute('CREATE TABLE other (value)')\n"
        "while True:\n"
        "    other.execute('BEGIN IMMEDIATE')\n"
        "    other.executemany('INSERT INTO other VALUES (?)', [('x' * 100,)] * 100)\n"
        "    other.execute('COMMIT')\n"
        "    time.sleep(0.005)\n"
    )
    (tmp_path / "a").touch()
    async with forged.serve(tmp_path) as server:
        other = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(tmp_path / "data" / "tavernkeep.sqlite3"))
        try:
            async with viewer(server.ws_url) as client:
                watching = Watching(client)
                for _ in range(20):
                    id_ = await watching.submit(holds(tmp_path, "a"))
                    await watching.until(is_final)
                    assert await recorded(server, id_) == ("complete", watching.of(id_))
        finally:
            other.kill()
            await other.wait()


def corrupt_a_page(database: Path) -> None:
    """Write nonsense over the first page of the database that holds nothing but a part of one large block of events."""
    with closing(sqlite3.connect(database)) as opened:
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages = "SELECT pageno FROM dbstat WHERE name = 'execution_events' AND pagetype = 'overflow'"
        (page,) = opened.execute(pages).fetchone()
        (size,) = opened.execute("PRAGMA page_size").fetchone()
    with database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


async def test_a_corrupt_page(forged: Forge, tmp_path: Path) -> None:
    """Whose page it is does not go on, and says why; the others do, what is new is taken, and of it the rest is shown."""
    configure(tmp_path)
    large = holds(tmp_path, "a")
    large["nodes"].append({"id": "big", "fullType": "outage:Big"})
    large["edges"].append({"sourceNodeId": "big", "sourceHandle": "output", "targetNodeId": "a", "targetHandle": "after"})
    async with forged.serve(tmp_path) as server, viewer(server.ws_url, close_timeout=0.1) as client:
        watching = Watching(client)
        damaged = await watching.submit(large)
        await watching.until(executing("a"))
        other = await watching.submit(holds(tmp_path, "b"))
        await watching.until(executing("b"))
    corrupt_a_page(tmp_path / "data" / "tavernkeep.sqlite3")
    for name in ("a", "b"):
        (tmp_path / name).touch()
    async with forged.serve(tmp_path) as server, viewer(server.ws_url) as client:
        watching.client = client
        await client.send("SUBSCRIBE", {"promptId": other, "after": watching.of(other)[-1]["payload"]["seq"]})
        await watching.until(lambda message: is_final(message) and message["payload"]["promptId"] == other)
        assert await recorded(server, other) == ("complete", watching.of(other))
        new = await watching.submit(holds(tmp_path, "b"))
        await watching.until(lambda message: is_final(message) and message["payload"]["promptId"] == new)
        assert await recorded(server, new) == ("complete", watching.of(new))
        found = (await server.http.get(f"/api/prompt/{damaged}")).json()
        assert (found["status"], "cannot" in found["errorInfo"]["message"]) == ("error", True)
        assert {entry["promptId"] for entry in (await server.http.get("/api/history")).json()["executions"]} == {damaged, other, new}


# No more of something


def descriptors(server: ForkedServer) -> int:
    return max(int(name) for name in os.listdir(f"/proc/{server.pid}/fd")) + 1


async def comes(server: ForkedServer) -> int:
    """Be a client that was not there before; gives the status of the answer."""
    async with httpx2.AsyncClient(base_url=server.url, timeout=PATIENCE_S, trust_env=False) as client:
        return (await client.get("/readyz")).status_code


async def test_no_descriptors(forged: Forge, tmp_path: Path) -> None:
    """Who is connected goes on, workflows too; who comes is turned away until there are some again."""
    configure(tmp_path)
    async with forged.serve(tmp_path) as server, viewer(server.ws_url) as client:
        watching = Watching(client)
        merge = {"nodes": [{"id": "n", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["x"]}}], "edges": []}
        ids = [await watching.submit(merge)]  # the first has the key made by which payloads are sealed
        await watching.until(is_final)
        await server.http.get("/readyz")  # by a connection that stays
        soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (descriptors(server), hard))
        with pytest.raises(httpx2.TransportError):
            await comes(server)
        for _ in range(5):
            ids.append(await watching.submit(merge))
            end = await watching.until(is_final)
            assert end["payload"]["status"] == "complete"
        ready = await server.http.get("/readyz")
        assert ready.status_code == 200, ready.text
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (soft, hard))
        assert await comes(server) == 200
        for id_ in ids:
            assert await recorded(server, id_) == ("complete", watching.of(id_))


async def test_no_threads(forged: Forge, tmp_path: Path) -> None:
    """A node that wants one fails, and what needs none goes on; afterwards all is as it was."""
    configure(tmp_path)
    thread = {"nodes": [{"id": "n", "fullType": "outage:Never"}], "edges": []}
    merge = {"nodes": [{"id": "n", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["x"]}}], "edges": []}
    group = Path("/sys/fs/cgroup/pids") / f"tavernkeep-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"the number of threads is bounded by a control group for this, which cannot be made here: {error}")
    try:
        async with forged.serve(tmp_path) as server, viewer(server.ws_url) as client:
            watching = Watching(client)
            (group / "cgroup.procs").write_text(str(server.pid))
            (group / "pids.max").write_text((group / "pids.current").read_text())
            failed = await watching.submit(thread)
            end = await watching.until(is_final)
            assert (end["payload"]["status"], "thread" in json.dumps(end["payload"]["errorInfo"])) == ("error", True)
            fine = await watching.submit(merge)
            assert (await watching.until(is_final))["payload"]["status"] == "complete"
            (group / "pids.max").write_text("max")
            await until_well(server)
            for id_, status in ((failed, "error"), (fine, "complete")):
                assert await recorded(server, id_) == (status, watching.of(id_))
    finally:
        group.rmdir()


# Stopped, and overtaken


async def test_a_server_that_stands_still(forged: Forge, tmp_path: Path) -> None:
    """Whoever hung up meanwhile is told the rest when it goes on, and nothing twice."""
    configure(tmp_path)
    async with forged.serve(tmp_path) as server:
        async with viewer(server.ws_url, close_timeout=0.1) as client:
            watching = Watching(client)
            id_ = await watching.submit(holds(tmp_path, "a", "b"))
            await watching.until(executing("a"))
            server.signal(signal.SIGSTOP)
            (tmp_path / "a").touch()
            (tmp_path / "b").touch()
        await asyncio.sleep(1)
        server.signal(signal.SIGCONT)
        async with viewer(server.ws_url) as client:
            watching.client = client
            await client.send("SUBSCRIBE", {"promptId": id_, "after": watching.of(id_)[-1]["payload"]["seq"]})
            await watching.until(is_final)
        assert await recorded(server, id_) == ("complete", watching.of(id_))
    assert (tmp_path / "marks").read_text().split() == ["a", "b"]


@asynccontextmanager
async def overtaken(forged: Forge, folder: Path, first: ForkedServer) -> AsyncIterator[ForkedServer]:
    """A server that is started on the folder of one that stands still, by somebody who takes its lock away."""
    first.signal(signal.SIGSTOP)
    (folder / "data" / "server.lock").unlink()
    async with forged.serve(folder) as second:
        yield second


async def test_a_server_that_wakes_up_after_another_took_its_place(forged: Forge, tmp_path: Path) -> None:
    """It changes nothing of what the other one has taken up, tells nobody anything of it, and stops it; it accepts nothing new."""
    configure(tmp_path)
    async with forged.serve(tmp_path) as first, viewer(first.ws_url) as client:
        watching = Watching(client)
        id_ = await watching.submit(holds(tmp_path, "a", "b", "c"))
        await watching.until(executing("a"))
        async with overtaken(forged, tmp_path, first) as second:
            async with viewer(second.ws_url) as other:
                seen = Watching(other, watching.messages.copy())
                await other.send("SUBSCRIBE", {"promptId": id_, "after": watching.of(id_)[-1]["payload"]["seq"]})
                await seen.until(executing("a"))
                first.signal(signal.SIGCONT)
                refused = await first.http.post("/api/prompt", json=holds(tmp_path, "d"))
                assert (refused.status_code, "another server has taken over" in refused.text) == (503, True), refused.text
                (tmp_path / "a").touch()
                await seen.until(executing("b"))
                async with asyncio.timeout(PATIENCE_S):
                    while (await first.http.get("/api/executions")).json()["running"]:
                        await asyncio.sleep(0.01)
                (tmp_path / "b").touch()
                (tmp_path / "c").touch()
                await seen.until(is_final)
            assert await recorded(second, id_) == ("complete", seen.of(id_))
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await watching.until(lambda message: False)
            told = watching.of(id_)
            assert told == seen.of(id_)[: len(told)]
            assert not [message for message in told if message["type"] == "NODE_COMPLETE"]
            marks = (tmp_path / "marks").read_text().split()
            assert marks.count("c") == 1  # what was refused may have begun meanwhile, as its acceptance was being written
            ready = await first.http.get("/readyz")
            assert (ready.status_code, "another server has taken over" in ready.text) == (503, True)
            assert [entry["promptId"] for entry in (await second.http.get("/api/history")).json()["executions"]] == [id_]


# What nodes can do to the process


@contextmanager
def bounded_memory(how: str) -> Iterator[Callable[[int], None]]:
    """What lets a process have no more memory than that, before the system ends it; where the node is to eat more."""
    group = Path("/sys/fs/cgroup/memory") / f"tavernkeep-{os.getpid()}"
    if how != "eat":
        yield lambda pid: None
        return
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(1 << 30))
    except OSError as error:
        pytest.skip(f"memory is bounded by a control group for this, which cannot be made here: {error}")

    def bound(pid: int) -> None:
        (group / "cgroup.procs").write_text(str(pid))

    try:
        yield bound
    finally:
        group.rmdir()


@pytest.mark.parametrize("how", ["exit", "crash", "eat"])
async def test_a_node_that_ends_the_process(forged: Forge, tmp_path: Path, how: str) -> None:
    """After a few times its execution ends in an error that names it; the others, also those beside it, come to their ends."""
    configure(tmp_path)
    (tmp_path / "b").touch()
    ends = 0
    with bounded_memory(how) as bound:
        async with forged.serve(tmp_path) as server:
            bound(server.pid)
            async with viewer(server.ws_url, close_timeout=0.1) as client:
                watching = Watching(client)
                good = [await watching.submit(holds(tmp_path, "a")), await watching.submit(holds(tmp_path, "b", "a"))]
                payload = holds(tmp_path, "go")
                payload["nodes"].append({"id": "end", "fullType": "outage:End", "inputs": {"how": how}})
                payload["edges"].append({"sourceNodeId": "go", "sourceHandle": "name", "targetNodeId": "end", "targetHandle": "after"})
                bad = await watching.submit(payload)
                (tmp_path / "go").touch()
                with suppress(ConnectionClosed):
                    await watching.until(lambda message: False)
        (tmp_path / "a").touch()
        status = ""
        while status != "error":
            ends += 1
            async with forged.serve(tmp_path) as server:
                bound(server.pid)
                with suppress(httpx2.TransportError):
                    async with asyncio.timeout(PATIENCE_S):
                        while (found := (await server.http.get(f"/api/prompt/{bad}")).json())["status"] != "error":
                            await asyncio.sleep(0.01)
                    assert found["errorInfo"]["nodesAtWork"] == ["end"]
                    status, told = await recorded(server, bad)
                    assert (status, told[-1]["payload"]["errorInfo"]) == ("error", found["errorInfo"])
                    for id_ in good:
                        async with server.http.stream("GET", f"/api/prompt/{id_}/events") as events:
                            async for _ in events.aiter_lines():
                                pass
                        assert (await recorded(server, id_))[0] == "complete"
    assert 5 <= ends <= 6  # what it was about when it ended the first server may not have been kept


async def test_a_node_that_never_returns(forged: Forge, tmp_path: Path) -> None:
    """It is stopped for its viewers, the others go on, and after a kill it is begun again and can be stopped again."""
    configure(tmp_path)
    (tmp_path / "a").touch()
    never = {"nodes": [{"id": "n", "fullType": "outage:Never"}], "edges": []}
    async with forged.serve(tmp_path) as server, viewer(server.ws_url) as client:
        watching = Watching(client)
        id_ = await watching.submit(never)
        await watching.until(executing("n"))
        fine = await watching.submit(holds(tmp_path, "a"))
        await watching.until(is_final)
        assert await recorded(server, fine) == ("complete", watching.of(fine))
    async with forged.serve(tmp_path) as server, viewer(server.ws_url) as client:
        watching.client = client
        await client.send("SUBSCRIBE", {"promptId": id_, "after": watching.of(id_)[-1]["payload"]["seq"]})
        await watching.until(executing("n"))
        assert (await server.http.delete(f"/api/interrupt/{id_}")).status_code == 200
        await watching.until(is_final)
        assert await recorded(server, id_) == ("interrupted", watching.of(id_))
    async with forged.serve(tmp_path) as server:
        assert await recorded(server, id_) == ("interrupted", watching.of(id_))
        assert not (await server.http.get("/api/executions")).json()["running"]
