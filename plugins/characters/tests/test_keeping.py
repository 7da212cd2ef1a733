"""`/api/characters…`: made, changed, given out, removed."""

import asyncio
import base64
import io
import json
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from support.cards import chunk, png
from support.server import Server
from tavernkeep_characters.cards import read_card
from tavernkeep_characters.fields import card_data

URL = "/api/characters"
DATA = {
    "name": "Ada",
    "description": "Keeps a tavern. 酒馆 🍺",
    "tags": ["inn"],
    "extensions": {"depth_prompt": {"prompt": "p", "depth": 4}, "theirs/own": [1, {"a": None}]},
    "character_book": {"entries": [{"keys": ["k"], "content": "c", "extensions": {"odd": 1}}]},
    "unknown_to_us": {"deep": [True]},
}
V3 = {"spec": "chara_card_v3", "spec_version": "3.0", "data": DATA, "beside": 5}
V2 = {"spec": "chara_card_v2", "spec_version": "2.0", "data": DATA, "beside": 5}
V1 = {"name": "Ada", "description": "Keeps a tavern.", "first_mes": "Hi", "odd": {"one": 1}}


def home(server: Server) -> Path:
    return server.folder / "data" / "users" / "default_user"


def folder(server: Server) -> Path:
    made = home(server) / "library" / "SillyTavern" / "CharacterCard"
    made.mkdir(parents=True, exist_ok=True)
    return made


def photo(kind: str, card: Any = None, size: tuple[int, int] = (3, 2)) -> bytes:
    out, exif = io.BytesIO(), Image.Exif()
    if card is not None:
        exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + base64.b64encode(json.dumps(card).encode())
    Image.new("RGB", size, (200, 10, 10)).save(out, kind, exif=exif)
    return out.getvalue()


def charx(card: Any, **files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("card.json", json.dumps(card))
        for name, content in files.items():
            made.writestr(f"assets/icon/{name}.png", content)
    return out.getvalue()


@pytest.fixture(autouse=True)
def empty(server: Server) -> None:
    """No characters."""
    for path in folder(server).iterdir():
        path.unlink()


async def add(server: Server, card: Any = None, *, name: str | None = None, **parts: bytes) -> httpx2.Response:
    query = {} if name is None else {"id": name}
    if not parts:
        return await server.http.post(URL, json=card, params=query)
    files = {part: (f"../{part}.exe", content) for part, content in parts.items()}
    return await server.http.post(URL, files=files | ({} if card is None else {"card": ("x", json.dumps(card))}), params=query)


async def export(server: Server, name: str, **query: str) -> httpx2.Response:
    answer = await server.http.get(f"{URL}/{name}/export", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    return answer


@pytest.mark.parametrize("card", [V1, V2, V3], ids=["V1", "V2", "V3"])
async def test_a_card_comes_back_as_it_was_given(card: dict[str, Any], server: Server) -> None:
    """Of each version, as JSON and in a picture, with all that nobody here knows."""
    made = await add(server, card)
    assert made.status_code == 201, made.text
    fields = card_data(card)
    shown = made.json()["data"]
    assert (shown["id"], shown["card"]["data"], shown.get("warnings")) == ("Ada", fields, None)
    assert (await server.http.get(f"{URL}/Ada")).json() == made.json()
    assert [entry["id"] for entry in (await server.http.get(URL)).json()["data"]] == ["Ada"]
    for version in ("1", "2", "3"):
        given = (await export(server, "Ada", format="json", spec=version)).json()
        assert given.get("spec") == (None if version == "1" else f"chara_card_v{version}")
        assert card is V1 or given["beside"] == 5
        assert {key: value for key, value in card_data(given).items() if key != "beside"} == fields
    written = (await export(server, "Ada")).content
    again = await add(server, name="again", file=written)
    assert again.status_code == 409  # a picture and a card alone of one name would be one character
    await server.http.delete(f"{URL}/Ada")
    again = await add(server, name="again", file=written)
    assert (again.json()["data"]["card"]["data"], again.json()["data"]["imageName"]) == (fields, "again.png")
    assert (folder(server) / "again.png").read_bytes() == written


async def test_what_is_left_out_of_a_change_stays(server: Server) -> None:
    """Fields that nobody here knows, extensions, what stands beside the data; `null` takes a field out; the picture stays as it was."""
    given = png((b"chara", V2), (b"Comment", b"hi"), (b"ccv3", V3))
    assert (await add(server, file=given)).status_code == 201
    changes = {"description": "New.", "tags": None, "extensions": {"fav": True, "depth_prompt": {"depth": 2}}}
    for body in ({"data": changes, "beside": 6}, {"spec": "chara_card_v2", "data": {}}, {"creatorcomment": "by me"}):
        answer = await server.http.put(f"{URL}/Ada", json=body)
        assert answer.status_code == 200, answer.text
    wanted = DATA | {"description": "New.", "creator_notes": "by me"}
    wanted["extensions"] = DATA["extensions"] | {"fav": True, "depth_prompt": {"prompt": "p", "depth": 2}}  # type: ignore[operator]
    wanted.pop("tags")
    shown = answer.json()["data"]
    assert (shown["card"]["data"], shown["card"]["beside"], shown["favorite"]) == (wanted, 6, True)
    kept = (folder(server) / "Ada.png").read_bytes()
    assert kept == (await export(server, "Ada")).content
    assert kept.lower().count(b"chara\0") == kept.lower().count(b"ccv3\0") == 1
    assert b"Comment\0hi" in kept
    assert read_card(kept.replace(b"ccv3\0", b"none\0"))["data"] == wanted
    with Image.open(io.BytesIO(kept)) as image:
        assert image.size == (1, 1)
        image.load()


async def test_all_files_of_a_character_say_the_same(server: Server) -> None:
    """A picture with JSON beside it: the change is in both, so that readers of either have it."""
    (folder(server) / "ada.png").write_bytes(png((b"chara", V2)))
    (folder(server) / "ada.json").write_text(json.dumps({"name": "Ada", "scenario": "An inn."}))
    answer = await server.http.put(f"{URL}/ada", json={"description": None, "creator": "me"})
    assert answer.status_code == 200, answer.text
    fields = {key: value for key, value in DATA.items() if key != "description"} | {"scenario": "An inn.", "creator": "me"}
    assert answer.json()["data"]["card"]["data"] == fields
    for name in ("ada.png", "ada.json"):
        assert card_data(read_card((folder(server) / name).read_bytes())) == fields


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
async def test_a_photo_is_kept_until_its_card_is_changed(kind: str, server: Server) -> None:
    """Nothing of that length can be written into it: it becomes a PNG then, and is in the recycle bin itself."""
    given = photo(kind, V2)
    made = (await add(server, file=given)).json()["data"]
    assert (folder(server) / made["imageName"]).read_bytes() == given
    answer = await server.http.put(f"{URL}/Ada", json={"creator": "me"})
    assert answer.json()["data"]["imageName"] == "Ada.png"
    assert [path.name for path in folder(server).iterdir()] == ["Ada.png"]
    with Image.open(folder(server) / "Ada.png") as image:
        red, green, _ = image.convert("RGB").getpixel((0, 0))  # type: ignore[misc]
        assert (image.size, red > 150 > green) == ((3, 2), True)
        assert "exif" not in image.info
    bin_ = home(server) / ".recycle_bin" / "characters"
    assert given in [path.read_bytes() for path in bin_.iterdir()]


async def test_what_belongs_to_an_archive_stays_in_it(server: Server) -> None:
    """Through changes and exports; its icon is the picture of an exported PNG."""
    icon = photo("WEBP")
    card = V3 | {"data": DATA | {"assets": [{"type": "icon", "uri": "embeded://assets/icon/main.png", "name": "main", "ext": "png"}]}}
    given = charx(card, main=icon, other=b"x" * 1000)
    assert (await add(server, file=given)).json()["data"]["card"] == card
    assert (await server.http.put(f"{URL}/Ada", json={"creator": "me"})).status_code == 200
    with zipfile.ZipFile(io.BytesIO((await export(server, "Ada", format="charx")).content)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["assets/icon/main.png", "assets/icon/other.png", "card.json"]
        assert (archive.read("assets/icon/main.png"), archive.read("assets/icon/other.png")) == (icon, b"x" * 1000)
        assert json.loads(archive.read("card.json"))["data"] == card["data"] | {"creator": "me"}  # type: ignore[operator]
    with Image.open(io.BytesIO((await export(server, "Ada")).content)) as image:
        assert (image.format, image.size) == ("PNG", (3, 2))


async def test_no_old_card_is_left_in_an_archive(server: Server) -> None:
    """Of two of one name neither, nor before the first file that stays; what stands before the archive, as a picture may, does."""
    two = io.BytesIO(b"")
    with zipfile.ZipFile(two, "w") as made:
        made.writestr("card.json", json.dumps(V3 | {"old": "PLANTED"}))
        made.writestr("a", b"x")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made.writestr("card.json", json.dumps(V3 | {"old": "PLANTED"}))
    picture = photo("JPEG")
    assert (await add(server, file=picture + two.getvalue())).status_code == 201
    assert (await server.http.put(f"{URL}/Ada", json={"old": None, "data": {"creator": "me"}})).status_code == 200
    kept = (folder(server) / "Ada.jpg").read_bytes()
    assert (kept.startswith(picture), b"PLANTED" in kept) == (True, False)
    assert (await server.http.get(f"{URL}/Ada")).json()["data"]["creator"] == "me"
    with zipfile.ZipFile(io.BytesIO(kept)) as archive:
        assert sorted(archive.namelist()) == ["a", "card.json"]


async def test_a_picture_comes_with_a_card_and_is_changed_alone(server: Server) -> None:
    """A card in the picture itself does not count; who has no picture is exported with a plain one, or in an archive."""
    made = await add(server, V3, picture=photo("JPEG", {"name": "Bo"}))
    assert (made.json()["data"]["name"], made.json()["data"]["imageName"]) == ("Ada", "Ada.png")
    answer = await server.http.put(f"{URL}/Ada", files={"picture": png((b"chara", {"name": "Cy"}))})
    assert answer.json()["data"]["card"] == V3
    with Image.open(folder(server) / "Ada.png") as image:
        assert image.size == (1, 1)
    with zipfile.ZipFile(io.BytesIO((await export(server, "Ada", format="charx")).content)) as archive:
        (icon,) = json.loads(archive.read("card.json"))["data"]["assets"]
        assert archive.read(icon["uri"].removeprefix("embeded://")) == (folder(server) / "Ada.png").read_bytes()
    await add(server, {"name": "Dee"})
    with Image.open(io.BytesIO((await export(server, "Dee")).content)) as image:
        assert image.size > (1, 1)
    replaced = await server.http.put(f"{URL}/Ada", files={"file": charx({"name": "Ada", "data": {"name": "Eve"}})})
    assert (replaced.json()["data"]["name"], replaced.json()["data"]["imageName"]) == ("Eve", "")
    assert sorted(path.name for path in folder(server).iterdir()) == ["Ada.charx", "Dee.json"]


async def test_who_has_read_what_has_changed_since_changes_nothing(server: Server) -> None:
    """412, and with the tag that the last answer had it is done; of two at once one is."""
    tag = (await add(server, V2)).headers["etag"]
    assert (await server.http.get(f"{URL}/Ada")).headers["etag"] == tag
    both = [server.http.put(f"{URL}/Ada", json={"creator": who}, headers={"If-Match": tag}) for who in "ab"]
    answers = await asyncio.gather(*both)
    assert sorted(answer.status_code for answer in answers) == [200, 412]
    new = next(answer.headers["etag"] for answer in answers if answer.status_code == 200)
    assert (await server.http.delete(f"{URL}/Ada", headers={"If-Match": tag})).status_code == 412
    gone = await server.http.delete(f"{URL}/Ada", headers={"If-Match": new})
    assert (gone.status_code, gone.json()) == (200, {"success": True, "id": "Ada"})
    for method in ("GET", "PUT", "DELETE"):
        assert (await server.http.request(method, f"{URL}/Ada", json={})).status_code == 404
    assert any(path.name.startswith("Ada_") for path in (home(server) / ".recycle_bin" / "characters").iterdir())


async def test_of_many_writers_at_once_none_is_lost(server: Server) -> None:
    """Each change is whole, and made to what the others have left; of many new ones of one name one is made."""
    made = await asyncio.gather(*(add(server, V2) for _ in range(5)))
    assert sorted(answer.status_code for answer in made) == [201, 409, 409, 409, 409]
    answers = await asyncio.gather(*(server.http.put(f"{URL}/Ada", json={"extensions": {f"n{n}": n}}) for n in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    extensions = (await server.http.get(f"{URL}/Ada")).json()["data"]["card"]["data"]["extensions"]
    assert {f"n{n}": n for n in range(5)}.items() <= extensions.items()


@pytest.mark.parametrize(
    ("id_", "status"),
    [
        ("../x", 400),
        ("a/b", 400),
        (".writing-x", 400),
        ("CON", 400),
        ("a\u202egnp", 400),
        ("a\0", 400),
        ("", 400),
        (".", 400),
        ("a.", 400),
        ("x" * 300, 400),
    ],
)
async def test_ids_that_are_no_plain_file_names(id_: str, status: int, server: Server) -> None:
    """Are refused, where a character is made and where one is asked for; nothing is written."""
    assert (await add(server, V2, name=id_)).status_code == status
    assert list(folder(server).iterdir()) == []
    if id_ == "CON":
        for method, path in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("GET", "/export")):
            assert (await server.http.request(method, f"{URL}/{id_}{path}", json={})).status_code == status


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("../x", "_._x"),
        (".writing-x", "_writing-x"),
        ("CON", "_CON"),
        ("a\u202egnp", "a_gnp"),
        ("薄: 1/2?", "薄_ 1_2_"),
        ("image", "image.json"),
    ],
)
async def test_a_name_that_is_no_plain_file_name_becomes_one(name: str, id_: str, server: Server) -> None:
    """The character keeps its name."""
    made = await add(server, {"name": name})
    assert (made.status_code, made.json()["data"]["id"], made.json()["data"]["name"]) == (201, id_, name)
    assert (await server.http.get(f"{URL}/{made.json()['data']['id']}/export")).status_code == 200


@pytest.mark.parametrize("there", ["ADA.png", "ada.txt", "Ada"])
async def test_a_file_of_the_name_is_in_the_way(there: str, server: Server) -> None:
    """In whatever case and of whatever kind: it stays as it is."""
    (folder(server) / there).write_bytes(b"theirs")
    assert (await add(server, V2)).status_code == 409
    assert [(path.name, path.read_bytes()) for path in folder(server).iterdir()] == [(there, b"theirs")]
    assert (await add(server, V2, name="other")).status_code == 201


async def test_a_name_makes_no_two_characters_one(server: Server) -> None:
    """A card alone is merged over the picture of one of its name: neither a new one nor a new name may lead to that."""
    assert (await add(server, {"name": "Bo"})).status_code == 201
    assert (await add(server, file=png((b"chara", V2)))).status_code == 201
    assert (await add(server, V1, name="other")).status_code == 409
    assert (await server.http.put(f"{URL}/Bo", json={"name": "Ada"})).status_code == 409
    assert (await server.http.put(f"{URL}/Ada", json={"name": "Bo"})).status_code == 409
    assert (await add(server, name="twin", file=png((b"chara", V2)))).status_code == 201
    assert [entry["name"] for entry in (await server.http.get(URL)).json()["data"]] == ["Ada", "Ada", "Bo"]


def huge() -> bytes:
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    return png((b"chara", V2)).replace(png()[8:33], chunk(b"IHDR", header))


BOMB = io.BytesIO()
with zipfile.ZipFile(BOMB, "w", zipfile.ZIP_DEFLATED) as _made:
    _made.writestr("card.json", b" " * (17 << 20))

REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "no card": ({"files": {"file": png()}}, 422, "no character card"),
    "nothing": ({"files": {"avatar": b""}}, 422, "JSON"),
    "neither": ({"content": b"--x--", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 422, "neither"),
    "no name": ({"json": {"description": "x"}}, 422, "needs a name"),
    "a blank name": ({"json": {"name": " "}}, 422, "needs a name"),
    "data that is none": ({"json": {"data": [1]}}, 422, "an object"),
    "no object": ({"json": [1]}, 422, "object"),
    "no form": ({"data": {"name": "x"}}, 415, "JSON"),
    "an unknown part": ({"files": {"nobody": b"x"}}, 422, "nobody"),
    "a card that is none": ({"files": {"card": b"{"}}, 422, "JSON"),
    "recursive JSON": ({"content": b'{"name":"a","x":' + b"[" * 100_000, "headers": {"content-type": "application/json"}}, 422, "JSON"),
    "a billion pixels": ({"files": {"file": huge()}}, 413, "maxPixels"),
    "a zip bomb": ({"files": {"file": BOMB.getvalue()}}, 413, "longer"),
    "a zip bomb of assets": (
        {"files": {"file": charx(V3, a=b"a" * 77).replace(struct.pack("<I", 77), struct.pack("<I", 1 << 30))}},
        413,
        "maxUnpackedBytes",
    ),
    "a photo of a billion pixels": (
        {"files": {"picture": photo("JPEG").replace(b"\x00\x02\x00\x03", b"\xff\xff\xff\xff"), "card": b"{}"}},
        413,
        "pixels",
    ),
    "a picture that is none": ({"files": {"picture": b"GIF89a", "card": json.dumps(V2).encode()}}, 422, "PNG"),
}


@pytest.mark.parametrize(("what", "status", "mention"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_refused(what: dict[str, Any], status: int, mention: str, server: Server) -> None:
    """With the reason, and nothing is left behind."""
    answer = await server.http.post(URL, **what)
    assert (answer.status_code, mention in answer.text) == (status, True), answer.text
    await add(server, V1)
    kept = (folder(server) / "Ada.json").read_bytes()
    if what.get("json") not in ({"description": "x"},):
        changed = await server.http.put(f"{URL}/Ada", **what)
        assert changed.status_code == status, changed.text
        assert [(path.name, path.read_bytes()) for path in folder(server).iterdir()] == [("Ada.json", kept)]


async def test_what_cannot_be_read_of_a_card_is_named(server: Server) -> None:
    """When it is taken in; a change that could not be read again is refused."""
    made = await add(server, V1 | {"description": {"no": "text"}, "tags": {"a": 1}})
    assert made.json()["data"]["warnings"] == ["description is an object, and not a text", "tags is an object, and not a list of texts"]
    answer = await server.http.put(f"{URL}/Ada", json={"scenario": {"no": "text"}})
    assert (answer.status_code, "scenario" in answer.text) == (422, True)


async def test_a_change_that_fails_half_way_leaves_everything_as_it_was(server: Server) -> None:
    """Of two files the second cannot be written: the first is as it was."""
    place = folder(server)
    (place / "ada.png").write_bytes(png((b"chara", V2)))
    (place / "a:b.json").write_text(json.dumps({"name": "Ada"}))  # belongs to it by its name, and has one that nobody writes to
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    answer = await server.http.put(f"{URL}/ada", json={"creator": "me"})
    assert answer.status_code == 400
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before


async def test_no_recycle_bin(server: Server) -> None:
    """Something else that stands in its place is said, and nothing is lost."""
    assert (await server.http.post("/api/characters", json={"name": "Unbinned"})).status_code == 201
    (home(server) / ".recycle_bin").mkdir(exist_ok=True)
    bin_ = home(server) / ".recycle_bin" / "characters"
    kept = bin_.rename(bin_.with_name("kept")) if bin_.exists() else None
    bin_.write_text("x")
    answer = await server.http.delete("/api/characters/Unbinned")
    assert (answer.status_code, "in the way" in answer.json()["error"]) == (409, True)
    assert (await server.http.get("/api/characters/Unbinned")).status_code == 200
    bin_.unlink()
    if kept is not None:
        kept.rename(bin_)
