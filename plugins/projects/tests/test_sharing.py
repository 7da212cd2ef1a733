"""Projects shared with a user or with everybody, to read or to change: as far as that goes, and no further."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from support.users import Person, Town, town

GRAPH: dict[str, Any] = {"nodes": [], "edges": []}


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[Town]:
    """A server in multi-user mode."""
    async with town(tmp_path) as running:
        yield running


async def shared(owner: Person, **body: Any) -> str:
    """A project with one of everything, shared; gives its id for the others."""
    await owner.http.post("/api/projects", json={"name": "inn"})
    await owner.http.post("/api/projects/inn/workflows", json={"id": "w", "name": "w", **GRAPH})
    await owner.http.post("/api/projects/inn/panels", json={"panelId": "p", "displayName": "P"})
    await owner.http.post("/api/projects", json={"name": "private"})
    answer = await owner.http.put("/api/projects/inn/shares", json=body)
    assert answer.status_code == 200, answer.text
    return f"inn@{owner.uid}"


@pytest.mark.parametrize("access", ["read", "write"])
@pytest.mark.parametrize("with_all", [False, True])
async def test_what_a_share_gives(place: Town, access: str, with_all: bool) -> None:
    """Reading and running, or changing as well; nothing else of its owner's, and it stays its owner's."""
    anna, bert, carl = await place.person("anna"), await place.person("bert"), await place.person("carl")
    id_ = await shared(anna, access=access, **({} if with_all else {"username": "bert"}))
    project = f"/api/projects/{id_}"
    (listed,) = (await bert.http.get("/api/projects")).json()
    assert (listed["id"], listed["name"], listed["sharedAs"]) == (id_, "inn", access)
    assert (await bert.http.get(f"{project}/workflows/w")).status_code == 200
    assert [panel["id"] for panel in (await bert.http.get(f"{project}/panels")).json()] == ["p"]
    assert (await bert.http.post(f"{project}/workflows/w/run", json={})).status_code == 200
    assert (await bert.http.get("/api/executions")).json()["recent"] != []
    assert (await anna.http.get("/api/history")).json()["executions"] == []  # it is run by who ran it
    right = 403 if access == "read" else 200
    made = 403 if access == "read" else 201
    changed = await bert.http.put(f"{project}/workflows/w", json={"id": "w", "name": "w", "mine": 1, **GRAPH})
    assert changed.status_code == right
    assert ("mine" in (await anna.http.get("/api/projects/inn/workflows/w")).json()) is (access == "write")
    assert (await bert.http.post(f"{project}/workflows", json={"name": "x", **GRAPH})).status_code == made
    chat = await bert.http.post("/api/chat/sessions", json={"projectId": id_})
    assert chat.status_code == made
    if access == "write":
        session = chat.json()["id"]
        message = {"parentId": None, "role": "user", "content": "hi"}
        assert (await bert.http.post(f"/api/chat/{session}/message", params={"projectId": id_}, json=message)).status_code == 201
        assert len((await anna.http.get("/api/chat/sessions", params={"projectId": "inn"})).json()) == 1
        assert (await bert.http.delete(f"{project}/workflows/w")).status_code == 204
        recycled = place.server.folder / "data" / "users" / anna.uid / ".recycle_bin" / "inn" / "workflows"
        assert [path.name.startswith("w_") for path in recycled.iterdir()] == [True]
    else:
        assert (await bert.http.delete(f"{project}/workflows/w")).status_code == 403
    assert (await bert.http.delete(project)).status_code == 403
    assert (await bert.http.put(f"{project}/shares", json={"username": "carl"})).status_code == 403
    for path in (
        f"user://projects/{id_}/../private",
        f"user://projects/private@{anna.uid}",
        f"user://projects/@{anna.uid}",
        f"user://{id_}",
    ):
        answer = await bert.http.get(f"/api/fam/read/{quote(path + '/project.json', safe='')}")
        assert answer.status_code == 400 or answer.json() is None
    for name in (f"private@{anna.uid}", f"inn@{carl.uid}", f"@{anna.uid}"):
        assert (await bert.http.get(f"/api/projects/{name}/metadata")).status_code in (400, 404)
    if not with_all:
        assert (await carl.http.get(f"{project}/metadata")).status_code == 404
        assert (await carl.http.get("/api/projects")).json() == []
    for operation, body in (
        ("rename", {"logicalPath": f"user://projects/{id_}", "newName": "stolen"}),
        ("move", {"sourcePaths": [f"user://projects/{id_}"], "targetParentPath": "user://x"}),
    ):
        assert (await bert.http.put(f"/api/fam/{operation}", json=body)).status_code in (403, 404, 207)
    await bert.http.request("DELETE", "/api/fam/delete", json={"logicalPaths": [f"user://projects/{id_}"]})
    assert (await anna.http.get("/api/projects/inn/metadata")).status_code == 200


async def test_a_share_is_withdrawn(place: Town) -> None:
    """It ends at once; so does that of a project that is deleted, also for another that gets its name."""
    anna, bert = await place.person("anna"), await place.person("bert")
    id_ = await shared(anna, username="bert")
    assert (await anna.http.get("/api/projects/inn/shares")).json() == {"shares": [{"access": "read", "username": "bert"}]}
    assert (await anna.http.delete("/api/projects/inn/shares", params={"username": "nobody"})).status_code == 404
    assert (await anna.http.delete("/api/projects/inn/shares", params={"username": "bert"})).status_code == 204
    assert (await anna.http.delete("/api/projects/inn/shares", params={"username": "bert"})).status_code == 404
    assert (await bert.http.get(f"/api/projects/{id_}/metadata")).status_code == 404
    await anna.http.put("/api/projects/inn/shares", json={"username": "bert"})
    await anna.http.delete("/api/projects/inn")
    await anna.http.post("/api/projects", json={"name": "inn"})
    assert (await bert.http.get(f"/api/projects/{id_}/metadata")).status_code == 404


async def test_two_writers_of_a_shared_project(place: Town) -> None:
    """Neither undoes the other's work: with the version that was read only one of them gets through."""
    anna, bert = await place.person("anna"), await place.person("bert")
    id_ = await shared(anna, username="bert", access="write")
    tag = (await anna.http.get("/api/projects/inn/workflows/w")).headers["etag"]
    body, headers = {"id": "w", "name": "w", **GRAPH}, {"If-Match": tag}
    both = await asyncio.gather(
        anna.http.put("/api/projects/inn/workflows/w", json=body, headers=headers),
        bert.http.put(f"/api/projects/{id_}/workflows/w", json=body, headers=headers),
    )
    assert sorted(answer.status_code for answer in both) == [200, 412]
