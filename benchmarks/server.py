"""The server from outside: a chain over `/ws` beside an echo server on the same stack, LLM calls, streams, start and memory."""

import asyncio
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from operator import truediv
from pathlib import Path
from typing import Any

import httpx2
import psutil

from support.client import Viewer, viewer
from support.llm import LlmServer, channel, llm_server
from support.server import Server, serve

ECHO = """
import asyncio, json, logging, sys, uvloop
from hypercorn.asyncio import serve
from hypercorn.config import Config

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        for frame in json.loads(message["text"]):
            await send({"type": "websocket.send", "text": frame})

config = Config()
config.bind = ["127.0.0.1:0"]
config.websocket_max_message_size = 64 * 1024 * 1024
uvloop.run(serve(app, config))
"""


def chain(length: int) -> dict[str, Any]:
    nodes = [{"id": f"n{i}", "fullType": "core:TextMerge", "inputs": {"separator": "-", "text_inputs": ["x"]}} for i in range(length)]
    edges = [
        {
            "id": f"e{i}",
            "sourceNodeId": f"n{i}",
            "sourceHandle": "merged_text",
            "targetNodeId": f"n{i + 1}",
            "targetHandle": "text_inputs__0",
        }
        for i in range(length - 1)
    ]
    return {"nodes": nodes, "edges": edges}


def calls(count: int, model: str, **inputs: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "hi"}]
    node = {"fullType": "core:GenericLlmRequest", "inputs": {"messages": messages, "activated_model_id": model, **inputs}}
    return {"nodes": [{"id": f"n{i}", **node} for i in range(count)], "edges": []}


async def frames_of(client: Viewer, payload: dict[str, Any]) -> tuple[float, list[str]]:
    """Seconds from sending a workflow to its last frame, and the frames."""
    text = json.dumps({"type": "PROMPT_REQUEST", "payload": payload})
    frames: list[str] = []
    began = time.perf_counter()
    await client.socket.send(text)
    while not frames or '"status":"complete"' not in frames[-1]:
        frames.append(str(await client.socket.recv()))
        assert '"status":"error"' not in frames[-1], frames[-1]
    return time.perf_counter() - began, frames


async def echoed(client: Viewer, frames: list[str]) -> float:
    """Seconds for the same frames from a server that does nothing else."""
    text = json.dumps(frames)
    began = time.perf_counter()
    await client.socket.send(text)
    for _ in frames:
        await client.socket.recv()
    return time.perf_counter() - began


async def median(measure: Callable[[], Awaitable[float]], rounds: int = 7) -> float:
    return statistics.median([await measure() for _ in range(rounds)])


async def chain_against_echo(server: Server) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", ECHO, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    found = None
    while not found:
        found = re.search(rb"Running on http://(\S+)", await process.stderr.readline())
    payload = chain(2_000)
    async with viewer(server.ws_url) as ours, viewer(f"ws://{found[1].decode()}/") as theirs:
        _, frames = await frames_of(ours, payload)
        pairs = [((await frames_of(ours, payload))[0], await echoed(theirs, frames)) for _ in range(9)]
    process.terminate()
    await process.wait()
    mine, echo = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{'a chain of 2,000 nodes over /ws':44} {mine:6.3f} s   {ratio:4.2f} × an echo of its {len(frames):,} frames (at most 2)")
    print(f"{'that echo':44} {echo:6.3f} s")


async def durability(service: LlmServer, folder: Path) -> None:
    """What it costs that nothing is told before it is kept: the same on three servers, in turns.

    Processor time says what it costs where the machine or its disk has other things to do as well.
    """
    kinds = ("off", "relaxed", "strict")
    async with AsyncExitStack() as stack:
        clients: dict[str, list[Viewer]] = {}
        processes: dict[str, psutil.Process] = {}
        for kind in kinds:
            (folder / kind).mkdir()
            config = {"llm": channel(service), "history": {"durability": kind}}
            server = await stack.enter_async_context(serve(folder / kind, config, TAVERNKEEP_LOGGING__LEVEL="warning"))
            processes[kind] = psutil.Process(server.process.pid)
            clients[kind] = [await stack.enter_async_context(viewer(server.ws_url)) for _ in range(20)]
        print(f"{'history.durability':32} {'':9} {'off':>9} {'relaxed':>9} {'strict':>9}   relaxed, strict × off")
        for name, payload, at_once, rounds in (
            ("a workflow of 3 nodes", chain(3), 1, 301),
            ("20 of these at the same time", chain(3), 20, 51),
            ("a chain of 2,000 nodes", chain(2_000), 1, 7),
            ("an LLM stream of 5,000 chunks", calls(1, "echo-5000-0", stream=True), 1, 7),
        ):
            took: dict[str, list[float]] = {kind: [] for kind in kinds}
            worked = dict.fromkeys(kinds, 0.0)
            for number in range(rounds + rounds // 5):
                for kind in kinds:
                    began, before = time.perf_counter(), _worked(processes[kind])
                    await asyncio.gather(*(frames_of(client, payload) for client in clients[kind][:at_once]))
                    if number >= rounds // 5:  # the first ones warm it up
                        took[kind].append(time.perf_counter() - began)
                        worked[kind] += (_worked(processes[kind]) - before) / rounds
            ratios = [statistics.median(map(truediv, took[kind], took["off"])) for kind in kinds[1:]]
            _print_durability(name, "took", [statistics.median(took[kind]) for kind in kinds], ratios)
            _print_durability("", "processor", list(worked.values()), [worked[kind] / worked["off"] for kind in kinds[1:]])


def _worked(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _print_durability(name: str, what: str, seconds: list[float], ratios: list[float]) -> None:
    shown = " ".join(f"{each * 1000:6.2f} ms" for each in seconds)
    print(f"{name:32} {what:9} {shown}   {', '.join(f'{ratio:.2f}' for ratio in ratios)}")


async def llm(server: Server) -> None:
    async with viewer(server.ws_url) as client:
        await frames_of(client, calls(1, "echo-1-0"))  # the first one makes the HTTP client
        overlapping = await median(lambda: _seconds(client, calls(20, "echo-3-200")), 3)
        print(f"{'20 independent LLM calls of 0.2 s':44} {overlapping:6.3f} s   (at most 0.3)")
        streaming = await median(lambda: _seconds(client, calls(1, "echo-5000-0", stream=True)))
        print(f"{'an LLM stream of 5,000 chunks':44} {streaming:6.3f} s   (at most 0.26)")


async def _seconds(client: Viewer, payload: dict[str, Any]) -> float:
    return (await frames_of(client, payload))[0]


async def start(folder: Path) -> None:
    async def ready() -> float:
        began = time.perf_counter()
        async with serve(folder) as server:
            while True:
                try:
                    if (await server.http.get("/readyz")).status_code == 200:
                        return time.perf_counter() - began
                except httpx2.TransportError:
                    await asyncio.sleep(0.005)

    print(f"{'from the command to ready':44} {await median(ready, 5):6.3f} s   (at most 1.5)")
    async with serve(folder) as server:
        await server.http.get("/readyz")
        status = Path(f"/proc/{server.process.pid}/status")
        if status.exists():
            kib = int(re.search(r"VmRSS:\s+(\d+)", status.read_text())[1])  # type: ignore[index]
            print(f"{'memory when idle':44} {kib / 1024:6.1f} MiB (at most 100)")


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            llm_server() as service,
            serve(Path(folder), {"llm": channel(service)}, TAVERNKEEP_LOGGING__LEVEL="warning") as server,
        ):
            await chain_against_echo(server)
            await llm(server)
    with tempfile.TemporaryDirectory() as folder:
        async with llm_server() as service:
            await durability(service, Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        await start(Path(folder))


if __name__ == "__main__":
    asyncio.run(main())
