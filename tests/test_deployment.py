"""The files that the operator's guide gives, put to use as they stand there."""

import asyncio
import re
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from playwright.async_api import async_playwright, expect

from support.client import statuses, viewer
from support.server import BIN, PATIENCE_S, Server, serve, tavernkeep

GUIDE = (Path(__file__).parents[1] / "docs/how-to/operate.md").read_text(encoding="utf-8")
HELLO = {"nodes": [{"id": "a", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["hello"]}}], "edges": []}

pytestmark = pytest.mark.slow


def block(language: str) -> str:
    """The one example of a language in the guide."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    return str(found)


def program(name: str) -> str:
    """Where a program is; `.ci/run` installs it."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    assert found, f"these tests want {name}: apt-get install nginx-light systemd chromium"
    return found


@asynccontextmanager
async def behind_nginx(folder: Path, server: Server, *changes: tuple[str, str]) -> AsyncIterator[httpx2.AsyncClient]:
    """The guide's proxy before a server, with something changed in it; gives a client of it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    places = " ".join(f"{kind}_temp_path {folder / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    location = block("nginx")
    for old, new in (*changes, ("http://127.0.0.1:3233", server.url.removesuffix("/tavern"))):
        assert old in location
        location = location.replace(old, new)
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; pid {folder / 'pid'}; error_log {folder / 'error.log'};\n"
        f"events {{}}\nhttp {{ access_log off; {places}\nserver {{ listen 127.0.0.1:{port}; {location} }} }}\n"
    )
    nginx = await asyncio.create_subprocess_exec(program("nginx"), "-c", str(config), "-p", str(folder))
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE_S) as client:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    try:
                        await client.get("/healthz")
                        break
                    except httpx2.ConnectError:
                        assert nginx.returncode is None, (folder / "error.log").read_text()
                        await asyncio.sleep(0.02)
            yield client
    finally:
        nginx.terminate()
        await nginx.wait()


async def test_behind_the_reverse_proxy(tmp_path: Path) -> None:
    """Requests, sockets, event streams and large uploads pass; who the proxy says is from elsewhere is refused, whatever they claim."""
    async with serve(tmp_path) as server, behind_nginx(tmp_path, server) as outside:
        assert (await outside.get("/api/auth/current")).json()["isAuthenticated"] is True
        socket_url = str(outside.base_url).replace("http", "ws", 1).rstrip("/") + "/ws"
        async with viewer(socket_url) as client:
            messages = await client.run(HELLO)
        assert statuses(messages) == ["running", "complete"]
        id_ = messages[0]["payload"]["promptId"]
        async with outside.stream("GET", f"/api/prompt/{id_}/events") as answer:
            lines = [line async for line in answer.aiter_lines() if line.startswith("id: ")]
        assert len(lines) == len([message for message in messages if "seq" in message["payload"]])
        big = {"files": ("big.bin", b"x" * 5_000_000)}
        assert (await outside.post("/api/fam/upload/user%3A%2F%2Fup", files=big)).json()[0]["size"] == 5_000_000
        assert (await outside.get("/api/projects", headers={"X-Forwarded-For": "203.0.113.9"})).status_code == 403


@pytest.mark.parametrize("stripping", [True, False])
@pytest.mark.parametrize("configured", [True, False])
async def test_below_a_path_of_the_reverse_proxy(tmp_path: Path, stripping: bool, configured: bool) -> None:
    """Whether or not it takes the path off, and whoever says it: pages, sockets, logical paths whose slashes it has merged, cookies."""
    hashed = await tavernkeep(tmp_path, "access-password", stdin=b"correct horse")
    config = {"userManagement": {"accessPasswordHash": hashed.stdout.strip()}} | ({"server": {"basePath": "/tavern"}} if configured else {})
    changes = [("location / {", "location /tavern/ {")]
    changes += [("proxy_pass http://127.0.0.1:3233;", "proxy_pass http://127.0.0.1:3233/;")] if stripping else []
    changes += [] if configured else [("proxy_buffering", "proxy_set_header X-Forwarded-Prefix /tavern;\n    proxy_buffering")]
    async with serve(tmp_path, config) as server, behind_nginx(tmp_path, server, *changes) as outside:
        login = await outside.post("/tavern/api/auth/login", json={"password": "correct horse"})
        assert "; Path=/tavern; " in login.headers["set-cookie"]
        assert (await outside.get("/tavern/api/openapi.json")).json()["servers"] == [{"url": "/tavern"}]
        (script,) = re.findall(r'src="(.*?)"', (await outside.get("/tavern/")).text)
        assert (await outside.get(script)).status_code == 200
        await outside.post("/tavern/api/fam/write-json", json={"logicalPath": "user://notes/酒.json", "content": 1})
        for path in ("user://notes/酒.json", "user%3A%2F%2Fnotes%2F酒.json", "user:/notes/酒.json"):
            assert (await outside.get(f"/tavern/api/fam/read/{path}")).json() == 1, path
        url = str(outside.base_url).replace("http", "ws", 1).rstrip("/") + "/tavern/ws"
        cookie = "; ".join(f"{name}={value}" for name, value in outside.cookies.items())
        origin = str(outside.base_url).rstrip("/")
        async with viewer(url, additional_headers={"Cookie": cookie, "Origin": origin}) as client:
            assert statuses(await client.run(HELLO)) == ["running", "complete"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("proxy_buffering", "proxy_buffering"), "connected"),
        (("Host $http_host", "Host localhost"), "add the origin to security.corsAllowedOrigins"),
        (("proxy_set_header Upgrade $http_upgrade;", ""), "a proxy in between must pass the header Upgrade on"),
    ],
    ids=["right", "another host", "no upgrade"],
)
async def test_the_page_behind_the_reverse_proxy(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    """Below a path it is connected; where the proxy leaves out what a socket needs, it says what that is."""
    changes = [("location / {", "location /tavern/ {"), ("proxy_pass http://127.0.0.1:3233;", "proxy_pass http://127.0.0.1:3233/;"), change]
    changes.append(("proxy_request_buffering", "proxy_set_header X-Forwarded-Prefix /tavern;\n    proxy_request_buffering"))
    async with serve(tmp_path) as server, behind_nginx(tmp_path, server, *changes) as outside, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox", "--disable-gpu"])
        page = await browser.new_page(locale="en-GB")
        await page.goto(str(outside.base_url.join("/tavern/")))
        await expect(page.locator("#connection")).to_contain_text(told, timeout=60_000)
        await browser.close()


async def test_the_systemd_unit_is_sound(tmp_path: Path) -> None:
    """systemd finds nothing to say about it."""
    unit = tmp_path / "tavernkeep.service"
    unit.write_text(block("ini").replace("/opt/tavernkeep/.venv/bin", str(BIN)).replace("User=tavernkeep\n", ""))
    check = await asyncio.create_subprocess_exec(
        program("systemd-analyze"), "verify", "--man=no", str(unit), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await check.communicate()
    assert (check.returncode, [line for line in said.decode().splitlines() if "tavernkeep" in line]) == (0, [])


async def test_the_containers_settings_serve_what_they_say(tmp_path: Path) -> None:
    """With the variables of the container file the server listens on every address, and writes where the volume is."""
    (variables,) = re.findall(r"^ENV (.*)$", block("dockerfile"), re.MULTILINE)
    settings = dict(entry.split("=", 1) for entry in variables.split())
    assert settings["TAVERNKEEP_PATHS__DATA"] in block("dockerfile").split("VOLUME ")[1]
    settings["TAVERNKEEP_PATHS__DATA"] = str(tmp_path / "volume")
    async with serve(tmp_path, **settings) as server:
        assert server.url.startswith("http://0.0.0.0:")
        assert (await server.http.get(server.url.replace("0.0.0.0", "127.0.0.1") + "/api/projects")).json() == []
        assert (tmp_path / "volume" / "tavernkeep.sqlite3").exists()
