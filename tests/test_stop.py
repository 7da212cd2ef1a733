"""The end of the server comes in any case: whatever ignores that it is told to end is named, and left."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import psutil
import pytest

from support.client import Viewer, is_final, statuses, viewer
from support.plugins import install, on_path
from support.server import BIN, PATIENCE_S, Server, environment, serve

HYPERCORN: Final = (str(BIN / "hypercorn"), "tavernkeep.asgi:app", "--bind", "127.0.0.1:0", "--workers", "0")
WAYS: Final[Mapping[str, dict[str, Any]]] = {"tavernkeep serve": {}, "hypercorn": {"command": HYPERCORN}}

STUBBORN = '''
    """What does not end, wherever it stands: `STUBBORN` names the hook that does not return, and how."""

    import asyncio
    import os
    import threading
    import time
    from pathlib import Path

    from tavernkeep import NodeDefinition, hookimpl, node


    async def for_ever():
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass


    def note(what):
        with open("marks", "a") as marks:
            marks.write(what + "\\n")


    @node("stubborn:Async")
    async def swallows() -> str:
        """Swallow every cancellation."""
        await for_ever()


    @node("stubborn:Thread")
    def never_returns() -> str:
        """Never return, in a thread."""
        while True:
            time.sleep(0.01)


    @node("stubborn:Inline", inline=True)
    def holds_the_loop() -> str:
        """Never return, on the event loop."""
        note("inline")
        while True:
            time.sleep(0.01)


    @node("stubborn:Process", process=True)
    def compute() -> str:
        """Never return, in a process of its own."""
        note(f"process {os.getpid()}")
        while True:
            time.sleep(0.01)


    @node("stubborn:Once")
    async def once(gate: str = "gate") -> str:
        """Wait until a file is there."""
        note("once")
        while not Path(gate).exists():
            await asyncio.sleep(0.01)
        return "done"


    @hookimpl
    def register_nodes():
        return [swallows, never_returns, holds_the_loop, compute, once]


    async def hook(name):
        how = os.environ.get("STUBBORN", "").partition(":")
        if how[0] != name:
            return
        note(name)
        if how[2] == "blocks":
            while True:
                time.sleep(0.01)
        elif how[2] == "swallows":
            await for_ever()
        elif how[2] == "thread":
            threading.Thread(target=time.sleep, args=(600,), name="stubborn thread").start()
        elif how[2] == "task":
            asyncio.create_task(for_ever(), name="stubborn task")
        else:
            await asyncio.Event().wait()


    @hookimpl
    async def startup():
        await hook("startup")


    @hookimpl
    async def drain():
        await hook("drain")


    @hookimpl
    async def shutdown():
        await hook("shutdown")
'''


def node_of(type_: str) -> dict[str, Any]:
    return {"nodes": [{"id": "stays", "fullType": f"stubborn:{type_}"}], "edges": []}


@asynccontextmanager
async def stubborn(
    folder: Path,
    config: Mapping[str, Any] | None = None,
    *,
    hook: str = "",
    way: str = "tavernkeep serve",
    grace_s: float = 0,
    wait_s: float = 6,
) -> AsyncIterator[Server]:
    """A server with what does not end."""
    whole = {"engine": {"shutdownGraceS": grace_s}, "server": {"stopWaitS": wait_s}, **(config or {})}
    async with serve(folder, whole, **WAYS[way], **on_path(install(folder / "packs", "stubborn", STUBBORN)), STUBBORN=hook) as server:
        yield server


async def begin(client: Viewer, payload: Mapping[str, Any]) -> str:
    """Run a workflow until its node is at work; gives the id of the execution."""
    await client.send("PROMPT_REQUEST", payload)
    messages = await client.until(lambda m: m["type"] == "NODE_EXECUTING")
    id_: str = messages[-1]["payload"]["promptId"]
    return id_


async def marked(folder: Path, what: str) -> None:
    """Return when a node or a hook has noted something."""
    async with asyncio.timeout(PATIENCE_S):
        while not (folder / "marks").exists() or what not in (folder / "marks").read_text():
            await asyncio.sleep(0.01)


def line_of(server: Server, *mentions: str) -> str:
    """The one line of the log that has all of these."""
    (line,) = [line for line in server.stderr if all(mention in line for mention in mentions)]
    return line


@pytest.mark.slow
@pytest.mark.parametrize(("type_", "way"), [("Async", "tavernkeep serve"), ("Async", "hypercorn"), ("Thread", "tavernkeep serve")])
async def test_a_node_that_never_ends_is_named_and_left(tmp_path: Path, type_: str, way: str) -> None:
    """Its execution ends as one that the stop interrupted, its viewer is told, and the process ends by itself."""
    async with stubborn(tmp_path, {"history": {"resume": False}}, way=way) as server, viewer(server.ws_url) as client:
        id_ = await begin(client, node_of(type_))
        server.process.send_signal(signal.SIGTERM)
        messages = await client.until(is_final)
        assert statuses(messages)[-1] == "interrupted"
        assert await server.stop() == 0
        assert line_of(server, id_, "stays", "left behind")
        assert "Traceback" not in server.output()


@pytest.mark.slow
@pytest.mark.parametrize("signals", [1, 3])
async def test_a_node_that_holds_the_event_loop_is_cut_off(tmp_path: Path, signals: int) -> None:
    """Where nothing of the server can run any more the process ends after the wait, or at the third signal, and says where it stood."""
    async with stubborn(tmp_path, wait_s=2 if signals == 1 else 600) as server, viewer(server.ws_url) as client:
        await client.send("PROMPT_REQUEST", node_of("Inline"))
        await marked(tmp_path, "inline")
        for _ in range(signals):
            server.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.1)  # two of one kind that wait are one
        async with asyncio.timeout(PATIENCE_S):
            assert await server.process.wait() == (1 if signals == 1 else 128 + signal.SIGTERM)
        await server.stop()
        assert "stubborn.py:" in line_of(server, "what has not come to an end is left", "execution ")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_node_in_a_process_ends_with_the_server(tmp_path: Path, number: int) -> None:
    """A process that computes for ever is killed at the stop, and also where the server itself is killed."""
    async with stubborn(tmp_path) as server, viewer(server.ws_url) as client:
        await client.send("PROMPT_REQUEST", node_of("Process"))
        await marked(tmp_path, "process ")
        (pid,) = re.findall(r"process (\d+)", (tmp_path / "marks").read_text())
        await server.stop(number)
        async with asyncio.timeout(PATIENCE_S):
            while psutil.pid_exists(int(pid)) and psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE:
                await asyncio.sleep(0.01)


CUT_OFF: Final = "what has not come to an end is left"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "hook", "code", "mentions"),
    [
        ("tavernkeep serve", "drain:waits", 1, ("plugin failed to stop", "stubborn", "drain")),
        ("tavernkeep serve", "shutdown:waits", 1, ("plugin failed to stop", "stubborn", "shutdown")),
        ("tavernkeep serve", "drain:swallows", 1, (CUT_OFF, "plugin stubborn, hook drain")),
        ("tavernkeep serve", "shutdown:swallows", 1, (CUT_OFF, "plugin stubborn, hook shutdown")),
        ("tavernkeep serve", "drain:blocks", 1, (CUT_OFF, "plugin stubborn, hook drain", "stubborn.py:")),
        ("tavernkeep serve", "drain:thread", 0, (CUT_OFF, "thread stubborn thread")),
        ("tavernkeep serve", "drain:task", 0, (CUT_OFF, "stubborn task")),
        ("hypercorn", "shutdown:waits", 0, ("plugin failed to stop", "stubborn", "shutdown")),
        ("hypercorn", "drain:swallows", 1, (CUT_OFF, "plugin stubborn, hook drain")),
        ("hypercorn", "drain:thread", 0, (CUT_OFF, "thread stubborn thread")),
    ],
)
async def test_a_hook_that_does_not_return_is_named_and_left(
    tmp_path: Path, way: str, hook: str, code: int, mentions: tuple[str, ...]
) -> None:
    """The stop goes on without it where it can be cancelled, and else ends the process. The exit code says whether a hook was cut off;
    that of Hypercorn says so only where it was the process that was."""
    async with stubborn(tmp_path, hook=hook, way=way, wait_s=3) as server:
        assert (await server.http.get("/healthz")).status_code == 200
        assert await server.stop() == code
        assert line_of(server, *mentions)
        assert "Traceback" not in server.output()


async def test_the_second_signal_ends_the_grace_and_the_third_the_process(tmp_path: Path) -> None:
    """Told once, it gives what runs its time; told again, it interrupts that; told a third time, it waits for nothing."""
    async with stubborn(tmp_path, {"history": {"resume": False}}, grace_s=600) as server, viewer(server.ws_url) as client:
        await begin(client, node_of("Once"))
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGINT)
        assert statuses(await client.until(is_final))[-1] == "interrupted"
        assert await server.stop(signal.SIGTERM) in (0, 128 + signal.SIGTERM)
    async with stubborn(tmp_path, grace_s=600, wait_s=600, hook="drain:swallows") as server:
        for _ in range(3):
            server.process.send_signal(signal.SIGINT)
            await asyncio.sleep(0.1)
        assert await server.stop(signal.SIGINT) == 128 + signal.SIGINT
        assert line_of(server, "told three times", "plugin stubborn, hook drain")


@pytest.mark.slow
@pytest.mark.parametrize("hook", ["startup:waits", "startup:swallows", "startup:blocks"])
async def test_a_server_that_is_told_to_stop_while_it_starts_does_so(tmp_path: Path, hook: str) -> None:
    """Whatever a plugin does there: what is up is taken down again, and a hook that does not return is named."""
    path = on_path(install(tmp_path / "packs", "stubborn", STUBBORN))
    (tmp_path / "config.json").write_text('{"server": {"stopWaitS": 2}}')
    process = await asyncio.create_subprocess_exec(
        str(BIN / "tavernkeep"),
        *("serve", "--port", "0"),
        cwd=tmp_path,
        env=environment(**path, STUBBORN=hook),
        stderr=asyncio.subprocess.PIPE,
    )
    await marked(tmp_path, "startup")
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(PATIENCE_S):
        _, stderr = await process.communicate()
    waits = hook == "startup:waits"
    assert process.returncode == (0 if waits else 1), stderr
    assert b"Traceback" not in stderr
    assert waits or b"plugin stubborn, hook startup" in stderr


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
async def test_a_client_that_reads_nothing_does_not_hold_up_the_end(tmp_path: Path, way: str) -> None:
    """It is waited for as long as for others and then cut off; everything else is taken down in order, which the exit code says."""
    async with stubborn(tmp_path, way=way) as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(f"GET /api/nodes HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode() * 200)
            async with asyncio.timeout(PATIENCE_S):
                while "/api/nodes" not in server.output():
                    await asyncio.sleep(0.01)
            assert await server.stop() == 0
        assert CUT_OFF not in server.output()


@pytest.mark.slow
async def test_a_database_that_is_locked_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """What cannot be written then has been told to nobody: the next start goes on with it, and ends it once."""
    config = {"storage": {"sqlite": {"busyTimeoutS": 0.5}}}
    async with stubborn(tmp_path, config, wait_s=20) as server, viewer(server.ws_url) as client:
        id_ = await begin(client, node_of("Once"))
        other = sqlite3.connect(tmp_path / "data" / "tavernkeep.sqlite3", isolation_level=None)
        with contextlib.closing(other):
            other.execute("BEGIN IMMEDIATE")
            assert await server.stop() == 1
            assert line_of(server, "history", "cannot be written", id_)
            told = [m async for m in client.socket]
            assert [m for m in told if "interrupted" in str(m)] == []
    await goes_on(tmp_path, id_)


async def goes_on(folder: Path, execution_id: str) -> None:
    """See that a new server goes on with an execution whose node waits for the gate, and completes it."""
    (folder / "gate").touch()
    async with stubborn(folder) as server, asyncio.timeout(PATIENCE_S):
        while (found := (await server.http.get(f"/api/prompt/{execution_id}")).json())["status"] != "complete":
            assert found["status"] in ("queued", "running"), found
            await asyncio.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("durability", "hook"),
    [("strict", "drain:waits"), ("strict", "drain:blocks"), ("relaxed", ""), ("relaxed", "drain:waits"), ("relaxed", "shutdown:swallows")],
)
async def test_what_a_stop_interrupts_goes_on_at_the_next_start(tmp_path: Path, durability: str, hook: str) -> None:
    """However the stop ended: an execution that a client has seen run is gone on with, and completes."""
    config = {"history": {"durability": durability}}
    async with stubborn(tmp_path, config, hook=hook, wait_s=2) as server, viewer(server.ws_url) as client:
        id_ = await begin(client, node_of("Once"))
        await asyncio.sleep(0.3 if durability == "relaxed" else 0)
        await server.stop()
    await goes_on(tmp_path, id_)


@pytest.mark.slow
async def test_an_execution_whose_node_was_left_goes_on_at_the_next_start(tmp_path: Path) -> None:
    """A node that ignores its cancellation was told to stop like any other: that it did not counts against nobody."""
    async with stubborn(tmp_path) as server, viewer(server.ws_url) as client:
        id_ = await begin(client, node_of("Async"))
        assert await server.stop() == 0
    for _ in range(6):
        async with stubborn(tmp_path, wait_s=2) as server:
            found = (await server.http.get(f"/api/prompt/{id_}")).json()
            assert found["status"] == "running", found
            assert await server.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("signals", [1, 2])
async def test_a_workflow_in_the_foreground_ends_in_any_case(tmp_path: Path, signals: int) -> None:
    """`tavernkeep run` names the node that ignores Ctrl-C, and leaves it; a second Ctrl-C ends the program at once."""
    path = on_path(install(tmp_path / "packs", "stubborn", STUBBORN))
    (tmp_path / "stays.json").write_text(json.dumps(node_of("Async")))
    process = await asyncio.create_subprocess_exec(
        *(str(BIN / "tavernkeep"), "run", "stays.json"),
        cwd=tmp_path,
        env=environment(**path),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    await process.stderr.readuntil(b"[stays] executing")
    for _ in range(signals):
        process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.5)
    async with asyncio.timeout(PATIENCE_S):
        stdout, stderr = await process.communicate()
    if signals == 1:
        assert (process.returncode, json.loads(stdout)) == (130, {})
        assert b"left behind" in stderr
    else:
        assert process.returncode == -signal.SIGINT


def starts(server: Server) -> int:
    return server.output().count("is ready at")


@pytest.mark.slow
@pytest.mark.parametrize("type_", ["Async", "Thread", "Once"])
async def test_a_restart_comes_in_any_case(tmp_path: Path, type_: str) -> None:
    """What does not end is left behind, as at a stop, and the server is there again in the same process."""
    async with stubborn(tmp_path) as server, viewer(server.ws_url) as client:
        await begin(client, node_of(type_))
        assert (await server.http.post("/api/server/restart")).status_code == 202
        async with asyncio.timeout(PATIENCE_S):
            while starts(server) < 2:
                await asyncio.sleep(0.02)
        assert await server.stop() == 0


@pytest.mark.slow
async def test_a_server_that_is_told_to_stop_while_it_restarts_does_so(tmp_path: Path) -> None:
    """The later word counts: it ends, and does not come again."""
    async with stubborn(tmp_path, grace_s=600) as server, viewer(server.ws_url) as client:
        await begin(client, node_of("Once"))
        assert (await server.http.post("/api/server/restart")).status_code == 202
        async with asyncio.timeout(PATIENCE_S):
            while (await server.http.post("/api/prompt", json=node_of("Once"))).status_code != 503:
                await asyncio.sleep(0.02)
        server.process.send_signal(signal.SIGTERM)
        (tmp_path / "gate").touch()
        async with asyncio.timeout(PATIENCE_S):
            assert await server.process.wait() == 0
        assert starts(server) == 1


@pytest.mark.slow
async def test_a_node_in_a_group_is_named_too(tmp_path: Path) -> None:
    """By its whole path: the group that it is in, and its own id."""
    nodes = [{"id": "stays", "type": "stubborn:Async"}]
    inner = {"id": "inner", "name": "inner", "nodes": nodes, "edges": [], "interfaceInputs": {}, "interfaceOutputs": {}}
    outer = {
        "nodes": [{"id": "group", "fullType": "core:NodeGroup", "configValues": {"referencedWorkflowId": "inner"}}],
        "edges": [],
        "workflows": {"inner": inner},
    }
    async with stubborn(tmp_path, wait_s=20) as server, viewer(server.ws_url) as client:
        await client.send("PROMPT_REQUEST", outer)
        await client.until(lambda m: m["type"] == "NODE_EXECUTING" and "stays" in m["payload"]["nodeId"])
        assert await server.stop() == 0
        assert line_of(server, "left behind", "group/stays")


@pytest.mark.slow
async def test_a_log_that_nobody_reads_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """Where the pipe of standard error is full every line of the log waits, the last word too; the process ends all the same."""
    (tmp_path / "config.json").write_text('{"server": {"stopWaitS": 2}}')
    read, write = os.pipe()
    with os.fdopen(read, "rb", buffering=0) as log:
        program = (str(BIN / "tavernkeep"), "serve", "--port", "0")
        process = await asyncio.create_subprocess_exec(*program, cwd=tmp_path, env=environment(), stderr=write)
        os.close(write)
        said = b""
        while (found := re.search(rb"ready at (http://\S+)", said)) is None:
            said += await asyncio.to_thread(log.read, 4096)
        async with httpx2.AsyncClient(base_url=found[1].decode(), timeout=2, trust_env=False) as http:
            with contextlib.suppress(httpx2.ReadTimeout):  # which comes as soon as a line does not fit
                while True:
                    await http.get("/healthz")
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE_S):
                assert await process.wait() == 1
