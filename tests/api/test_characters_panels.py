"""`/api/characters…`, `/api/panels…`, `/api/projects/ID/panels…`."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from support.server import Server
from tavernkeep_characters.contracts import write_card

PROJECT = "/api/projects"


def home(server: Server) -> Path:
    return server.folder / "data" / "users" / "default_user"


def picture(card: dict[str, Any] | None = None, kind: str = "PNG") -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (2, 2)).save(data, kind)
    return write_card(data.getvalue(), card) if card is not None else data.getvalue()


async def test_characters(server: Server) -> None:
    """PNG and JSON cards of any version; a JSON beside a picture merges over it; broken ones are left out."""
    assert (await server.http.get("/api/characters")).json() == {"success": True, "data": []}
    folder = home(server) / "library" / "SillyTavern" / "CharacterCard"
    folder.mkdir(parents=True)
    ada = {"spec": "chara_card_v2", "data": {"name": "Ada", "description": "Keeps a tavern.", "tags": ["inn"], "extensions": {"fav": True}}}
    (folder / "ada.png").write_bytes(picture(ada))
    (folder / "ada.json").write_text(json.dumps({"name": "Ada", "description": "Keeps the tavern.", "creator": "me"}))
    (folder / "bo.json").write_text(json.dumps({"name": "薄", "first_mes": "hi"}))
    (folder / "cy.png").write_bytes(picture({"name": "Cy"}))
    (folder / "cy card.json").write_text(json.dumps({"name": "Cy", "description": "by name"}))
    (folder / "plain.png").write_bytes(picture())
    (folder / "broken.json").write_text("{")
    found = {entry["id"]: entry for entry in (await server.http.get("/api/characters")).json()["data"]}
    assert set(found) == {"ada", "bo", "cy"}
    wanted = {"name": "Ada", "description": "Keeps the tavern.", "imageName": "ada.png", "tags": ["inn"], "creator": "me", "favorite": True}
    assert wanted.items() <= found["ada"].items()
    assert found["cy"]["description"] == "by name"
    assert (found["bo"]["name"], found["bo"]["imageName"]) == ("薄", "")
    image = await server.http.get("/api/characters/image/ada.png")
    assert (image.headers["content-type"], image.content) == ("image/png", (folder / "ada.png").read_bytes())


@pytest.mark.parametrize(
    ("name", "status"), [("none.png", 404), ("ada.json", 415), ("..%2f..%2fx.png", 400), ("a%00.png", 400), ("con.png", 400)]
)
async def test_pictures_that_are_none(server: Server, name: str, status: int) -> None:
    """Not there, no picture, no safe name."""
    answer = await server.http.get(f"/api/characters/image/{name}")
    assert answer.status_code in (status, 404 if "%2f" in name else status)


async def make_project(server: Server, name: str) -> str:
    await server.http.post(PROJECT, json={"name": name})
    return f"{PROJECT}/{name}"


async def test_panels_are_made_afresh_or_of_a_template(server: Server) -> None:
    """With a page; listed in the project; taken ids are 409, unknown templates 404."""
    project = await make_project(server, "panels")
    template = server.folder / "data" / "templates" / "panels" / "clock"
    template.mkdir(parents=True)
    (template / "panel.json").write_text(json.dumps({"id": "clock", "displayName": "Clock", "uiEntryPoint": "clock.html", "icon": "t"}))
    (template / "clock.html").write_text("<p>tick</p>")
    (listed,) = (await server.http.get("/api/panels/templates")).json()
    assert (listed["id"], listed["source"], listed["panelDirectory"]) == ("clock", "shared", "shared://templates/panels/clock")
    made = await server.http.post(f"{project}/panels", json={"panelId": "mine", "displayName": "Mine <b>"})
    assert (made.status_code, made.json()["uiEntryPoint"]) == (201, "index.html")
    page = (home(server) / "projects" / "panels" / "ui" / "mine" / "index.html").read_text()
    assert "Mine &lt;b&gt;" in page
    copied = await server.http.post(f"{project}/panels", json={"panelId": "c", "displayName": "C", "templateId": "clock"})
    assert (copied.json()["uiEntryPoint"], copied.json()["icon"], copied.json()["displayName"]) == ("clock.html", "t", "C")
    assert (home(server) / "projects" / "panels" / "ui" / "c" / "clock.html").read_text() == "<p>tick</p>"
    assert (await server.http.post(f"{project}/panels", json={"panelId": "c", "displayName": "C"})).status_code == 409
    assert (await server.http.post(f"{project}/panels", json={"panelId": "d", "displayName": "D", "templateId": "no"})).status_code == 404
    assert (await server.http.post(f"{project}/panels", json={"panelId": "../d", "displayName": "D"})).status_code == 400
    assert [panel["id"] for panel in (await server.http.get(f"{project}/panels")).json()] == ["c", "mine"]
    assert (await server.http.get(f"{project}/panels/mine")).json()["displayName"] == "Mine <b>"
    assert (await server.http.get(f"{project}/panels/none")).status_code == 404
    metadata = (await server.http.get(f"{project}/metadata")).json()
    assert metadata["panels"] == [{"id": "mine", "path": "ui/mine"}, {"id": "c", "path": "ui/c"}]


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
