"""`/api/fam/…`: files by logical path."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import httpx2
import pytest

from support.attacks import ATTACKS
from support.plugins import install, on_path
from support.server import Server, serve
from tavernkeep.testing import PATIENCE_S

FAM = "/api/fam"
NAMES = ["a.txt", "中文 文件.json", "🎭.txt", "עברית.txt", "with space & more=1.txt", "100%.txt", "a+b#c.txt", "semi;colon.txt"]


def encoded(path: str) -> str:
    return quote(path, safe="")


async def write(server: Server, path: str, content: Any) -> None:
    assert (await server.http.post(f"{FAM}/write-json", json={"logicalPath": path, "content": content})).status_code == 204


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("way", ["encoded", "raw"])
async def test_names_in_any_script_and_paths_in_either_form(server: Server, name: str, way: str) -> None:
    """Written, listed, read, downloaded, renamed and removed; the path percent-encoded as a whole, or only where it must be."""

    def at(path: str) -> str:
        return encoded(path) if way == "encoded" else quote(path, safe=":/")

    folder = f"user://names-{way}"
    path = f"{folder}/{name}"
    await write(server, path, {"x": name})
    (item,) = (await server.http.get(f"{FAM}/list/{at(folder + '/')}")).json()
    assert {
        "id": path,
        "name": name,
        "logicalPath": path,
        "itemType": "file",
        "isSymlink": False,
        "isWritable": True,
    }.items() <= item.items()
    assert item["size"] > 0
    assert item["lastModified"] > 1_700_000_000_000
    assert (await server.http.get(f"{FAM}/read/{at(path)}")).json() == {"x": name}
    downloaded = await server.http.get(f"{FAM}/download/{at(path)}")
    assert downloaded.json() == {"x": name}
    assert downloaded.headers["content-disposition"].startswith('inline; filename="')
    assert unquote(downloaded.headers["content-disposition"].partition("; filename*=UTF-8''")[2]) == name
    renamed = await server.http.put(f"{FAM}/rename", json={"logicalPath": path, "newName": "new " + name})
    assert renamed.json() == {"name": "new " + name, "logicalPath": f"{folder}/new {name}", "itemType": "file"}
    assert (await server.http.request("DELETE", f"{FAM}/delete", json={"logicalPaths": [f"{folder}/new {name}"]})).status_code == 204
    assert (await server.http.get(f"{FAM}/list/{at(folder)}")).json() == []


async def test_listing(server: Server) -> None:
    """A folder that is not there is empty, and is made on request; a file is no folder."""
    assert (await server.http.get(f"{FAM}/list/{encoded('user://none')}")).json() == []
    assert (await server.http.get(f"{FAM}/list/{encoded('user://made')}?ensureExists=true")).json() == []
    assert "made" in [item["name"] for item in (await server.http.get(f"{FAM}/list/{encoded('user://')}")).json()]
    await write(server, "user://file.json", 1)
    assert (await server.http.get(f"{FAM}/list/{encoded('user://file.json')}")).status_code == 400


async def test_roots(server: Server) -> None:
    """Of a scheme that has several, also where a proxy has merged its slashes."""
    for path in ("shared://", "shared:/"):
        roots = (await server.http.get(f"{FAM}/list/{encoded(path)}")).json()
        assert [(root["name"], root["logicalPath"], root["itemType"], root["isWritable"]) for root in roots] == [
            ("library", "shared://library", "directory", True),
            ("templates", "shared://templates", "directory", True),
        ]
    roots = (await server.http.get(f"{FAM}/list/{encoded('system://')}")).json()
    assert [root["name"] for root in roots] == ["public", "data", "logs", "config"]
    for root in roots:
        assert (await server.http.get(f"{FAM}/list/{encoded(root['id'])}")).status_code == 200
    assert (await server.http.post(f"{FAM}/write-json", json={"logicalPath": "system://logs", "content": 1})).status_code == 403


async def test_folders(server: Server) -> None:
    """Made, or left as they are where they are there, unless a file is in the way; removed with what is in them."""
    body = {"parentLogicalPath": "user://parent/child", "dirName": "new"}
    made = await server.http.post(f"{FAM}/create-dir", json=body)
    assert (made.status_code, made.json()) == (201, {"name": "new", "logicalPath": "user://parent/child/new", "itemType": "directory"})
    await write(server, "user://parent/child/new/kept", 1)
    again = await server.http.post(f"{FAM}/create-dir", json=body)
    assert (again.status_code, again.json()) == (201, made.json())
    assert [item["name"] for item in (await server.http.get(f"{FAM}/list/{encoded('user://parent/child/new')}")).json()] == ["kept"]
    assert (await server.http.post(f"{FAM}/create-dir", json=body | {"dirName": "new/kept"})).status_code == 400
    in_the_way = {"parentLogicalPath": "user://parent/child/new", "dirName": "kept"}
    assert (await server.http.post(f"{FAM}/create-dir", json=in_the_way)).status_code == 409
    assert (await server.http.request("DELETE", f"{FAM}/delete", json={"logicalPaths": ["user://parent"]})).status_code == 204


async def test_moving(server: Server) -> None:
    """Together, partly, not at all; not over another, nor into itself."""
    for name in ("a", "b", "taken", "target/taken"):
        await write(server, f"user://move/{name}", name)
    moved = await server.http.put(f"{FAM}/move", json={"sourcePaths": ["user://move/a"], "targetParentPath": "user://move/target"})
    assert [made["logicalPath"] for made in moved.json()] == ["user://move/target/a"]
    sources = ["user://move/b", "user://move/none", "user://move/taken"]
    partly = await server.http.put(f"{FAM}/move", json={"sourcePaths": sources, "targetParentPath": "user://move/target"})
    assert partly.status_code == 207
    assert [error["path"] for error in partly.json()["errors"]] == sources[1:]
    assert [made["name"] for made in partly.json()["results"]] == ["b"]
    for sources, status in ((["user://move/none"], 404), (["user://move/taken"], 409), ([], 422)):
        answer = await server.http.put(f"{FAM}/move", json={"sourcePaths": sources, "targetParentPath": "user://move/target"})
        assert answer.status_code == status
        if sources:
            message = answer.json()["message"]
            assert answer.json() == {"message": message, "results": [], "errors": [{"path": sources[0], "message": message}]}
    none = await server.http.put(f"{FAM}/move", json={"sourcePaths": ["user://move/none"], "targetParentPath": "user://move/target"})
    assert none.json()["message"] == "there is no user://move/none"
    into_itself = await server.http.put(f"{FAM}/move", json={"sourcePaths": ["user://move"], "targetParentPath": "user://move/target"})
    assert into_itself.status_code == 409
    assert (await server.http.get(f"{FAM}/read/{encoded('user://move/target/taken')}")).json() == "target/taken"


async def test_deleting(server: Server) -> None:
    """404 where none was found, 207 where some were, 422 where none is named; a root stays."""
    assert (await server.http.request("DELETE", f"{FAM}/delete", json={"logicalPaths": []})).status_code == 422
    await write(server, "user://delete.json", 1)
    partly = await server.http.request("DELETE", f"{FAM}/delete", json={"logicalPaths": ["user://delete.json", "user://none"]})
    assert (partly.status_code, partly.json()["errors"][0]["path"]) == (207, "user://none")
    assert (await server.http.request("DELETE", f"{FAM}/delete", json={"logicalPaths": ["user://none"]})).status_code == 404
    assert (await server.http.request("DELETE", f"{FAM}/delete", json={"logicalPaths": ["user://"]})).status_code == 400


async def test_renaming(server: Server) -> None:
    """Not what is not there, not over another, not elsewhere."""
    await write(server, "user://one.json", 1)
    await write(server, "user://two.json", 2)
    for path, name, status in (("none", "x", 404), ("one.json", "two.json", 409), ("one.json", "../x", 400), ("one.json", "a/b", 400)):
        answer = await server.http.put(f"{FAM}/rename", json={"logicalPath": f"user://{path}", "newName": name})
        assert answer.status_code == status, name


async def test_reading(server: Server) -> None:
    """JSON where it parses, text where not, null where there is nothing."""
    files = {"files": ("note.txt", "not json 酒".encode(), "text/plain")}
    await server.http.post(f"{FAM}/upload/{encoded('user://read')}", files=files)
    text = await server.http.get(f"{FAM}/read/{encoded('user://read/note.txt')}")
    assert text.text == "not json 酒"
    nothing = await server.http.get(f"{FAM}/read/{encoded('user://read/none.json')}")
    assert (nothing.status_code, nothing.json()) == (200, None)


async def test_uploading_one_and_many(server: Server) -> None:
    """Each is there whole; one that cannot be is told beside the others."""
    files = [("files", ("a.bin", b"a" * 1000)), ("files", ("b/c.bin", b"b")), ("files", ("空.bin", b""))]
    answer = await server.http.post(f"{FAM}/upload/{encoded('user://up')}", files=files)
    assert answer.status_code == 207
    assert [entry["name"] for entry in answer.json()["results"]] == ["a.bin", "空.bin"]
    assert [error["path"] for error in answer.json()["errors"]] == ["b/c.bin"]
    one = await server.http.post(f"{FAM}/upload/{encoded('user://up')}", files={"files": ("a.bin", b"again")})
    assert one.json() == [{"name": "a.bin", "logicalPath": "user://up/a.bin", "size": 5, "itemType": "file"}]
    assert (await server.http.get(f"{FAM}/download/{encoded('user://up/a.bin')}")).content == b"again"
    assert (await server.http.post(f"{FAM}/upload/{encoded('user://up')}", files={"other": b"x"})).status_code == 400


async def test_ranges_and_conditions(server: Server) -> None:
    """A range of a file, none of it that is not there, and nothing that the client has already."""
    url = f"{FAM}/download/{encoded('user://range.bin')}"
    await server.http.post(f"{FAM}/upload/{encoded('user://')}", files={"files": ("range.bin", bytes(range(256)))})
    whole = await server.http.get(url)
    assert (whole.status_code, len(whole.content), whole.headers["accept-ranges"]) == (200, 256, "bytes")
    part = await server.http.get(url, headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, bytes(range(10, 20)), "bytes 10-19/256")
    last = await server.http.get(url, headers={"range": "bytes=-6"})
    assert last.content == bytes(range(250, 256))
    assert (await server.http.get(url, headers={"range": "bytes=999-"})).status_code == 416
    assert (await server.http.get(url, headers={"if-none-match": whole.headers["etag"]})).status_code == 304
    assert (await server.http.get(f"{FAM}/download/{encoded('user://none')}")).status_code == 404


async def test_nothing_is_served_stale(server: Server) -> None:
    """Caches ask each time, shared ones keep nothing, and new content has a new tag, though its length and time are the old ones."""
    url, folder = f"{FAM}/download/{encoded('user://fresh.txt')}", f"{FAM}/upload/{encoded('user://')}"
    place = server.folder / "data" / "users" / "default_user" / "fresh.txt"
    await server.http.post(folder, files={"files": ("fresh.txt", b"one ale")})
    os.utime(place, ns=(1, 1))
    first = await server.http.get(url)
    assert first.headers["cache-control"] == "private, no-cache"
    assert first.headers["content-type"] == "text/plain; charset=utf-8"
    await server.http.post(folder, files={"files": ("fresh.txt", b"two ale")})
    os.utime(place, ns=(1, 1))
    second = await server.http.get(url, headers={"if-none-match": first.headers["etag"]})
    assert (second.status_code, second.content) == (200, b"two ale")
    same = await server.http.get(url, headers={"if-none-match": second.headers["etag"]})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", second.headers["etag"])


PAGES = ["page.html", "PAGE.HTM", "drawing.SvG", "page.xhtml", "page.xht", "styled.xml", "style.xsl"]


@pytest.mark.parametrize("name", PAGES)
async def test_pages_never_run_with_the_servers_origin(server: Server, name: str) -> None:
    """They are sent to be saved, in a sandbox."""
    script = b"<script>alert(1)</script>"
    await server.http.post(f"{FAM}/upload/{encoded('user://active')}", files={"files": (name, script)})
    answer = await server.http.get(f"{FAM}/download/{encoded('user://active/' + name)}")
    assert answer.content == script
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("module.mjs", "text/javascript; charset=utf-8"),
        ("SCRIPT.JS", "text/javascript; charset=utf-8"),
        ("page.html.gz", "application/gzip"),
        ("drawing.svgz", "application/gzip"),
        ("page.html_", "application/octet-stream"),
        ("html", "application/octet-stream"),
        ("letters.woff2", "font/woff2"),
    ],
)
async def test_kinds_are_known_by_name_alone(server: Server, name: str, kind: str) -> None:
    """By the last ending, in any case; what is packed is no page; nothing is looked for in the content."""
    await server.http.post(f"{FAM}/upload/{encoded('user://kinds')}", files={"files": (name, b"<html><script>alert(1)</script>")})
    answer = await server.http.get(f"{FAM}/download/{encoded('user://kinds/' + name)}")
    assert (answer.headers["content-type"], answer.headers["x-content-type-options"]) == (kind, "nosniff")
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_no_file_is_a_service_worker(server: Server) -> None:
    """It would answer in the place of the server long after whoever planted it is gone."""
    await write(server, "user://worker.js", 1)
    url = f"{FAM}/download/{encoded('user://worker.js')}"
    assert (await server.http.get(url)).status_code == 200
    assert (await server.http.get(url, headers={"Service-Worker": "script"})).status_code == 403


@pytest.mark.parametrize("path", ATTACKS)
async def test_no_route_takes_an_unsafe_path(server: Server, path: str) -> None:
    """400, to read and to write; 422 where the request is no JSON to begin with."""
    unsayable = "\ud800" in path  # in a URL; as JSON it is refused
    refused = 422 if unsayable else 400

    async def status(method: str, name: str, body: Any) -> int:
        sent = json.dumps(body).encode()
        return (await server.http.request(method, f"{FAM}/{name}", content=sent, headers={"Content-Type": "application/json"})).status_code

    assert await status("POST", "write-json", {"logicalPath": path, "content": 1}) == refused
    assert await status("POST", "create-dir", {"parentLogicalPath": path, "dirName": "x"}) == refused
    assert await status("PUT", "rename", {"logicalPath": path, "newName": "x"}) == refused
    assert await status("PUT", "move", {"sourcePaths": [path], "targetParentPath": "user://x"}) == refused
    assert await status("PUT", "move", {"sourcePaths": ["user://x"], "targetParentPath": path}) == refused
    assert await status("DELETE", "delete", {"logicalPaths": [path]}) == refused
    if not unsayable:
        sent = encoded(path)
        assert path in ("shared://", "system://") or (await server.http.get(f"{FAM}/list/{sent}")).status_code == 400
        assert (await server.http.get(f"{FAM}/read/{sent}")).status_code == 400
        assert (await server.http.get(f"{FAM}/download/{sent}")).status_code == 400
        assert (await server.http.post(f"{FAM}/upload/{sent}", files={"files": ("x", b"x")})).status_code == 400


async def test_the_servers_own_files_are_out_of_reach(server: Server) -> None:
    """Also for an administrator, whose key may be one for files alone: the database, the key of the secrets, code."""
    await server.http.post("/api/users/me/credentials", json={"serviceName": "x", "credential": "c"})  # which needs the key
    data = server.folder / "data"
    assert {"master.key", "server.lock", "tavernkeep.sqlite3"} <= {path.name for path in data.iterdir()}
    (data / "plugins" / "mine").mkdir(parents=True)
    (data / "plugins" / "mine" / "plugin.yaml").write_text("name: mine")
    private = [f"system://data/{path.name}" for path in data.iterdir() if path.is_file()]
    (data / ".replaced-1").mkdir()
    (data / ".replaced-1" / "master.key").write_text("a key that was moved aside")
    private += ["system://data/.replaced-1/master.key", "system://data/.replaced-1", "system://data/.restoring"]
    private += ["system://config/data/master.key", "system://config/data", "system://config/other"]
    for path in private:
        for route in ("read", "download"):
            assert (await server.http.get(f"{FAM}/{route}/{encoded(path)}")).status_code == 403, path
    code = ["system://data/plugins/mine/plugin.yaml", "system://data/plugins", "system://data/Plugins/x"]
    for path in private + code:
        assert (await server.http.post(f"{FAM}/write-json", json={"logicalPath": path, "content": 1})).status_code == 403, path
        assert (await server.http.put(f"{FAM}/rename", json={"logicalPath": path, "newName": "y"})).status_code == 403, path
        await write(server, "user://bait", 1)
        move = {"sourcePaths": ["user://bait"], "targetParentPath": path}
        assert (await server.http.put(f"{FAM}/move", json=move)).status_code in (207, 403, 409), path
        await server.http.request("DELETE", f"{FAM}/delete", json={"logicalPaths": [path]})
    assert (await server.http.post(f"{FAM}/write-json", json={"logicalPath": "system://data/new", "content": 1})).status_code == 403
    assert (data / "master.key").exists()
    assert (data / ".replaced-1" / "master.key").exists()
    assert (data / "plugins" / "mine" / "plugin.yaml").read_text() == "name: mine"
    assert [path.name for path in (data / "plugins").rglob("*")] == ["mine", "plugin.yaml"]
    assert (await server.http.get(f"{FAM}/list/{encoded('system://data')}")).status_code == 200
    if (server.folder / "config.json").exists():
        assert (await server.http.get(f"{FAM}/read/{encoded('system://config/config.json')}")).status_code == 200


async def test_a_refused_upload_gets_its_answer(server: Server) -> None:
    """Though the refusal is ready long before the body has come in."""
    sent = await server.http.post(f"{FAM}/upload/{encoded('user://../x')}", files={"files": ("x", b"x" * 20_000_000)})
    assert sent.status_code == 400


async def test_two_writers_at_once(server: Server) -> None:
    """The file is the one or the other, whole."""
    contents = [[number] * 50_000 for number in range(8)]
    await asyncio.gather(*(write(server, "user://race.json", content) for content in contents))
    assert (await server.http.get(f"{FAM}/read/{encoded('user://race.json')}")).json() in contents
    assert not list((server.folder / "data" / "users" / "default_user").glob(".writing-*"))


@pytest.mark.slow
async def test_ten_thousand_files(server: Server) -> None:
    """In one folder."""
    folder = server.folder / "data" / "users" / "default_user" / "many"
    folder.mkdir(parents=True)
    for number in range(10_000):
        (folder / f"{number}.txt").touch()
    assert len((await server.http.get(f"{FAM}/list/{encoded('user://many')}")).json()) == 10_000


async def test_an_upload_that_is_cut_off_leaves_nothing(server: Server) -> None:
    """Neither a part of the file nor a temporary one; the file that was there is as it was."""
    await write(server, "user://cut/kept.json", "kept")

    async def body() -> AsyncIterator[bytes]:
        yield b'--x\r\ncontent-disposition: form-data; name="files"; filename="kept.json"\r\n\r\n' + b"y" * 2_000_000
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await server.http.post(
            f"{FAM}/upload/{encoded('user://cut')}", content=body(), headers={"content-type": "multipart/form-data; boundary=x"}
        )
    folder = server.folder / "data" / "users" / "default_user" / "cut"
    async with asyncio.timeout(PATIENCE_S):
        while [path.name for path in folder.iterdir()] != ["kept.json"]:
            await asyncio.sleep(0.01)
    assert (await server.http.get(f"{FAM}/read/{encoded('user://cut/kept.json')}")).json() == "kept"


async def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    """413 with the limit, and nothing is kept."""
    async with serve(tmp_path, {"files": {"maxUploadBytes": 1000}}) as server:
        answer = await server.http.post(f"{FAM}/upload/{encoded('user://')}", files={"files": ("big", b"x" * 1001)})
        assert answer.status_code == 413
        assert "1000" in answer.text
        assert (await server.http.get(f"{FAM}/list/{encoded('user://')}")).json() == []


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_gigabyte_costs_no_memory(tmp_path: Path) -> None:
    """1 GiB comes in, and the server's memory grows by less than 64 MiB."""
    size, piece = 1024**3, b"x" * 1024 * 1024

    def peak(pid: int) -> int:
        line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    async def body() -> AsyncIterator[bytes]:
        yield b'--x\r\ncontent-disposition: form-data; name="files"; filename="big.bin"\r\n\r\n'
        for _ in range(size // len(piece)):
            yield piece
        yield b"\r\n--x--\r\n"

    async with serve(tmp_path, {}) as server:
        await server.http.get("/readyz")
        before = peak(server.process.pid)
        headers = {"content-type": "multipart/form-data; boundary=x"}
        answer = await server.http.post(f"{FAM}/upload/{encoded('user://')}", content=body(), headers=headers, timeout=200)
        assert answer.json()[0]["size"] == size
        assert peak(server.process.pid) - before < 64 * 1024**2


CRASH = """
    import os, signal

    replace = os.replace

    def crash(source, target, **options):
        if "crash" in str(target):
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target, **options)

    os.replace = crash
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["write", "upload", "project"])
async def test_a_crash_between_write_and_rename_leaves_the_old_file(tmp_path: Path, way: str) -> None:
    """`kill -9` at that very moment: the file is as it was, and the next start removes what was half done."""

    async def write(server: Server, text: str) -> None:
        if way == "write":
            await server.http.post(f"{FAM}/write-json", json={"logicalPath": "user://f/crash.json", "content": text})
        elif way == "upload":
            await server.http.post(f"{FAM}/upload/{encoded('user://f')}", files={"files": ("crash.json", json.dumps(text))})
        else:
            workflow = {"id": "w", "name": "crash", "nodes": [], "edges": [], "viewport": {"x": 0, "y": 0, "zoom": 1}, "description": text}
            for _ in range(2):  # stored, then changed
                await server.http.request("PUT", "/api/projects/f/workflows/w", json=workflow)

    place = "user://projects/f/workflows/crash.json" if way == "project" else "user://f/crash.json"
    async with serve(tmp_path) as server:
        if way == "project":
            await server.http.post("/api/projects", json={"name": "f"})
            await server.http.post("/api/projects/f/workflows", json={"id": "w", "name": "crash", "nodes": [], "edges": []})
        await write(server, "old")
        before = (await server.http.get(f"{FAM}/read/{encoded(place)}")).json()
        assert "old" in json.dumps(before)
    async with serve(tmp_path, **on_path(install(tmp_path / "packs", "crash", CRASH))) as server:
        with pytest.raises(httpx2.TransportError):
            await write(server, "new")
        assert await server.stop() == -signal.SIGKILL
    users = tmp_path / "data" / "users"
    assert [path.name for path in users.rglob(".writing-*")] != []
    async with serve(tmp_path) as server:
        assert (await server.http.get(f"{FAM}/read/{encoded(place)}")).json() == before
    assert list(users.rglob(".writing-*")) == []
