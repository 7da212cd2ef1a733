"""Servers that are there at once: forked from a process that has imported what a server imports, and done nothing else.

Starting one takes a tenth of a second instead of more than one, which is what a test that kills hundreds of them is made of.
"""

import asyncio
import json
import os
import re
import select
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, NoReturn

import attrs
import httpx2

from support.server import PATIENCE_S, environment
from tavernkeep_devkit.processes import read_output

_READY: Final = r"is ready at (http://\S+)"


@attrs.define(eq=False)
class ForkedServer:
    """A server that runs; `output` is what it printed so far."""

    pid: int
    url: str
    folder: Path
    http: httpx2.AsyncClient
    _lines: list[str]
    _reader: "asyncio.Task[None]"

    @property
    def ws_url(self) -> str:
        """Where its WebSocket is."""
        return self.url.replace("http", "ws", 1) + "/ws"

    @property
    def output(self) -> str:
        """What it has printed."""
        return "".join(self._lines)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)


@attrs.define(eq=False)
class Forge:
    """The process that servers are forked from. It answers one request after the other."""

    _requests: socket.socket
    _busy: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    async def _ask(self, request: Mapping[str, Any], *files: int) -> int:
        async with self._busy, asyncio.timeout(PATIENCE_S):
            socket.send_fds(self._requests, [json.dumps(request).encode()], files)
            return int(await asyncio.get_running_loop().sock_recv(self._requests, 100))

    async def start(self, folder: Path, *arguments: str) -> tuple[int, int]:
        """Begin a server in a folder; gives its process id, and the end of the pipe that it prints into."""
        reading, writing = os.pipe()
        try:
            return await self._ask({"folder": str(folder), "arguments": ["serve", *arguments]}, writing), reading
        finally:
            os.close(writing)

    async def end(self, pid: int) -> int:
        """Wait for the end of a server; gives its exit code, negative where a signal ended it."""
        pidfd = os.pidfd_open(pid)
        try:
            while not select.select([pidfd], [], [], 0)[0]:
                await asyncio.sleep(0.002)
        finally:
            os.close(pidfd)
        return await self._ask({"end": pid})

    @asynccontextmanager
    async def serve(self, folder: Path, port: int = 0) -> AsyncIterator[ForkedServer]:
        """A server on the configuration in a folder, from when it is ready; what is left of it at the end is killed.

        Raises:
            RuntimeError: It did not start; the message has what it printed.
        """
        pid, output = await self.start(folder, "--port", str(port))
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader),
            os.fdopen(output, "rb"),
        )
        lines, found, reading = read_output(reader, _READY)
        try:
            async with asyncio.timeout(PATIENCE_S):
                url = await found
            async with httpx2.AsyncClient(base_url=url, timeout=PATIENCE_S, trust_env=False) as http:
                yield ForkedServer(pid, url, folder, http, lines, reading)
        finally:
            os.kill(pid, signal.SIGKILL)  # not waited for yet: there is still what has that id
            await self.end(pid)
            await reading
            transport.close()


@asynccontextmanager
async def forge(**variables: str) -> AsyncIterator[Forge]:
    """A process to fork servers from, with these environment variables."""
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mine.setblocking(False)
    paths = ":".join([variables.pop("PYTHONPATH", ""), str(Path(__file__).parents[1])])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "support.forked", str(its.fileno()), pass_fds=[its.fileno()], env=environment(PYTHONPATH=paths, **variables)
    )
    its.close()
    try:
        yield Forge(mine)
    finally:
        mine.close()
        async with asyncio.timeout(PATIENCE_S):
            await process.wait()


def _names_of_what_a_server_imports() -> Sequence[str]:
    """Asked of a process of its own, so that nothing of a server but its modules is in the one that is forked."""
    (output, printing), (names, telling) = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory() as folder:
        if (pid := os.fork()) == 0:
            try:
                _become_a_server({"folder": folder, "arguments": ["serve", "--port", "0"]}, printing)
            finally:
                os.write(telling, json.dumps(list(sys.modules)).encode())
        os.close(printing)
        os.close(telling)
        with os.fdopen(output) as lines:
            for line in lines:
                if re.search(_READY, line):
                    os.kill(pid, signal.SIGTERM)
        with os.fdopen(names) as told:
            found: list[str] = json.loads(told.read())
        os.waitpid(pid, 0)
    return found


def _become_a_server(request: Mapping[str, Any], output: int) -> NoReturn:
    from tavernkeep.cli import main

    os.chdir(request["folder"])
    os.dup2(output, 2)
    os.close(output)
    sys.argv = ["tavernkeep", *request["arguments"]]
    main()
    sys.exit()


def _forge(requests: socket.socket) -> None:
    for name in _names_of_what_a_server_imports():
        if name not in sys.modules:
            with suppress(ImportError):  # made by another module when that was asked for
                __import__(name)
    servers: set[int] = set()
    while True:
        message, files, _, _ = socket.recv_fds(requests, 65536, 1)
        if not message:
            for pid in servers:  # of tests that were ended themselves
                os.kill(pid, signal.SIGKILL)
            return
        request = json.loads(message)
        if "end" in request:
            servers.discard(request["end"])
            requests.send(b"%d" % os.waitstatus_to_exitcode(os.waitpid(request["end"], 0)[1]))
        elif pid := os.fork():
            servers.add(pid)
            os.close(files[0])
            requests.send(b"%d" % pid)
        else:
            requests.close()
            _become_a_server(request, files[0])


if __name__ == "__main__":
    _forge(socket.socket(fileno=int(sys.argv[1])))
