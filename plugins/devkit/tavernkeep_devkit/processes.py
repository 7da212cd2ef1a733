"""The program in a process of its own: `tavernkeep serve`, or Hypercorn itself, on a real port, and commands to their end.

For what a server in the process of the tests cannot show: how it starts, what it prints, what is left when it is killed.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import httpx2

BIN: Final = Path(sys.executable).parent
PATIENCE_S: Final = 60.0  # how long a test waits for what must happen; a test that gets here has failed


@attrs.define
class Server:
    """A running server; what it printed is in `stderr`."""

    url: str
    process: asyncio.subprocess.Process
    folder: Path
    stderr: list[str]
    http: httpx2.AsyncClient
    _reader: "asyncio.Task[None]"

    @property
    def ws_url(self) -> str:
        """Where its WebSocket is."""
        return self.url.replace("http", "ws", 1) + "/ws"

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; gives the exit code."""
        send_signal(self.process, number)
        async with asyncio.timeout(PATIENCE_S):
            code = await self.process.wait()
            await self._reader
        return code

    def output(self) -> str:
        """All that it has printed."""
        return "".join(self.stderr)


_BYTECODE = tempfile.TemporaryDirectory(prefix="tavernkeep-bytecode-")


def environment(**variables: str) -> dict[str, str]:
    """The environment of a server: this one's, without configuration of its own.

    Compiled modules are kept, as they are where a server is installed: each start would compile three hundred of them otherwise.
    """
    mine = {key: value for key, value in os.environ.items() if not key.startswith("TAVERNKEEP_") and key != "PYTHONDONTWRITEBYTECODE"}
    return mine | {"PYTHONUNBUFFERED": "1", "PYTHONPYCACHEPREFIX": _BYTECODE.name} | variables


def _write_config(folder: Path, config: Mapping[str, Any] | None) -> None:
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def read_output(stream: asyncio.StreamReader, ready: str) -> "tuple[list[str], asyncio.Future[str], asyncio.Task[None]]":
    """Read what a server prints, to its end.

    Args:
        ready: A pattern of the line that it prints when it is ready; its first group is the address.

    Returns:
        The lines so far; the address, or a `RuntimeError` with all lines where it ends before; and the task that reads.
    """
    lines: list[str] = []
    found: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def read() -> None:
        while line := await stream.readline():
            lines.append(line.decode("utf-8", "replace"))
            if (match := re.search(ready, lines[-1])) and not found.done():
                found.set_result(match[1])
        if not found.done():
            found.set_exception(RuntimeError("the server did not start:\n" + "".join(lines)))

    return lines, found, asyncio.create_task(read())


@asynccontextmanager
async def serve(
    folder: Path,
    config: Mapping[str, Any] | None = None,
    *arguments: str,
    command: tuple[str, ...] = (str(BIN / "tavernkeep"), "serve", "--port", "0"),
    ready: str = r"(?:is ready at|Running on) (http://\S+)",
    **variables: str,
) -> AsyncIterator[Server]:
    """Start a server in a folder, with a configuration; it is stopped at the end.

    Raises:
        RuntimeError: It did not start; the message has what it printed.
        AssertionError: It did not end when it was told to, and was killed.
    """
    _write_config(folder, config)
    process = await asyncio.create_subprocess_exec(
        *command,
        *arguments,
        cwd=folder,
        env=environment(**variables),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert process.stderr is not None
    lines, found, reader = read_output(process.stderr, ready)
    try:
        async with asyncio.timeout(PATIENCE_S):
            url = await found
        async with httpx2.AsyncClient(base_url=url, timeout=PATIENCE_S, trust_env=False) as http:
            yield Server(url, process, folder, lines, http, reader)
    finally:
        stuck = not await _ended(process)
        await reader
        process._transport.close()  # type: ignore[attr-defined]  # else it is reported as unclosed
    if stuck:
        raise AssertionError("the server did not end when it was told to:\n" + "".join(lines))


def send_signal(process: asyncio.subprocess.Process, number: int) -> None:
    """Send a signal to a process that may have ended.

    The process's own method looks first whether it has, and then takes its exit code away from the event loop, which tells of 255 instead.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


async def _ended(process: asyncio.subprocess.Process) -> bool:
    """Tell a process to end, and by force if it does not; tells whether it did."""
    send_signal(process, signal.SIGTERM)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await process.wait()
    except TimeoutError:
        send_signal(process, signal.SIGKILL)
        await process.wait()
        return False
    return True


@attrs.frozen
class Finished:
    """What a program that ended left."""

    code: int
    stdout: str
    stderr: str


async def tavernkeep(
    folder: Path, *arguments: str, config: Mapping[str, Any] | None = None, stdin: bytes = b"", **variables: str
) -> Finished:
    """Run `tavernkeep …` to its end."""
    _write_config(folder, config)
    process = await asyncio.create_subprocess_exec(
        str(BIN / "tavernkeep"),
        *arguments,
        cwd=folder,
        env=environment(**variables),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_S):
        stdout, stderr = await process.communicate(stdin)
    assert process.returncode is not None
    return Finished(process.returncode, stdout.decode(), stderr.decode())
