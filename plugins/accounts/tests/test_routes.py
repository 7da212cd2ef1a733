"""`/api/users/me/…`, and keys as a way in."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from websockets.exceptions import InvalidStatus

from support.client import statuses, viewer
from support.server import Server, serve, tavernkeep

ME = "/api/users/me"
GOOD = {"nodes": [], "edges": []}


def picture(kind: str = "PNG", size: tuple[int, int] = (4, 4)) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size).save(data, kind)
    return data.getvalue()


async def make_key(server: Server, **body: Any) -> dict[str, Any]:
    answer = await server.http.post(f"{ME}/service-keys", json=body)
    assert answer.status_code == 201
    made: dict[str, Any] = answer.json()
    return made


async def test_keys_are_made_listed_and_revoked(server: Server) -> None:
    """The secret is shown once; the newest is first; a revoked one is gone."""
    first, second = await make_key(server, name="first"), await make_key(server)
    assert re.fullmatch(r"ctsk_[\w-]{43}", first["secret"])
    assert first["prefix"] == first["secret"][:13]
    listed = (await server.http.get(f"{ME}/service-keys")).json()["keys"]
    assert [key["id"] for key in listed][:2] == [second["id"], first["id"]]
    assert all("secret" not in key for key in listed)
    assert first["secret"] not in (await server.http.get("/api/auth/current")).text
    assert (await server.http.delete(f"{ME}/service-keys/{first['id']}")).status_code == 204
    assert (await server.http.delete(f"{ME}/service-keys/{first['id']}")).status_code == 404
    assert first["id"] not in str((await server.http.get(f"{ME}/service-keys")).json())


async def test_a_key_opens_what_its_scopes_name(server: Server) -> None:
    """Over HTTP and the socket; `lastUsedAt` moves; a revoked key is 401 at the next request, even where none is needed."""
    made = await make_key(server, name="reader", scopes=["nodes:read"])
    headers = {"authorization": f"Bearer {made['secret']}"}
    assert (await server.http.get("/api/nodes", headers=headers)).status_code == 200
    assert (await server.http.post("/api/prompt", json=GOOD, headers=headers)).status_code == 403
    (listed,) = [key for key in (await server.http.get(f"{ME}/service-keys")).json()["keys"] if key["id"] == made["id"]]
    assert listed["lastUsedAt"]
    everything = await make_key(server)
    async with viewer(server.ws_url, subprotocols=["bearer", everything["secret"]]) as client:
        assert client.socket.subprotocol == "bearer"
        assert statuses(await client.run(GOOD)) == ["running", "complete"]
    await server.http.delete(f"{ME}/service-keys/{made['id']}")
    assert (await server.http.get("/api/nodes", headers=headers)).status_code == 401
    assert (await server.http.get("/api/auth/current", headers=headers)).status_code == 401
    with pytest.raises(InvalidStatus, match="401"):
        async with viewer(server.ws_url, subprotocols=["bearer", made["secret"]]):
            pass


@pytest.mark.parametrize("value", ["Bearer", "Basic abc", "Bearer ctsk_wrong", "nonsense", "Bearer ctsk_" + "a" * 43])
async def test_a_wrong_key_is_refused(server: Server, value: str) -> None:
    """Though nobody needs one here."""
    assert (await server.http.get("/api/nodes", headers={"authorization": value})).status_code == 401


@pytest.mark.parametrize("value", ["null", "undefined"])
async def test_a_key_that_is_none_counts_as_none(server: Server, value: str) -> None:
    """As a front end sends it that has no key, over HTTP and the socket."""
    assert (await server.http.get("/api/nodes", headers={"authorization": f"Bearer {value}"})).status_code == 200
    async with viewer(server.ws_url, additional_headers={"Authorization": f"Bearer {value}"}) as client:
        assert statuses(await client.run(GOOD)) == ["running", "complete"]
    async with viewer(server.ws_url, subprotocols=["bearer", value]) as client:
        assert statuses(await client.run(GOOD)) == ["running", "complete"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "service-keys", {"name": ""}),
        ("POST", "service-keys", {"name": "x" * 101}),
        ("POST", "service-keys", {"scopes": "x"}),
        ("POST", "credentials", {}),
        ("POST", "credentials", {"serviceName": "x", "credential": ""}),
        ("PUT", "username", {"username": ""}),
        ("PUT", "username", {"username": " "}),
        ("PUT", "username", {"username": 5}),
    ],
)
async def test_bodies_that_do_not_fit(server: Server, method: str, path: str, body: Any) -> None:
    """422 with the place."""
    answer = await server.http.request(method, f"{ME}/{path}", json=body)
    assert answer.status_code == 422
    assert answer.json()["details"][0]["path"]


async def test_credentials_are_kept_sealed(server: Server) -> None:
    """Only a hint comes back; the database holds nothing of the secret; it can be removed once."""
    planted = "sk-PLANTED-credential-0123456789"
    made = (
        await server.http.post(f"{ME}/credentials", json={"serviceName": "openai", "credential": planted, "displayName": "mine"})
    ).json()
    assert made["displayHint"] == {"prefix": "sk-P", "suffix": "6789"}
    short = (await server.http.post(f"{ME}/credentials", json={"serviceName": "x", "credential": "12345678"})).json()
    assert short["displayHint"] == {"prefix": "1234"}
    listed = await server.http.get(f"{ME}/credentials")
    assert [entry["id"] for entry in listed.json()["credentials"]][:2] == [short["id"], made["id"]]
    for file in (server.folder / "data").glob("tavernkeep.sqlite3*"):
        assert b"PLANTED" not in file.read_bytes()
    assert "PLANTED" not in listed.text + server.output()
    assert (await server.http.delete(f"{ME}/credentials/{made['id']}")).status_code == 204
    assert (await server.http.delete(f"{ME}/credentials/{made['id']}")).status_code == 404


async def test_names(server: Server) -> None:
    """A name in any script; the user has it from then on."""
    assert (await server.http.put(f"{ME}/username", json={"username": "艾达 🎭"})).json()["username"] == "艾达 🎭"
    assert (await server.http.get("/api/auth/current")).json()["currentUser"]["username"] == "艾达 🎭"


@pytest.mark.parametrize(("kind", "ending"), [("PNG", "png"), ("JPEG", "jpg"), ("GIF", "gif"), ("WEBP", "webp")])
async def test_avatars(server: Server, kind: str, ending: str) -> None:
    """Told by their content, whatever they are called; the picture is at the address in the answer, and the one before it is gone."""
    data = picture(kind)
    answer = await server.http.post(f"{ME}/avatar", files={"avatar": ("me.txt", data, "text/plain")})
    assert answer.json() == {"success": True, "message": "The picture is changed.", "avatarUrl": f"/avatars/default_user.{ending}"}
    shown = await server.http.get(answer.json()["avatarUrl"])
    assert shown.content == data
    assert shown.headers["content-type"].startswith("image/")
    assert len(list((server.folder / "data" / "public" / "avatars").iterdir())) == 1


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ({"avatar": ("a.png", b"no picture", "image/png")}, 415),
        ({"avatar": ("a.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/png")}, 415),
        ({"avatar": ("a.png", picture()[:40], "image/png")}, 415),
        ({"avatar": ("a.png", b"", "image/png")}, 400),
        ({"other": ("a.png", picture(), "image/png")}, 400),
        ({"avatar": ("a.png", picture() + b"\0" * (5 * 1024 * 1024), "image/png")}, 413),
        ({"avatar": ("a.png", picture(size=(20000, 20000)), "image/png")}, 413),
    ],
)
async def test_what_is_no_avatar(server: Server, files: Any, status: int) -> None:
    """No picture, a drawing, a broken one, none, one that is too large in bytes or in pixels."""
    assert (await server.http.post(f"{ME}/avatar", files=files)).status_code == status


async def test_no_multipart_at_all(server: Server) -> None:
    """415 for another type, 400 for a broken body."""
    assert (await server.http.post(f"{ME}/avatar", json={})).status_code == 415
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert (await server.http.post(f"{ME}/avatar", content=b"nonsense", headers=headers)).status_code == 400


async def test_without_a_key_for_credentials_it_is_503(tmp_path: Path) -> None:
    """Encryption is on and the key cannot be read: refused, and nothing is stored in the clear."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "master.key").write_text("")
    async with serve(tmp_path, {}) as server:
        assert (await server.http.post(f"{ME}/credentials", json={"serviceName": "x", "credential": "secret"})).status_code == 503
        assert (await server.http.get(f"{ME}/credentials")).json() == {"credentials": []}


@pytest.mark.parametrize(
    ("scope", "mention"),
    [
        ("project:raed", "did you mean 'project:read'"),
        ("nothing", "there are account:self, "),
        ("*:raed", "there is no scope"),
        ("", "no scope"),
    ],
)
async def test_a_scope_that_opens_nothing_is_refused(server: Server, scope: str, mention: str) -> None:
    """A misspelt one is named, with the nearest that there is: over HTTP, and by the command."""
    answer = await server.http.post("/api/users/me/service-keys", json={"scopes": ["project:read:inn", "*:read", scope]})
    assert answer.status_code == 422
    (problem,) = answer.json()["details"]
    assert (problem["path"], mention in problem["message"]) == ("scopes[2]", True)


async def test_the_command_knows_the_scopes_too(tmp_path: Path) -> None:
    """Those of a server's routes, also where none is served."""
    wrong = await tavernkeep(tmp_path, "key", "create", "--scope", "project:raed")
    assert (wrong.code, "did you mean 'project:read'" in wrong.stderr) == (1, True)
    assert (await tavernkeep(tmp_path, "key", "create", "--scope", "project:read:inn")).code == 0


async def test_what_is_done_stands_in_the_log_without_a_plugin_that_keeps_it(tmp_path: Path) -> None:
    """Who makes a key need not know whether anybody keeps an audit log."""
    async with serve(tmp_path, {"plugins": {"disabled": ["guard"]}, "logging": {"level": "info"}}) as server:
        made = await server.http.post("/api/users/me/service-keys", json={"name": "mine"})
        assert made.status_code == 201
    assert made.json()["id"] in next(line for line in server.stderr if "key.created" in line)
