"""HttpRequest, against a real HTTP server on this machine, and against the policy."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from tavernkeep import NodeFailure
from tavernkeep.testing import RunNode
from tavernkeep_guard.outgoing import GuardedHttp, OutgoingPolicy
from tavernkeep_nodes_http.request import http_request


class Handler(BaseHTTPRequestHandler):
    """Answers by its path."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path.startswith("/redirect/"):
            self.send_response(302)
            self.send_header("location", self.path.removeprefix("/redirect/"))
            self.send_header("content-length", "0")
            self.end_headers()
            return
        if self.path == "/cut":
            self.send_response(200)
            self.send_header("content-length", "100")
            self.end_headers()
            self.wfile.write(b"half")
            return
        if self.path == "/hang":
            threading.Event().wait(2)
            return
        status = int(self.path.removeprefix("/status/")) if self.path.startswith("/status/") else 200
        answer = (
            b"x" * 100_000 if self.path == "/long" else f"{self.command} {self.path} {self.headers.get('content-type')} ".encode() + body
        )
        if self.path == "/json":
            answer = b'{"a": [1]}'
        self.send_response(status)
        self.send_header("content-type", "text/plain; charset=utf-8")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_PUT = do_DELETE = do_GET

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_requests(run_node: RunNode, url: str) -> None:
    """Methods, queries, bodies as text and as JSON, answers with status and headers."""
    got = run_node("http:Request", url=f"{url}/a", query={"q": "ü", "n": 1, "b": True, "x": None}).outputs
    assert (got["status"], got["ok"], got["json"]) == (200, True, None)
    assert got["text"] == "GET /a?q=%C3%BC&n=1&b=true None "
    posted = run_node("http:Request", url=f"{url}/b", body={"k": "酒"}, config={"method": "POST"}).outputs
    assert posted["text"] == 'POST /b application/json {"k":"酒"}'
    assert run_node("http:Request", url=f"{url}/json").outputs["json"] == {"a": [1]}
    assert run_node("http:Request", url=f"{url}/status/404").outputs["status"] == 404


def test_headers_are_never_shown(run_node: RunNode, url: str) -> None:
    """What is planted there is in no event."""
    ran = run_node("http:Request", url=f"{url}/a", headers={"authorization": "Bearer PLANTED-secret"})
    assert not any("PLANTED" in str(event.payload) for event in ran.events)


@pytest.mark.parametrize(
    ("path", "config", "mention"),
    [
        ("/status/500", {"failOnError": True}, "the answer was 500"),
        ("/long", {"maxBytes": 1000}, "longer than 1000 bytes"),
        ("/cut", {}, "the request failed"),
        ("/hang", {"timeoutS": 0.1}, "no answer in time"),
        ("/redirect//redirect//redirect//redirect//redirect//redirect//a", {}, "more than 5 redirects"),
        ("/a", {"method": "BREW"}, "method must be one of"),
        ("/a", {"timeoutS": 0}, "above 0"),
    ],
)
def test_failures(run_node: RunNode, url: str, path: str, config: dict[str, Any], mention: str) -> None:
    """Each says what went wrong."""
    assert mention in run_node("http:Request", url=url + path, config=config, check=False).errors[0]["message"]


@pytest.mark.parametrize(
    "bad", ["", "nonsense", "file:///etc/passwd", "http://", "gopher://x", "http://[::1", "http://no such host/", "http://a\r\nb/"]
)
def test_what_is_no_url(run_node: RunNode, bad: str) -> None:
    """Fails the node, and nothing else."""
    assert run_node("http:Request", url=bad, check=False).errors[0]["message"]


def request(url: str, policy: OutgoingPolicy) -> dict[str, Any]:
    context: Any = SimpleNamespace(config={}, service=lambda contract: GuardedHttp(policy))
    return asyncio.run(http_request({"url": url}, context))


CLOSED = OutgoingPolicy(private=False)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0"]
)
def test_this_machine_is_out_of_reach_in_every_spelling(url: str, host: str) -> None:
    """Decimal, octal, hexadecimal, shortened, IPv6 and mapped forms are all the same address."""
    port = url.rpartition(":")[2]
    with pytest.raises(NodeFailure):
        request(f"http://{host}:{port}/a", CLOSED)


def test_a_redirect_is_checked_too(url: str) -> None:
    """From an allowed host to one that is not."""
    policy = OutgoingPolicy.of(False, [url.removeprefix("http://")])
    assert request(f"{url}/a", policy)["status"] == 200
    with pytest.raises(NodeFailure, match="which workflows may not reach"):
        request(f"{url}/redirect/http://localhost:{url.rpartition(':')[2]}/a", policy)


def test_a_name_that_changes_is_connected_where_it_was_checked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second answer of a name server is never asked for: the address that was checked is the one that is used."""
    answers = iter(["93.184.216.34", "127.0.0.1"])
    asked = []

    async def getaddrinfo(self: Any, host: str, port: int, **more: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    connected = []

    async def connect(self: Any, host: str, *args: Any, **kwargs: Any) -> Any:
        connected.append(host)
        raise __import__("httpcore2").ConnectError("stop here")

    import httpcore2

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", connect)
    with pytest.raises(NodeFailure, match="the request failed"):
        request("http://rebind.example/a", CLOSED)
    assert (asked, connected) == (["rebind.example"], ["93.184.216.34"])
