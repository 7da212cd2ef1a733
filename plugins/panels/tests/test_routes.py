"""`/api/panels…`, `/api/projects/ID/panels…`."""

import asyncio
import json
import os
import shutil
from pathlib import Path

from support.server import Server

PROJECT = "/api/projects"


def home(server: Server) -> Path:
    return server.folder / "data" / "users" / "default_user"


async def make_project(server: Server, name: str) -> str:
    await server.http.post(PROJECT, json={"name": name})
    return f"{PROJECT}/{name}"


async def test_of_many_at_once_each_panel_is_made_by_one(server: Server) -> None:
    """The others are told that it is there; the project lists all that were made."""
    project = await make_project(server, "crowd")
    bodies = [{"panelId": f"p{number % 4}", "displayName": str(number)} for number in range(24)]
    answers = await asyncio.gather(*(server.http.post(f"{project}/panels", json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201] * 4 + [409] * 20
    made = {answer.json()["id"]: answer.json()["displayName"] for answer in answers if answer.status_code == 201}
    assert {panel["id"]: panel["displayName"] for panel in (await server.http.get(f"{project}/panels")).json()} == made
    listed = (await server.http.get(f"{project}/metadata")).json()["panels"]
    assert sorted(entry["id"] for entry in listed) == sorted(made)


async def test_a_panel_that_cannot_be_written_leaves_nothing(server: Server) -> None:
    """A template that cannot be copied whole: 507, and the id is free again."""
    project = await make_project(server, "broken")
    template = server.folder / "data" / "templates" / "panels" / "torn"
    template.mkdir(parents=True)
    (template / "panel.json").write_text(json.dumps({"id": "torn"}))
    os.mkfifo(template / "pipe")
    body = {"panelId": "mine", "displayName": "Mine"}
    assert (await server.http.post(f"{project}/panels", json=body | {"templateId": "torn"})).status_code == 507
    assert (await server.http.post(f"{project}/panels", json=body)).status_code == 201
    shutil.rmtree(template)


async def test_panels_are_made_afresh_or_of_a_template(server: Server) -> None:
    """With a page; listed in the project; taken ids are 409, unknown templates 404."""
    project = await make_project(server, "panels")
    template = server.folder / "data" / "templates" / "panels" / "clock"
    template.mkdir(parents=True)
    content = {"id": "tower-clock", "displayName": "Clock", "uiEntryPoint": "clock.html", "icon": "t", "description": "It ticks."}
    (template / "panel.json").write_text(json.dumps(content))
    (template / "clock.html").write_text("<p>tick</p>")
    (listed,) = (await server.http.get("/api/panels/templates")).json()
    assert listed == content | {"version": "1.0.0", "source": "shared", "panelDirectory": "clock"}
    made = await server.http.post(f"{project}/panels", json={"panelId": "mine", "displayName": "Mine <b>", "templateId": None})
    assert made.status_code == 201
    whole = {"id": "mine", "displayName": "Mine <b>", "description": "", "version": "1.0.0", "uiEntryPoint": "index.html"}
    assert made.json() == whole | {"panelDirectory": "mine", "source": "user"}
    page = (home(server) / "projects" / "panels" / "ui" / "mine" / "index.html").read_text()
    assert "Mine &lt;b&gt;" in page
    assert '<script type="module" src="/api/fam/sdk/panel.js"></script>' in page
    copied = await server.http.post(f"{project}/panels", json={"panelId": "c", "displayName": "C", "templateId": "tower-clock"})
    copy = content | {"id": "c", "displayName": "C", "version": "1.0.0", "source": "user", "panelDirectory": "c"}
    assert copied.json() == copy
    assert (await server.http.get(f"{project}/panels/c")).json() == copy
    assert (home(server) / "projects" / "panels" / "ui" / "c" / "clock.html").read_text() == "<p>tick</p>"
    assert (await server.http.post(f"{project}/panels", json={"panelId": "c", "displayName": "C"})).status_code == 409
    assert (await server.http.post(f"{project}/panels", json={"panelId": "d", "displayName": "D", "templateId": "no"})).status_code == 404
    assert (await server.http.post(f"{project}/panels", json={"panelId": "../d", "displayName": "D"})).status_code == 400
    assert [panel["id"] for panel in (await server.http.get(f"{project}/panels")).json()] == ["c", "mine"]
    assert (await server.http.get(f"{project}/panels/mine")).json()["displayName"] == "Mine <b>"
    assert (await server.http.get(f"{project}/panels/none")).status_code == 404
    metadata = (await server.http.get(f"{project}/metadata")).json()
    assert metadata["panels"] == [{"id": "mine", "path": "ui/mine"}, {"id": "c", "path": "ui/c"}]


async def test_definitions_that_others_wrote(server: Server) -> None:
    """What is no text where one is read counts as left out, whatever else is there is kept; what is no definition is left out."""
    project = await make_project(server, "odd")
    folder = home(server) / "projects" / "odd" / "ui"
    odd = {
        "null": '{"id": null, "displayName": null, "description": null, "version": 2, "uiEntryPoint": "", "icon": null}',
        "mark": '\ufeff{"displayName": "酒"}',
        "list": "[]",
        "broken": "{",
        "long": '{"id": "' + "x" * 1024 * 1024 + '"}',
    }
    for name, text in odd.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "panel.json").write_text(text)
    defaults = {"description": "", "version": "1.0.0", "uiEntryPoint": "index.html", "source": "user"}
    assert (await server.http.get(f"{project}/panels")).json() == [
        defaults | {"id": "mark", "displayName": "酒", "panelDirectory": "mark"},
        defaults | {"id": "null", "displayName": "null", "panelDirectory": "null", "icon": None},
    ]
    body = {"panelId": "told", "displayName": "Told", "description": "What it is for.", "templateId": ""}
    assert (await server.http.post(f"{project}/panels", json=body)).json()["description"] == "What it is for."
    # The editor saves what it was given, as it stands.
    told = (await server.http.get(f"{project}/panels/told")).json() | {"description": "Another."}
    saved = {"logicalPath": f"user://projects/odd/ui/{told['panelDirectory']}/panel.json", "content": told}
    assert (await server.http.post("/api/fam/write-json", json=saved)).status_code == 204
    assert (await server.http.get(f"{project}/panels/told")).json() == told


async def test_a_panels_own_files(server: Server) -> None:
    """Folders and files: made, listed, read, removed; never outside."""
    project = await make_project(server, "own")
    own = f"{project}/panels/p/fs"
    assert (await server.http.get(f"{own}/")).json() == []
    folder = await server.http.post(f"{own}/deep/folder", headers={"content-type": "application/vnd.comfy.create-directory"})
    assert (folder.status_code, folder.json()["success"]) == (201, True)
    data = bytes(range(256))
    assert (await server.http.post(f"{own}/deep/a 酒.bin", content=data)).status_code == 201
    assert (await server.http.get(f"{own}/deep/a 酒.bin")).content == data
    listed = (await server.http.get(f"{own}/deep")).json()
    assert [(entry["name"], entry["path"], entry["type"], entry["size"]) for entry in listed if entry["type"] == "file"] == [
        ("a 酒.bin", "deep/a 酒.bin", "file", 256)
    ]
    assert (await server.http.get(f"{own}/none")).status_code == 404
    assert (await server.http.delete(f"{own}/deep")).status_code == 409
    assert (await server.http.delete(f"{own}/deep?recursive=true")).status_code == 204
    assert (await server.http.delete(f"{own}/deep")).status_code == 404
    for path in ("%2e%2e%2f%2e%2e%2fproject.json", "a%5c..%5cb", "con", "a%00b"):
        for method in ("GET", "POST", "DELETE"):
            assert (await server.http.request(method, f"{own}/{path}")).status_code in (400, 404), path
    assert (home(server) / "projects" / "own" / "project.json").is_file()


async def test_what_stands_in_the_way(server: Server) -> None:
    """Is said, of folders as of files."""
    await server.http.post("/api/projects", json={"name": "way"})
    await server.http.post("/api/projects/way/panels", json={"panelId": "x", "displayName": "X"})
    place = "/api/projects/way/panels/x/fs/a"
    assert (await server.http.post(place, content=b"x")).status_code == 201
    kind = {"content-type": "application/vnd.comfy.create-directory"}
    answer = await server.http.post(f"{place}/b", headers=kind)
    assert (answer.status_code, "in the way" in answer.json()["error"]) == (409, True)
    assert (await server.http.delete(f"{place}/b")).status_code == 404
