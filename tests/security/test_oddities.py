"""What no browser sends: each part of a request or a handshake, odd. There is an answer, it is no 500, and the log holds no failure."""

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from support.server import PATIENCE_S, Server, serve

DIGITS: Final = "9" * 5000
IN_PATHS: Final = [
    "%00",
    DIGITS,
    "%C2%B2",
    "%D9%A3",
    "%ED%A0%80",
    "%FF",
    "a" * 30_000,
    "%zz",
    "..%2F..",
    "user%3A%2F%2F%00",
    "user%3A%2F%2F%ED%A0%80",
]
IN_QUERIES: Final = [
    "%00",
    DIGITS,
    "-" + "9" * 30,
    "9" * 30,
    "%D9%A3",
    "%ED%A0%80",
    "%FF",
    "a" * 400,
    f"{'0' * 21}{'9' * 40}-x",
    f"1-{'a' * 100}",
]
IN_HEADERS: Final[dict[str, list[bytes]]] = {
    "If-Match": [b"\xb2", DIGITS.encode(), b'W/"', '"\u0663"'.encode()],
    "Range": [b"bytes=\xb2-", b"bytes=-" + DIGITS.encode(), b"bytes=5-1,-", b"x"],
    "Content-Type": [
        b"application/json; charset=\xff",
        b"application/json; charset=utf-16",
        b"multipart/form-data; boundary=\xe9",
        b"\xff/",
    ],
    "Last-Event-ID": [b"\xb2", DIGITS.encode(), "\u0663".encode(), b"-1"],
}
EVERYWHERE: Final[dict[str, list[bytes]]] = {
    "Host": [DIGITS.encode(), b"a" * 5000, b"[", b"[::1", b"\xff", b"localhost:\xb2", b"", b"a..b"],
    "Origin": [b"http://[", b"http://\xff", b"]", b"null, null", b"x" * 5000],
    "Authorization": [b"Bearer \xff", b"Bearer", b"Basic \xff", b"", b"Bearer " + b"x" * 20_000],
    "Cookie": [b"=;;;=", b"\xff=\xff", b"tavernkeep=" + b"x" * 20_000, b'tavernkeep="'],
    "X-Forwarded-For": [b"\xff", b",,,", b"[::", b"x" * 5000],
    "Forwarded": [b'for="[::', b"=;=", b"\xff"],
    "If-None-Match": [b"\xff", b'"', b"*" * 5000],
    "If-Modified-Since": [b"Thu, 99 Foo 99999 99:99:99 GMT", b"\xff", DIGITS.encode()],
    "If-Range": [b"\xff", b"Thu, 01 Jan 0000 00:00:00 GMT"],
    "Expect": [b"\xff", b"200-never"],
    "Access-Control-Request-Headers": [b"\xff,,"],
    "Upgrade": [b"\xff", b"foo"],
}
BODIES: Final = [
    b"",
    b"null",
    b"[]",
    b'"\\ud800"',
    b'{"name": "\\ud800", "projectId": "\\ud800"}',
    b'{"name": "\\u0000", "projectId": "\\u0000", "username": "\\u0000", "logicalPath": "\\u0000", "content": "\\u0000"}',
    b'{"version": 1' + b"0" * 400 + b', "priority": 1e999}',
    b'{"x": NaN}',
    b"1" * 5000,
    b"[" * 50_000,
    b"\xff\xfe{\x00}\x00",
    b"\xef\xbb\xbf{}",
]
METHODS: Final = ["HEAD", "OPTIONS", "PATCH", "TRACE", "FOO", "get", "PRI"]


@pytest_asyncio.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server whose single user may everything, so that nothing is turned away before it is read."""
    config = {"logging": {"level": "error"}, "guard": {"requestsPerMinute": 0}}
    async with serve(tmp_path_factory.mktemp("odd"), config) as running:
        yield running


def request(method: str, target: str, body: bytes | None = None, **headers: bytes) -> bytes:
    """The bytes of a request; a header that is given stands for the usual one of its name."""
    usual = {"Host": b"localhost", "Connection": b"close"}
    if body is not None:
        usual |= {"Content-Type": b"application/json", "Content-Length": b"%d" % len(body)}
    lines = [f"{method} {target} HTTP/1.1".encode()]
    lines += [
        name.encode() + b": " + value
        for name, value in (usual | {name.replace("_", "-"): value for name, value in headers.items()}).items()
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


async def answered(server: Server, data: bytes, wait: bytes = b"\r\n", then: bytes = b"") -> bytes:
    """What comes back up to some bytes, or to the end; where there is more to send after the head of an answer, after that."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    try:
        async with asyncio.timeout(PATIENCE_S):
            writer.write(data)
            await writer.drain()
            if then:
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
                writer.write(then)
            return await reader.readuntil(wait)
    except asyncio.IncompleteReadError as ended:
        return ended.partial
    finally:
        writer.close()


async def status(server: Server, data: bytes) -> int:
    """The status of the answer, which there must be."""
    line = await answered(server, data)
    assert line.startswith(b"HTTP/1.1 "), (data[:200], line)
    return int(line.split()[1])


def unharmed(server: Server) -> None:
    """Nothing has failed."""
    assert "Traceback" not in server.output(), server.output()[-3000:]


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    for path, methods in document["paths"].items():
        if path != "/api/server/restart":
            for method, operation in methods.items():
                yield method.upper(), path, [entry["name"] for entry in operation.get("parameters", ()) if entry["in"] == "query"]


def filled(path: str, value: str) -> str:
    parts = path.split("/")
    return "/".join(value if part.startswith("{") else part for part in parts)


def odd_requests(document: dict[str, Any]) -> Iterator[bytes]:
    for method, path, query in operations(document):
        body = b"{}" if method in ("POST", "PUT") else None
        plain = filled(path, "none")
        if plain != path:
            yield from (request(method, filled(path, odd), body) for odd in IN_PATHS)
        for name in query:
            yield from (request(method, f"{plain}?{name}={odd}", body) for odd in IN_QUERIES)
            yield request(method, f"{plain}?{name}&{name}=1&{name}=%ED%A0%80", body)
        for header, values in IN_HEADERS.items():
            yield from (request(method, f"{plain}?projectId=none", body, **{header: value}) for value in values)
        if body is not None:
            yield from (request(method, f"{plain}?projectId=none", odd) for odd in BODIES)
    for path in document["paths"]:
        yield from (request(method, filled(path, "none")) for method in METHODS)
    for header, values in EVERYWHERE.items():
        for method, target, body in (
            ("GET", "/api/projects", None),
            ("POST", "/api/projects", b"{}"),
            ("OPTIONS", "/api/prompt", None),
            ("GET", "/", None),
        ):
            yield from (request(method, target, body, **{header: value}) for value in values)


async def test_every_part_of_every_route(server: Server) -> None:
    """NUL, five thousand digits, digits that are no ASCII, halves of surrogates, too long, not decodable: in each field of each route."""
    document = (await server.http.get("/api/openapi.json")).json()
    limit = asyncio.Semaphore(16)

    async def one(data: bytes) -> None:
        async with limit:
            assert (found := await status(server, data)) < 500 or found == 501, (data[:300], found)

    async with asyncio.TaskGroup() as group:
        for data in odd_requests(document):
            group.create_task(one(data))
    unharmed(server)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GET http://[/healthz", 400),
        ("GET healthz", 400),
        ("GET ?x", 400),
        ("GET mailto:x", 400),
        ("CONNECT localhost:1", 400),
        ("GET http://localhost/healthz", 200),  # RFC 9112, 3.2.2
        ("GET http://localhost", 200),
        ("OPTIONS *", 200),
    ],
)
async def test_targets(server: Server, line: str, expected: int) -> None:
    """What is asked for is a path, or a whole address that has one."""
    method, _, target = line.partition(" ")
    assert await status(server, request(method, target)) == expected
    unharmed(server)


UPGRADE: Final = {
    "Connection": b"Upgrade",
    "Upgrade": b"websocket",
    "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef"),
    "Sec-WebSocket-Version": b"13",
}


def handshake(target: str = "/ws", *more: bytes, method: str = "GET", **headers: bytes) -> bytes:
    data = request(method, target, **(UPGRADE | {name.replace("_", "-"): value for name, value in headers.items()}))
    return data[:-2] + b"".join(line + b"\r\n" for line in more) + b"\r\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (handshake(), 101),
        (handshake("/ws?%ff&%00=%zz"), 101),
        (handshake("/api/prompt"), 404),
        (handshake("/%00"), 404),
        (handshake("/ws/"), 404),
        (handshake("http://[/ws"), 400),
        (handshake(method="POST"), 405),
        (handshake(Sec_WebSocket_Version=b"8"), 400),
        (handshake(Sec_WebSocket_Protocol=b",,,"), 101),
        (handshake(Sec_WebSocket_Protocol=b"bearer, "), 401),
        (handshake(Sec_WebSocket_Protocol=b"bearer, x"), 401),
        (handshake(Sec_WebSocket_Extensions=b"permessage-deflate; client_max_window_bits=99, ;;="), 101),
        (handshake(Sec_WebSocket_Extensions=b"permessage-deflate; client_max_window_bits="), 400),
        (handshake(Sec_WebSocket_Extensions=b"permessage-deflate; server_max_window_bits_=x; client_max_window_bits"), 400),
        (handshake(Sec_WebSocket_Extensions=b"permessage-deflate; client_max_window_bits=" + DIGITS.encode()), 400),
        (handshake(Origin=b"http://["), 403),
        (handshake("/ws", b"Origin: http://localhost:5573", Origin=b"https://evil.example"), 403),
        (handshake("/ws", b"Origin: https://evil.example", Origin=b"http://localhost:5573"), 403),
        (handshake(Host=DIGITS.encode()), 403),
        (handshake(Authorization=b"Bearer \xff"), 401),
        (handshake(Authorization=b"\xff"), 401),
        (handshake(Cookie=b"=;;;\xff=\xff"), 101),
    ],
    ids=range(22),
)
async def test_handshakes(server: Server, data: bytes, expected: int) -> None:
    """Each is taken or refused with a reason; a page that names two origins is none of ours."""
    assert await status(server, data) == expected
    unharmed(server)


async def test_no_upgrade_but_to_websocket(server: Server) -> None:
    """Over HTTP/2 without TLS, which an `Upgrade` may lead to behind a proxy's back, nothing is served."""
    upgraded = request("GET", "/healthz", Connection=b"Upgrade, HTTP2-Settings", Upgrade=b"h2c", HTTP2_Settings=b"AAMAAABkAAQAAP__")
    answer = await answered(server, upgraded, b"alone.")
    assert b"HTTP/1.1 alone" in answer
    assert b'"ok"' not in answer
    unharmed(server)


def frame(payload: bytes, opcode: int = 1, *, final: bool = True, reserved: int = 0, masked: bool = True) -> bytes:
    size = len(payload)
    length = bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size) if size < 65536 else b"\x7f" + struct.pack(">Q", size)
    first = final << 7 | reserved << 4 | opcode
    return bytes([first, length[0] | masked << 7]) + length[1:] + (b"\0\0\0\0" if masked else b"") + payload


@pytest.mark.parametrize(
    "data",
    [
        frame(b"{}", masked=False),
        frame(b"{}", reserved=7),
        frame(b"x", 3),
        frame(b"x", 15),
        frame(b"x", 0),
        frame(b"x" * 126, 9),
        frame(b"x", 8),
        frame(struct.pack(">H", 5), 8),
        frame(struct.pack(">H", 1000) + b"\xff", 8),
        frame(b"\xff\xfe"),
        frame(b"a", final=False) + frame(b"b"),
        b"\x81\xff" + struct.pack(">Q", 2**63) + b"\0\0\0\0x",
    ],
    ids=range(12),
)
async def test_frames_that_are_none(server: Server, data: bytes) -> None:
    """The socket is closed; nothing else happens."""
    assert b"{" not in await answered(server, handshake(), b"never", data)
    unharmed(server)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xc2\xb2",
        b"[" * 60_000,
        b'{"type": ["HELLO"], "payload": {}}',
        b'{"type": "\\ud800", "payload": {}}',
        b'{"type": "PROMPT_REQUEST", "payload": ' + b"9" * 5000 + b"}",
        b'{"type": "SUBSCRIBE", "payload": {"promptId": "\\u0000", "after": ' + b"9" * 30 + b"}}",
        b'{"type": "SUBSCRIBE", "payload": {"promptId": "x", "after": -' + b"9" * 30 + b"}}",
        b'{"type": "INTERRUPT_REQUEST", "payload": {"promptId": "\\u0000"}}',
        b'{"type": "NODE_INPUT", "payload": {"promptId": "' + b"x" * 5000 + b'", "nodeId": "\\u0000"}}',
        b'{"type": "HELLO", "payload": 1}',
    ],
    ids=range(11),
)
async def test_messages_that_are_none(server: Server, text: bytes) -> None:
    """An error that says so; the socket goes on."""
    answer = await answered(server, handshake(), b"THE_END", frame(text) + frame(b'{"type": "THE_END"}'))
    assert answer.count(b'"type":"error"') == 2
    unharmed(server)


def test_an_origin_that_is_no_address_in_the_configuration(tmp_path: Path) -> None:
    """Is reported with its key when the configuration is checked."""
    from tavernkeep.app import Application
    from tavernkeep.config import ConfigError, ConfigSource

    file = tmp_path / "config.json"
    file.write_text(json.dumps({"security": {"corsAllowedOrigins": ["http://["]}}))
    with pytest.raises(ConfigError, match=r"corsAllowedOrigins must be .*'http://\['"):
        Application.load(ConfigSource.read(file, {}))
