"""`/api/characters…`."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from support.server import Server


def home(server: Server) -> Path:
    return server.folder / "data" / "users" / "default_user"


def picture(card: dict[str, Any] | None = None, kind: str = "PNG") -> bytes:
    data = io.BytesIO()
    texts = PngInfo()
    if card is not None:
        texts.add_text("chara", base64.b64encode(json.dumps(card).encode()).decode())
    Image.new("RGB", (2, 2)).save(data, kind, pnginfo=texts)
    return data.getvalue()


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
    ("name", "status"),
    [
        ("none.png", 404),
        ("ada.json", 415),
        ("..%2Fx.png", 400),
        ("..%2f..%2fx.png", 400),
        ("a%2fb.png", 400),
        ("a%00.png", 400),
        ("con.png", 400),
    ],
)
async def test_pictures_that_are_none(server: Server, name: str, status: int) -> None:
    """Not there, no picture, no safe name."""
    answer = await server.http.get(f"/api/characters/image/{name}")
    assert (answer.status_code, answer.json()["success"]) == (status, False)
    assert answer.json()["message"]
