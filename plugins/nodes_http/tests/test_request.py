"""HttpRequest, against a real HTTP server on this machine, and against the policy."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tavernkeep.testing import RunNode


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
        ("/a", {"method": "BREW"}, "none of its choices: GET"),
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
