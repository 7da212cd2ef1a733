"""A server that a proxy shows below a path, and what a browser is told that may not come in."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from support.client import statuses, viewer
from support.server import PATIENCE_S, Server
from support.users import PASSWORD, town
from tavernkeep_web.sockets import refuse_handshake

BELOW = {"X-Forwarded-Prefix": "/tavern"}
HELLO = {"nodes": [{"id": "a", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["hello"]}}], "edges": []}
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}


@pytest.mark.parametrize("path", ["", "/tavern"])
async def test_pages_and_sockets_below_a_path(server: Server, path: str) -> None:
    """Whether or not the proxy takes the path off what it asks for; addresses in pages and in the API's description have it."""
    page = (await server.http.get(f"{path}/", headers=BELOW)).text
    assert 'src="/tavern/console/console.js"' in page
    assert (await server.http.get(f"{path}/console/console.js", headers=BELOW)).status_code == 200
    assert "/tavern/api/openapi.json" in (await server.http.get(f"{path}/docs", headers=BELOW)).text
    assert (await server.http.get(f"{path}/api/openapi.json", headers=BELOW)).json()["servers"] == [{"url": "/tavern"}]
    async with viewer(server.ws_url.replace("/ws", f"{path}/ws"), additional_headers=BELOW) as client:
        assert statuses(await client.run(HELLO)) == ["running", "complete"]


async def test_the_path_alone_is_the_page(server: Server) -> None:
    """Without a slash behind it too; what only begins so is something else, and where nobody says so there is no path."""
    assert 'src="/tavern/console/console.js"' in (await server.http.get("/tavern", headers=BELOW)).text
    assert (await server.http.get("/tavernkeeper/healthz", headers=BELOW)).status_code == 404
    assert (await server.http.get("/tavern/healthz")).status_code == 404
    assert 'src="console/console.js"' in (await server.http.get("/")).text
    assert (await server.http.get("/api/openapi.json")).json()["servers"] == [{"url": "/"}]


@pytest.mark.parametrize("prefix", ["//evil.example", "/a; Domain=evil.example", '/"><script>alert(1)</script>', "/..", "/" + "a" * 10_000])
async def test_a_prefix_leads_nowhere_else(server: Server, prefix: str) -> None:
    """Whoever gets it through a proxy has a page as if there were none."""
    plain = await server.http.get("/")
    assert (await server.http.get("/", headers={"X-Forwarded-Prefix": prefix})).text == plain.text


async def test_a_session_below_a_path(tmp_path: Path) -> None:
    """Its cookie is for that path; under TLS it is not called as one for the whole host is. Other servers' cookies do not hide it."""
    async with town(tmp_path, {"server": {"basePath": "/tavern"}}) as place, place.client() as browser:
        body = {"username": "mayor", "password": PASSWORD}
        plain = (await browser.post("/api/auth/login", json=body)).headers["set-cookie"]
        assert plain.startswith("tavernkeep=")
        assert "; Path=/tavern; " in plain
        answer = await browser.post("/api/auth/login", json=body, headers={"X-Forwarded-Proto": "https"})
        cookie, *guards = answer.headers["set-cookie"].split("; ")
        assert cookie.startswith("__Secure-tavernkeep=")
        assert {"Path=/tavern", "Secure", "HttpOnly"} <= set(guards)
        browser.cookies.clear()
        for cookies in (cookie, f"__Host-tavernkeep=another; {cookie}", f"{plain.partition(';')[0]}; tavernkeep=another"):
            assert (await browser.get("/api/projects", headers={"Cookie": cookies})).status_code == 200, cookies
        assert (await browser.get("/api/projects", headers={"Cookie": "tavernkeep=another"})).status_code == 401


async def test_cross_origin_headers(server: Server) -> None:
    """What the editor sends and reads is allowed to its origin, and nothing is allowed to another."""
    wanted = "if-match,if-none-match,last-event-id,idempotency-key,content-type,authorization"
    asked = {"origin": "http://localhost:5573", "access-control-request-method": "PUT", "access-control-request-headers": wanted}
    allowed = (await server.http.options("/api/projects/x", headers=asked)).headers["access-control-allow-headers"]
    assert {name.strip().lower() for name in allowed.split(",")} == set(wanted.split(","))
    read = await server.http.get("/api/projects", headers={"origin": "http://localhost:5573"})
    assert {name.strip() for name in read.headers["access-control-expose-headers"].split(",")} == {
        "ETag",
        "Content-Disposition",
        "Retry-After",
    }
    theirs = await server.http.options("/api/projects/x", headers=asked | {"origin": "https://evil.example"})
    assert not [name for name in theirs.headers if name.startswith("access-control")]


async def test_a_refused_handshake_says_why(server: Server) -> None:
    """To a program as an answer, to a browser's page as the reason of the end, to the operator in the log."""
    origin = "https://tavern.example"
    with pytest.raises(InvalidStatus) as refused:
        async with viewer(server.ws_url, additional_headers={"Origin": origin}):
            pass
    assert refused.value.response.status_code == 403
    assert "security.corsAllowedOrigins" in json.loads(refused.value.response.body or b"")["error"]
    async with connect(server.ws_url, origin=origin, user_agent_header=None, additional_headers=BROWSER) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4403
    assert "security.corsAllowedOrigins" in closed.value.rcvd.reason
    await logged(server, "a WebSocket is refused", origin)


async def test_a_reason_fits_into_a_close_frame() -> None:
    """Of a text that is too long for it as much is told as fits, in whole characters."""
    told = []

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    scope = {"headers": [(b"origin", b"null"), (b"user-agent", BROWSER["User-Agent"].encode())], "path": "/ws"}
    await refuse_handshake(scope, send, 401, "酒" * 100)
    assert told == [{"type": "websocket.accept"}, {"type": "websocket.close", "code": 4401, "reason": "酒" * 41}]


async def test_a_handshake_that_lost_its_upgrade(server: Server) -> None:
    """As a proxy makes of it that knows nothing of WebSockets: the answer says what is missing, and so does the log."""
    answer = await server.http.get("/ws")
    assert (answer.status_code, "Upgrade" in answer.json()["error"]) == (400, True)
    await logged(server, "must pass the header Upgrade on")


async def logged(server: Server, *words: str) -> None:
    """Return when there is a line with these words; what is logged may be read later than the answer."""
    async with asyncio.timeout(PATIENCE_S):
        while not any(all(word in line for word in words) for line in server.stderr):
            await asyncio.sleep(0.01)


async def test_the_login_brake_sees_through_ports(tmp_path: Path) -> None:
    """One client with many ports, or many addresses of one IPv6 network, is one client; another network is another."""
    async with town(tmp_path, {"auth": {"provider": "multiuser"}}) as place, place.client() as thief:

        async def tries(*headers: dict[str, str]) -> list[int]:
            body = {"username": "nobody", "password": "x" * 12}
            return [(await thief.post("/api/auth/login", json=body, headers=header)).status_code for header in headers]

        ports = await tries(*({"X-Forwarded-For": f"203.0.113.7:{port}"} for port in range(40000, 40008)))
        network = await tries(*({"Forwarded": f'for="[2001:db8::{n}:7]:4711"'} for n in range(1, 9)))
        for answers in (ports, network):
            assert answers[:5] == [401] * 5
            assert 429 in answers
        assert await tries({"Forwarded": 'for="[2001:db8:0:1::7]"'}) == [401]
