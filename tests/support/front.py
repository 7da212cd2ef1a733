"""A front end's development server: pages of its own at an origin of its own, and a proxy for what is the server's."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import attrs

PASSED_ON: Final = ("/api", "/plugins", "/ws")


@attrs.define
class FrontEnd:
    """Where it is, and what it serves.

    Attributes:
        port: At `localhost`; of the server's configuration it is `server.frontend.port`.
        server: `http://HOST:PORT`, where it passes on what is not its own, as it comes.
        pages: HTML by path.
    """

    port: int = 0
    server: str = ""
    pages: dict[str, str] = attrs.field(factory=dict)

    @property
    def origin(self) -> str:
        """Its pages' origin."""
        return f"http://localhost:{self.port}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and close."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            if path.startswith(PASSED_ON):
                await self._pass_on(head, reader, writer)
            else:
                body = self.pages.get(path, "").encode()
                status = "200 OK" if path in self.pages else "404 Not Found"
                fields = ("Content-Type: text/html; charset=utf-8", f"Content-Length: {len(body)}", "Connection: close")
                writer.write("\r\n".join((f"HTTP/1.1 {status}", *fields, "", "")).encode() + body)
                await writer.drain()
        writer.close()

    async def _pass_on(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self.server.removeprefix("http://").partition(":")
        from_server, to_server = await asyncio.open_connection(host, int(port))
        if b"\r\nupgrade:" not in head.lower():  # one request for each connection
            lines = [line for line in head[:-4].split(b"\r\n") if not line.lower().startswith(b"connection:")]
            head = b"\r\n".join([*lines, b"Connection: close", b"", b""])
        to_server.write(head)
        sending = asyncio.create_task(_pump(reader, to_server))
        await _pump(from_server, writer)
        sending.cancel()
        await asyncio.wait([sending])
        to_server.close()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()


@asynccontextmanager
async def front_end() -> AsyncIterator[FrontEnd]:
    """One that listens; which server is behind it may be said later."""
    front = FrontEnd()
    listening = await asyncio.start_server(front.answer, "127.0.0.1", 0)
    front.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield front
