"""Which pages run with the server's origin: a user's own panels, where `panels.sameOrigin` allows it, and no other."""

from collections.abc import AsyncIterator
from urllib.parse import quote

import httpx2
import pytest
import pytest_asyncio

from support.server import Server
from support.users import Town, town

PAGE = "<!doctype html><script>fetch('/api/users/me/service-keys', {method: 'POST'})</script>"
INDEX = "user://projects/inn/ui/bar/index.html"
NOTE = "user://projects/inn/.others-could-write"


def at(path: str) -> str:
    return f"/api/fam/download/{quote(path, safe='')}"


async def put(http: httpx2.AsyncClient, path: str, content: str = PAGE) -> int:
    folder, _, name = path.rpartition("/")
    sent = await http.post(f"/api/fam/upload/{quote(folder, safe='')}", files={"files": (name, content)})
    return sent.status_code


async def runs(http: httpx2.AsyncClient, path: str, **headers: str) -> bool:
    """Whether a file is sent as a page of the server's origin; what is not is in a sandbox, and sent to be saved."""
    answer = await http.get(at(path), headers=headers)
    assert answer.status_code == 200, answer.text
    sandboxed = "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["content-disposition"].startswith("attachment; " if sandboxed else "inline; ")
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert answer.headers["x-content-type-options"] == "nosniff"
    return not sandboxed


@pytest_asyncio.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """Many users, whose own panels run."""
    async with town(tmp_path_factory.mktemp("town"), {"panels": {"sameOrigin": "own"}}) as running:
        yield running


async def made_panel(http: httpx2.AsyncClient) -> None:
    assert (await http.post("/api/projects", json={"name": "inn"})).status_code == 201
    assert (await http.post("/api/projects/inn/panels", json={"panelId": "bar", "displayName": "Bar"})).status_code == 201


async def test_in_single_user_mode_ones_panels_run_in_a_frame(server: Server) -> None:
    """With all that they load, from below the projects' `ui` folders; not in a window of their own, as by a link, nor from elsewhere."""
    await made_panel(server.http)
    for path in (
        INDEX,
        "user://projects/inn/ui/bar/deep/er.svg",
        "user://projects/inn/ui/page.xhtml",
        "user://projects/inn/ui/bar/feed.xml",
    ):
        if path != INDEX:
            assert await put(server.http, path) == 200
        assert await runs(server.http, path)
        assert await runs(server.http, path, **{"Sec-Fetch-Dest": "iframe"})
        assert not await runs(server.http, path, **{"Sec-Fetch-Dest": "document"})
    script = await server.http.get(at("user://projects/inn/ui/bar/panel.json"), headers={"Sec-Fetch-Dest": "empty"})
    assert script.headers["content-disposition"].startswith("inline")
    for path in ("user://page.html", "user://projects/inn/page.html", "user://projects/inn/panel_data/bar/page.html", "user://ui/a/b.html"):
        assert await put(server.http, path) == 200
        assert not await runs(server.http, path)
    home = server.folder / "data" / "users" / "default_user"
    (home / "projects" / "inn" / "ui" / "link.html").symlink_to(home / "page.html")
    assert not await runs(server.http, "user://projects/inn/ui/link.html")
    (home / "link.html").symlink_to(home / "projects" / "inn" / "ui" / "bar" / "index.html")
    assert await runs(server.http, "user://link.html")  # it is that very page
    assert not await runs(server.http, "system://data/users/default_user/projects/inn/ui/bar/index.html")
    (server.folder / "data" / "templates" / "panels" / "clock").mkdir(parents=True)
    assert await put(server.http, "shared://templates/panels/clock/index.html") == 200
    assert not await runs(server.http, "shared://templates/panels/clock/index.html")


async def test_a_browser_has_no_copy_under_another_policy(server: Server) -> None:
    """What a browser keeps for a frame is none for a window of its own: the tag differs, so that it gets the other headers too."""
    await put(server.http, "user://projects/x/ui/p/index.html")
    framed = await server.http.get(at("user://projects/x/ui/p/index.html"), headers={"Sec-Fetch-Dest": "iframe"})
    tag = {"If-None-Match": framed.headers["etag"]}
    again = await server.http.get(at("user://projects/x/ui/p/index.html"), headers={"Sec-Fetch-Dest": "iframe", **tag})
    assert again.status_code == 304
    opened = await server.http.get(at("user://projects/x/ui/p/index.html"), headers={"Sec-Fetch-Dest": "document", **tag})
    assert (opened.status_code, "sandbox" in opened.headers["content-security-policy"]) == (200, True)
    assert "Sec-Fetch-Dest" in framed.headers["vary"]


async def test_what_others_may_have_written_does_not_run(place: Town) -> None:
    """Neither in a project of theirs, nor in one's own that they may change, or could once; not before its owner has looked it through."""
    anna, bert = await place.person("anna"), await place.person("bert")
    await made_panel(anna.http)
    assert await runs(anna.http, INDEX)
    theirs = f"user://projects/inn@{anna.uid}"
    await anna.http.put("/api/projects/inn/shares", json={"username": "bert", "access": "read"})
    assert await runs(anna.http, INDEX)
    assert not await runs(bert.http, f"{theirs}/ui/bar/index.html")
    await anna.http.put("/api/projects/inn/shares", json={"username": "bert", "access": "write"})
    assert await put(bert.http, f"{theirs}/ui/evil/index.html") == 200
    assert not await runs(anna.http, "user://projects/inn/ui/evil/index.html")
    assert not await runs(anna.http, INDEX)
    assert not await runs(bert.http, f"{theirs}/ui/evil/index.html")
    # The note of it is the owner's alone, and does not count for as long as the project is shared.
    note = f"{theirs}/.others-could-write"
    for name in (note, f"{theirs}/.OTHERS-could-WRITE"):
        assert (await bert.http.request("DELETE", "/api/fam/delete", json={"logicalPaths": [name]})).status_code == 403
        assert await put(bert.http, name) == 403
    moved = {"logicalPath": note, "newName": "gone"}
    assert (await bert.http.put("/api/fam/rename", json=moved)).status_code == 403
    assert (await anna.http.request("DELETE", "/api/fam/delete", json={"logicalPaths": [NOTE]})).status_code == 204
    assert not await runs(anna.http, INDEX)
    # Shared no longer, then moved: what he has left there is there still.
    await anna.http.put("/api/projects/inn/shares", json={"username": "bert", "access": "write"})
    assert (await anna.http.delete("/api/projects/inn/shares?username=bert")).status_code == 204
    assert not await runs(anna.http, "user://projects/inn/ui/evil/index.html")
    assert (await anna.http.put("/api/fam/rename", json={"logicalPath": "user://projects/inn", "newName": "hall"})).status_code == 200
    assert not await runs(anna.http, "user://projects/hall/ui/evil/index.html")
    looked = {"logicalPaths": ["user://projects/hall/ui/evil", "user://projects/hall/.others-could-write"]}
    assert (await anna.http.request("DELETE", "/api/fam/delete", json=looked)).status_code == 204
    assert await runs(anna.http, "user://projects/hall/ui/bar/index.html")


async def test_a_key_for_less_than_everything_changes_no_page_that_runs(place: Town) -> None:
    """It would be one for everything, once its owner looks at the panel: by no route, and by no detour."""
    carla = await place.person("carla")
    await made_panel(carla.http)
    assert await put(carla.http, NOTE, "looked at later") == 200
    async with place.with_key(await carla.key("files:read", "files:write", "project:read", "project:write")) as few:

        async def rename(path: str, name: str) -> int:
            return (await few.put("/api/fam/rename", json={"logicalPath": path, "newName": name})).status_code

        async def move(source: str, target: str) -> int:
            return (await few.put("/api/fam/move", json={"sourcePaths": [source], "targetParentPath": target})).status_code

        async def deleted(path: str) -> int:
            return (await few.request("DELETE", "/api/fam/delete", json={"logicalPaths": [path]})).status_code

        assert await deleted(NOTE) == 403
        assert (await carla.http.request("DELETE", "/api/fam/delete", json={"logicalPaths": [NOTE]})).status_code == 204
        assert await put(few, INDEX) == 403
        assert await put(few, "user://projects/new/ui/p/index.html") == 403
        assert await put(few, "user://Projects/new/UI/p/index.html") == 403
        assert await put(few, NOTE.upper().replace("USER://PROJECTS", "user://projects")) == 403
        refused = await few.post("/api/fam/write-json", json={"logicalPath": "user://projects/inn/ui/bar/panel.json", "content": {}})
        assert (refused.status_code, "a key for less" in refused.text) == (403, True)
        body = {"panelId": "mine", "displayName": "Mine"}
        assert (await few.post("/api/projects/inn/panels", json=body)).status_code == 403
        assert await put(few, "user://a/ui/p/index.html") == 200
        assert await move("user://a/ui", "user://projects/new") == 403
        assert await rename("user://a", "evil") == 200
        assert await move("user://evil", "user://projects") == 403
        assert await rename("user://evil/ui", "no_panels") == 200
        assert await move("user://evil", "user://projects") == 200
        assert await rename("user://projects/evil/no_panels", "ui") == 403
        assert await rename("user://projects/inn/ui", "old") == 403
        assert await rename("user://projects", "old") == 200
        assert await put(few, "user://c/evil/ui/p/index.html") == 200
        assert await rename("user://c", "projects") == 403
        assert await rename("user://old", "projects") == 403
    assert (await carla.http.put("/api/fam/rename", json={"logicalPath": "user://old", "newName": "projects"})).status_code == 200
    assert await runs(carla.http, INDEX)
    assert (await carla.http.get(at(INDEX))).text != PAGE
    # An administrator's, by the way that only they have.
    async with place.with_key(await place.admin.key("files:write")) as few:
        assert await put(few, f"system://data/users/{carla.uid}/projects/inn/ui/bar/index.html") == 403
    async with place.with_key(await carla.key()) as all_:
        assert await put(all_, INDEX, "new") == 200
    assert await runs(carla.http, INDEX)


async def test_the_sdk_is_for_everybody(server: Server) -> None:
    """A module and its types: looked for anew each time, by pages of any origin, and without a login."""
    for name, kind, text in (
        ("panel.js", "text/javascript", "export const panelApi"),
        ("panel.d.ts", "text/plain", "export declare const panelApi"),
    ):
        answer = await server.http.get(f"/api/fam/sdk/{name}")
        assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["content-disposition"] == f"inline; filename=\"{name}\"; filename*=UTF-8''{name}"
        assert text in answer.text
        again = await server.http.get(f"/api/fam/sdk/{name}", headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
    assert (await server.http.get("/api/fam/sdk/..%2Froutes.py")).status_code == 404
