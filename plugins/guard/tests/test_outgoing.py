"""The HTTP client for what a workflow can steer, against a real server on this machine."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpcore2
import httpx2
import pytest

from tavernkeep_guard.contracts import OutgoingRefused
from tavernkeep_guard.outgoing import GuardedHttp, OutgoingPolicy

CLOSED = OutgoingPolicy(private=False)


class Handler(BaseHTTPRequestHandler):
    """Answers, or sends on to what stands behind `/redirect/`."""

    def do_GET(self) -> None:
        _, redirect, target = self.path.partition("/redirect/")
        self.send_response(302 if redirect else 200)
        if redirect:
            self.send_header("location", target)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def status(url: str, policy: OutgoingPolicy) -> int:
    async with GuardedHttp(policy).client() as client:
        return (await client.get(url, follow_redirects=True)).status_code


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0"]
)
async def test_this_machine_is_out_of_reach_in_every_spelling(url: str, host: str) -> None:
    """Decimal, octal, hexadecimal, shortened, IPv6 and mapped forms are all the same address."""
    with pytest.raises((OutgoingRefused, httpx2.HTTPError, httpx2.InvalidURL)):
        await status(f"http://{host}:{url.rpartition(':')[2]}/a", CLOSED)


async def test_a_redirect_is_checked_too(url: str) -> None:
    """From an allowed host to one that is not."""
    policy = OutgoingPolicy.of(False, [url.removeprefix("http://")])
    assert await status(f"{url}/a", policy) == 200
    with pytest.raises(OutgoingRefused, match="which workflows may not reach"):
        await status(f"{url}/redirect/http://localhost:{url.rpartition(':')[2]}/a", policy)


async def test_a_name_that_changes_is_connected_where_it_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second answer of a name server is never asked for: the address that was checked is the one that is used."""
    answers = iter(["93.184.216.34", "127.0.0.1"])
    asked, connected = [], []

    async def getaddrinfo(self: Any, host: str, port: int, **more: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    async def connect(self: Any, host: str, *args: Any, **kwargs: Any) -> Any:
        connected.append(host)
        raise httpcore2.ConnectError("stop here")

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", connect)
    with pytest.raises(httpx2.HTTPError):
        await status("http://rebind.example/a", CLOSED)
    assert (asked, connected) == (["rebind.example"], ["93.184.216.34"])
