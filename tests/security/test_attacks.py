"""Attacks on a running server in multi-user mode, each named after what it tries."""

import asyncio
import io
import json
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from PIL import Image
from websockets.exceptions import InvalidStatus

from support.client import statuses, viewer
from support.users import PASSWORD, Person, Town, town
from tavernkeep.testing import PATIENCE_S

CARDS = "user://library/SillyTavern/CharacterCard"


@pytest_asyncio.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """A server in multi-user mode."""
    async with town(tmp_path_factory.mktemp("town")) as running:
        yield running


@pytest_asyncio.fixture(scope="module")
async def mallory(place: Town) -> Person:
    """Somebody with an account and bad intentions."""
    return await place.person("mallory")


async def well(place: Town) -> None:
    """The server still answers."""
    assert (await place.admin.http.get("/readyz")).status_code == 200


# From the browser of somebody who is logged in


async def test_dns_rebinding(place: Town, mallory: Person) -> None:
    """A page whose name leads here is not served, not even reads."""
    for path in ("/api/auth/current", "/", "/api/projects"):
        assert (await mallory.http.get(path, headers={"Host": "evil.example"})).status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost.evil.example"])
async def test_cross_site_request(place: Town, mallory: Person, origin: str) -> None:
    """With the cookie along: refused before anything is done; a form, which asks nobody first, is no JSON anyway."""
    answer = await mallory.http.post("/api/projects", json={"name": "csrf"}, headers={"Origin": origin})
    assert answer.status_code == 403
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        answer = await mallory.http.post("/api/projects", content=b'{"name": "csrf"}', headers={"Content-Type": content_type})
        assert answer.status_code == 415
    assert "csrf" not in (await mallory.http.get("/api/projects")).text


async def test_cross_site_websocket(place: Town, mallory: Person) -> None:
    """The handshake is refused, cookie or not."""
    for origin in ("https://evil.example", "null"):
        with pytest.raises(InvalidStatus) as refused:
            async with viewer(place.server.ws_url, additional_headers=mallory.cookie | {"Origin": origin}):
                pass
        assert refused.value.response.status_code == 403


async def test_reading_across_sites(place: Town, mallory: Person) -> None:
    """No other page's script gets to see an answer."""
    answer = await mallory.http.get("/api/projects", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("name", ["x.html", "x.svg", "x.xhtml", "x.xml", "x.mhtml", "x.txt", "x.js"])
async def test_stored_page_with_the_servers_origin(place: Town, mallory: Person, name: str) -> None:
    """What somebody uploads never runs as the server's own page."""
    await mallory.http.post("/api/fam/upload/user%3A%2F%2F", files={"files": (name, b"<script>alert(1)</script>", "text/html")})
    headers = (await mallory.http.get(f"/api/fam/download/user%3A%2F%2F{name}")).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers.get("content-disposition", "").startswith("attachment") or "sandbox" in headers["content-security-policy"]


# Guessing


async def test_key_guessing(place: Town, mallory: Person) -> None:
    """Nothing that is nearly a key is one, and nothing tells how near it is."""
    key = await mallory.key()
    near = [
        key[:-1],
        key + "x",
        key[:-1] + ("a" if key[-1] != "a" else "b"),
        key[:13],
        key.upper(),
        "ctsk_",
        "",
        " ",
        "*",
        key[:13] + "%",
        "'" + key,
    ]
    answers = set()
    for guess in near:
        async with place.client() as client:
            answer = await client.get("/api/projects", headers={"Authorization": f"Bearer {guess}" if guess.strip() else "Bearer x"})
            answers.add((answer.status_code, answer.text))
    assert answers == {(401, '{"error":"The key is wrong, or revoked."}')}


async def test_sql_in_every_text(place: Town, mallory: Person) -> None:
    """It is text."""
    evil = "' OR 1=1; DROP TABLE users; --"
    assert (await mallory.http.get("/api/history", params={"name": evil})).json() == {"executions": []}
    assert (await mallory.http.get(f"/api/llm/channels/{evil}")).status_code == 404
    async with place.client() as client:
        assert (await client.post("/api/auth/login", json={"username": evil, "password": evil})).status_code == 401
    assert (await place.admin.http.get("/api/admin/users")).status_code == 200


# Reaching what only the server can reach


async def outcome(place: Town, who: Person, url: str, **inputs: Any) -> str:
    """What a workflow that asks for a URL ends with."""
    payload = {"nodes": [{"id": "n", "fullType": "http:Request", "inputs": {"url": url} | inputs}], "edges": []}
    async with viewer(place.server.ws_url, additional_headers=who.cookie) as client:
        messages = await client.run(payload)
    return str(messages)


@asynccontextmanager
async def service(answer: Callable[[bytes], bytes]) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A small HTTP service; gives its port and what it was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer(asked[-1]))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:7f00:0001]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "localhost.",
        "LOCALHOST",
        "evil.example@127.0.0.1",
        "127.0.0.1#@evil.example",
        "127.0.0.1%00.evil.example",
    ],
)
async def test_ssrf_by_any_spelling_of_this_machine(place: Town, mallory: Person, host: str) -> None:
    """No byte arrives, by a node or by a channel of one's own."""
    async with service(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nSECRET") as (port, asked):
        url = f"http://{host}:{port}/" if "#" not in host else f"http://{host.replace('#', f':{port}#')}/"
        assert "SECRET" not in await outcome(place, mallory, url)
        channel = await mallory.http.post("/api/llm/channels", json={"label": "ssrf", "baseUrl": url, "apiKey": "x"})
        answer = await mallory.http.post(f"/api/llm/channels/{channel.json()['id']}/discover-models")
        assert (answer.status_code, "SECRET" in answer.text) == (502, False)
        await mallory.http.delete(f"/api/llm/channels/{channel.json()['id']}")
        assert asked == []


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://192.168.1.1/", "http://[fe80::1]/", "http://100.64.0.1/"],
)
async def test_ssrf_to_private_networks(place: Town, mallory: Person, url: str) -> None:
    """Clouds answer there with keys, routers with their settings."""
    assert "may not reach" in await outcome(place, mallory, url)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "ftp://127.0.0.1/",
        "unix:///var/run/docker.sock",
        "data:text/plain,x",
        "//127.0.0.1/",
        "",
    ],
)
async def test_ssrf_by_other_schemes(place: Town, mallory: Person, url: str) -> None:
    """HTTP is all there is."""
    found = await outcome(place, mallory, url)
    assert "NODE_ERROR" in found
    assert "root:" not in found


async def test_ssrf_by_redirect(tmp_path: Path) -> None:
    """A service that may be reached sends on to one that may not: the second is checked as the first was."""
    async with service(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nSECRET") as (inner, asked):
        redirect = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{inner}/\r\nContent-Length: 0\r\n\r\n".encode()
        async with service(lambda _: redirect) as (outer, _), town(tmp_path, {"guard": {"allowed": [f"localhost:{outer}"]}}) as place:
            found = await outcome(place, place.admin, f"http://localhost:{outer}/")
            assert "SECRET" not in found
            assert asked == []


# Costing the server more than the sender


async def test_regex_that_never_ends(place: Town, mallory: Person) -> None:
    """A catastrophic expression is stopped, and others are served meanwhile."""
    rules = [{"name": "evil", "pattern": "(a+)+$", "replacement": "", "enabled": True}]
    node = {"id": "n", "fullType": "core:ApplyRegex", "inputs": {"sourceText": "a" * 40 + "!", "regexRules": rules}}
    async with viewer(place.server.ws_url, additional_headers=mallory.cookie) as client:
        await client.send("PROMPT_REQUEST", {"nodes": [node], "edges": []})
        await well(place)
        messages = await client.until(lambda m: m["type"] == "EXECUTION_STATUS_UPDATE" and m["payload"]["status"] in ("complete", "error"))
    assert statuses(messages)[-1] == "error"


def png(width: int, height: int, *chunks: tuple[bytes, bytes], data: bytes = b"") -> bytes:
    """A PNG with any header and any chunks."""
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    parts = [chunk(b"IHDR", header), *(chunk(kind, body) for kind, body in chunks), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


async def avatar(who: Person, data: bytes, name: str = "a.png") -> int:
    return (await who.http.post("/api/users/me/avatar", files={"avatar": (name, data)})).status_code


async def test_pixel_and_decompression_bombs(place: Town, mallory: Person) -> None:
    """A picture that says it is enormous, or unpacks to it, is refused by its header."""
    assert await avatar(mallory, png(60_000, 60_000, data=zlib.compress(b"\0" * 1_000_000, 9))) == 413
    assert await avatar(mallory, png(2**31 - 1, 2**31 - 1)) in (413, 415)
    text = zlib.compress(b"A" * 100_000_000, 9)
    assert await avatar(mallory, png(1, 1, (b"zTXt", b"x\0\0" + text), data=zlib.compress(b"\0" * 5))) in (200, 415)
    gif = io.BytesIO()
    frames = [Image.new("P", (2000, 2000), shade) for shade in range(3)]
    frames[0].save(gif, "GIF", save_all=True, append_images=frames[1:])
    assert await avatar(mallory, gif.getvalue(), "a.gif") in (200, 413)
    await well(place)


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + b"\xff\xff\xff\xfftEXt" + b"chara\0x",
        png(1, 1, (b"tEXt", b"chara")),
        png(1, 1, (b"tEXt", b"chara\0not base64!")),
        png(1, 1, (b"tEXt", b"chara\0" + b"e30=" * 2)),
        png(1, 1, (b"tEXt", b"chara\0" + b"W" * 1_000_000)),
        png(1, 1, *[(b"tEXt", b"x\0y")] * 20_000),
        png(1, 1, (b"zTXt", b"chara\0\0" + zlib.compress(b"A" * 10_000_000))),
        png(0, 0, (b"tEXt", b"ccv3\0bnVsbA==")),
        b"GIF89a",
        b"",
        b"\xff" * 1000,
    ],
    ids=range(12),
)
async def test_png_oddities(place: Town, mallory: Person, data: bytes) -> None:
    """A card that is broken in any way is left out of the list, which still shows the good ones."""
    folder = quote(CARDS, safe="")
    await mallory.http.post(
        f"/api/fam/upload/{folder}", files=[("files", ("odd.png", data)), ("files", ("good.json", b'{"name": "Good"}'))]
    )
    listed = await mallory.http.get("/api/characters")
    assert listed.status_code == 200
    assert "Good" in [card["name"] for card in listed.json()["data"]]
    assert (await mallory.http.get("/api/characters/image/odd.png")).status_code < 500


async def test_deep_json(place: Town, mallory: Person) -> None:
    """A hundred thousand brackets are an error that says so, by HTTP and over the socket."""
    deep = b"[" * 100_000 + b"]" * 100_000
    for path in ("/api/prompt", "/api/projects", "/api/auth/login", "/api/fam/write-json"):
        answer = await mallory.http.post(path, content=deep, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422
    async with viewer(place.server.ws_url, additional_headers=mallory.cookie) as client:
        await client.socket.send(deep.decode())
        assert "nested too deeply" in str(await client.error())


async def test_too_large(tmp_path: Path) -> None:
    """Bodies, messages, workflows with too many nodes: refused with the bound's name, and nothing is kept."""
    async with town(tmp_path, {"web": {"maxBodyBytes": 200_000}, "engine": {"maxNodes": 100}}) as place:
        big = {"nodes": [{"id": str(n), "fullType": "core:TextMerge"} for n in range(101)], "edges": []}
        answer = await place.admin.http.post("/api/prompt", json=big)
        assert (answer.status_code, "engine.maxNodes" in answer.text) == (422, True)
        answer = await place.admin.http.post("/api/prompt", json={"nodes": [], "edges": [], "x": "y" * 200_000})
        assert (answer.status_code, "web.maxBodyBytes" in answer.text) == (413, True)
        async with viewer(place.server.ws_url, additional_headers=place.admin.cookie) as client:
            await client.send("PROMPT_REQUEST", big)
            assert "engine.maxNodes" in str(await client.error())
            await client.send("PROMPT_REQUEST", {"x": "y" * 200_000})
            assert "web.maxBodyBytes" in str(await client.error())
        assert (await place.admin.http.get("/api/history")).json()["executions"] == []


async def test_too_many_requests(tmp_path: Path) -> None:
    """Each user has their own measure, and so has each address without a login; one who asks too much slows down nobody else."""
    async with town(tmp_path, {"guard": {"requestsPerMinute": 60}}) as place:
        greedy, modest = await place.person("greedy"), await place.person("modest")
        answered = 0
        while (answer := await greedy.http.get("/api/projects")).status_code == 200:
            answered += 1
        assert answered >= 29  # half a minute's at once, of which the login may have been one; more if it took longer
        assert (answer.status_code, int(answer.headers["retry-after"]) >= 1) == (429, True)
        assert (await modest.http.get("/api/projects")).status_code == 200
        async with place.client() as nobody:
            while (answer := await nobody.get("/healthz", headers={"X-Forwarded-For": "203.0.113.5"})).status_code == 200:
                pass
            assert answer.status_code == 429
            assert (await nobody.get("/healthz", headers={"X-Forwarded-For": "203.0.113.6"})).status_code == 200


async def raw(place: Town, data: bytes) -> bytes:
    """Send bytes as they are; gives what comes back until the server closes, or stays silent."""
    host, port = place.server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        await writer.drain()
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read(65536)
    finally:
        writer.close()


@pytest.mark.slow
async def test_slowloris(tmp_path: Path) -> None:
    """Hundreds of connections that never end their request hold up nobody, and are closed after a while."""
    async with town(tmp_path) as place:
        host, port = place.server.url.removeprefix("http://").split(":")
        slow = [await asyncio.open_connection(host, int(port)) for _ in range(300)]
        for _, writer in slow:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        await well(place)
        async with asyncio.timeout(PATIENCE_S):
            for reader, _ in slow:
                while await reader.read(1000):
                    pass
        for _, writer in slow:
            writer.close()


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nGET /admin",
        b"POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
        b"GET /healthz HTTP/1.1\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ],
    ids=range(11),
)
async def test_broken_and_smuggled_requests(place: Town, data: bytes) -> None:
    """No request of theirs is taken for two, none ends the server."""
    answer = await raw(place, data)
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert b" 500 " not in answer
    await well(place)


# Injecting into what others read


async def test_header_injection(place: Town, mallory: Person) -> None:
    """No text of a user's makes a header of its own."""
    await mallory.http.post("/api/projects", json={"name": "h"})
    session = (await mallory.http.post("/api/chat/sessions", json={"projectId": "h", "title": "x\r\nSet-Cookie: a=b"})).json()["id"]
    answers = [
        await mallory.http.post(f"/api/chat/sessions/{session}/export?projectId=h", json={"format": "text"}),
        await mallory.http.get("/api/fam/download/user%3A%2F%2Fx%0d%0aSet-Cookie:%20a=b"),
        await mallory.http.get("/nothing%0d%0aSet-Cookie:%20a=b"),
    ]
    for answer in answers:
        assert "set-cookie" not in answer.headers


async def test_log_injection(place: Town, mallory: Person) -> None:
    """A line break in a name, a path or an agent begins no line of the log."""
    evil = '\n{"event": "FORGED", "level": "info"}\n'
    await mallory.http.get(f"/x{evil}".replace("\n", "%0a"), headers={"User-Agent": "FORGED"})
    async with place.client() as client:
        await client.post("/api/auth/login", json={"username": evil, "password": "x"})
    node = {"id": evil, "fullType": f"x:{evil}"}
    async with viewer(place.server.ws_url, additional_headers=mallory.cookie) as socket:
        await socket.run(
            {"nodes": [node], "edges": [{"sourceNodeId": evil, "sourceHandle": evil, "targetNodeId": "n", "targetHandle": ""}]}
        )
    lines = [json.loads(line) for line in place.server.output().splitlines() if line.startswith("{")]
    assert [line for line in lines if line.get("event") == "FORGED"] == []


@pytest.mark.parametrize("key", ["__proto__", "constructor", "prototype", "__class__", "__init__", "toString", "", "$where", "a.b", "a[0]"])
async def test_prototype_like_keys(place: Town, mallory: Person, key: str) -> None:
    """Are keys like any others: kept, given back, and of no effect."""
    await mallory.http.post("/api/projects", json={"name": "proto"})
    body = {"name": f"w{len(key)}{key[:3].strip('.')}", "nodes": [], "edges": [], key: {"isAdmin": True}}
    stored = await mallory.http.post("/api/projects/proto/workflows", json=body)
    assert stored.status_code in (201, 409)
    if stored.status_code == 201:
        assert stored.json()[key] == {"isAdmin": True}
    node = {
        "id": key or "x",
        "fullType": "core:TextMerge",
        "inputs": {key: 1, "text_inputs": ["x"]},
        "configValues": {key: {"isAdmin": True}},
    }
    async with viewer(place.server.ws_url, additional_headers=mallory.cookie) as client:
        assert statuses(await client.run({"nodes": [node], "edges": [], "metadata": {key: 1}}))[-1] == "complete"
    assert (await mallory.http.get("/api/auth/current")).json()["currentUser"]["isAdmin"] is False


@pytest.mark.parametrize(
    "template",
    ["{{ ''.__class__.__mro__ }}", "{{ cycler.__init__.__globals__ }}", "{% for x in range(10**9) %}x{% endfor %}", "{{ 'x' * 10**9 }}"],
)
async def test_template_injection(place: Town, mallory: Person, template: str) -> None:
    """A template reaches nothing of Python, and cannot hold the server up."""
    payload = {"nodes": [{"id": "n", "fullType": "text:Template", "inputs": {"template": template}}], "edges": []}
    async with viewer(place.server.ws_url, additional_headers=mallory.cookie) as client:
        messages = await client.run(payload)
    assert statuses(messages)[-1] == "error"
    assert "<class" not in str(messages)
    await well(place)


async def test_expression_injection(place: Town, mallory: Person) -> None:
    """A formula is no Python."""
    for formula in ("__import__('os').system('id')", "().__class__", "9**9**9", "open('/etc/passwd')"):
        payload = {"nodes": [{"id": "n", "fullType": "core:MathExpression", "inputs": {"expression": formula}}], "edges": []}
        async with viewer(place.server.ws_url, additional_headers=mallory.cookie) as client:
            assert statuses(await client.run(payload))[-1] == "error"


async def test_secrets_are_nowhere(tmp_path: Path) -> None:
    """Planted in every place that takes one: no message, log, history row, error or backup has it."""
    planted = {name: f"PLANTED-{name}-0123456789" for name in ("credential", "channel", "header", "node", "password", "setting", "sent")}
    async with town(tmp_path) as place:
        anna = await place.person("anna")
        await anna.http.post("/api/auth/password", json={"current": PASSWORD, "password": planted["password"]})
        key = await anna.key()
        seen: list[str] = []

        async def ask(call: Awaitable[Any]) -> Any:
            answer = await call
            seen.append(answer.text)
            return answer

        await ask(anna.http.post("/api/users/me/credentials", json={"serviceName": "s", "credential": planted["credential"]}))
        channel = {"label": "c", "baseUrl": "http://127.0.0.1:9", "apiKey": planted["channel"], "customHeaders": {"x": planted["header"]}}
        made = (await ask(anna.http.post("/api/llm/channels", json=channel))).json()
        await ask(anna.http.post(f"/api/llm/channels/{made['id']}/discover-models"))
        nodes = [
            {
                "id": "a",
                "fullType": "core:GenericLlmRequest",
                "inputs": {"messages": [{"role": "user", "content": "x"}], "activated_model_id": "m"},
            },
            {"id": "b", "fullType": "core:OpenAI", "inputs": {"prompt": "x", "api_key": planted["node"], "base_url": "http://127.0.0.1:9"}},
            # A line end, which libraries answer with an error that quotes the whole header.
            {"id": "s", "fullType": "core:APISettings", "inputs": {"api_key": planted["setting"] + "\n", "base_url": "http://127.0.0.1:9"}},
            {"id": "t", "fullType": "core:OpenAI", "inputs": {"prompt": "x"}},
            {
                "id": "h",
                "fullType": "http:Request",
                "inputs": {"url": "http://127.0.0.1:9", "headers": {"Authorization": f"Bearer {planted['sent']}\nx: y"}},
            },
        ]
        edges = [{"sourceNodeId": "s", "sourceHandle": "api_settings", "targetNodeId": "t", "targetHandle": "api_settings"}]
        async with viewer(place.server.ws_url, additional_headers=anna.cookie) as client:
            messages = await client.run({"nodes": nodes, "edges": edges})
            seen.append(str(messages))
        id_ = messages[0]["payload"]["promptId"]
        for path in (
            f"/api/history/{id_}",
            f"/api/prompt/{id_}",
            "/api/llm/channels",
            "/api/users/me/credentials",
            "/api/auth/current",
            "/api/openapi.json",
        ):
            await ask(anna.http.get(path))
        for path in ("/api/admin/audit", "/api/admin/users", "/api/history"):
            await ask(place.admin.http.get(path))
        for body in ({"label": 5, "apiKey": planted["channel"]}, {"apiKey": {"x": planted["channel"]}}):
            await ask(anna.http.post("/api/llm/channels", json=body))
        await ask(anna.http.post("/api/auth/login", json={"username": 5, "password": planted["password"]}))
        everything = "\n".join(seen) + place.server.output()
        files = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
        for secret in (*planted.values(), key, *dict(anna.http.cookies).values()):
            assert secret not in everything
            assert secret.encode() not in files
