"""`/api/projects…` and `/api/workflows…`."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from support.application import started
from support.client import is_final, viewer
from support.server import Server
from tavernkeep import ApiError, UserContext
from tavernkeep_files.contracts import Files
from tavernkeep_projects.store import ProjectStore

WORKFLOW: dict[str, Any] = {
    "name": "greeting",
    "nodes": [
        {"id": "in", "type": "core:GroupInput", "position": {"x": 0, "y": 0}},
        {"id": "t", "type": "core:TextMerge", "position": {"x": 1, "y": 2.5}, "inputValues": {"separator": ""}, "unknown": [1]},
        {"id": "out", "type": "core:GroupOutput", "position": {"x": 0, "y": 0}},
    ],
    "edges": [
        {"id": "1", "source": "in", "target": "t", "sourceHandle": "who", "targetHandle": "text_inputs__0"},
        {"id": "2", "source": "t", "target": "out", "sourceHandle": "merged_text", "targetHandle": "text"},
    ],
    "viewport": {"x": 0, "y": 0, "zoom": 1},
    "interfaceInputs": {"who": {"key": "who", "dataFlowType": "STRING", "config": {"default": "nobody"}}},
    "interfaceOutputs": {"text": {"key": "text", "dataFlowType": "STRING"}},
    "previewTarget": None,
    "unknownField": {"kept": True},
}


async def project(server: Server, name: str) -> str:
    answer = await server.http.post("/api/projects", json={"name": name})
    assert answer.status_code == 201
    id_: str = answer.json()["id"]
    return id_


async def store(server: Server, project_id: str, **changes: Any) -> dict[str, Any]:
    answer = await server.http.post(f"/api/projects/{quote(project_id, safe='')}/workflows", json=WORKFLOW | changes)
    assert answer.status_code == 201, answer.text
    stored: dict[str, Any] = answer.json()
    return stored


async def test_projects(server: Server) -> None:
    """Made, listed, read, changed, recycled; the id is the name made safe."""
    made = await server.http.post("/api/projects", json={"name": "My: 项目/one", "description": "d"})
    metadata = made.json()
    assert made.status_code == 201
    assert (metadata["id"], metadata["name"], metadata["preferredView"], metadata["enableChatPage"]) == (
        "My_ 项目_one",
        "My: 项目/one",
        "editor",
        True,
    )
    assert metadata["createdAt"] == metadata["updatedAt"]
    assert (await server.http.post("/api/projects", json={"name": "My: 项目/one"})).status_code == 409
    url = f"/api/projects/{quote(metadata['id'])}"
    assert (await server.http.get(f"{url}/metadata")).json() == metadata
    assert metadata["id"] in [entry["id"] for entry in (await server.http.get("/api/projects")).json()]
    changed = (await server.http.put(url, json={"description": "new", "id": "other", "createdAt": "x", "customMetadata": {"a": 1}})).json()
    assert (changed["id"], changed["createdAt"], changed["description"], changed["customMetadata"]) == (
        metadata["id"],
        metadata["createdAt"],
        "new",
        {"a": 1},
    )
    assert (await server.http.delete(url)).status_code == 204
    assert (await server.http.delete(url)).status_code == 404
    assert (await server.http.get(f"{url}/metadata")).status_code == 404
    bin_ = server.folder / "data" / "users" / "default_user" / ".recycle_bin"
    assert [path.name.rpartition("_")[0] for path in bin_.iterdir()] == [metadata["id"]]


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": 5}, {"name": "x" * 201}, []])
async def test_a_project_needs_a_name(server: Server, body: Any) -> None:
    """422 with the place."""
    assert (await server.http.post("/api/projects", json=body)).status_code == 422


async def test_a_broken_project_is_left_out(server: Server) -> None:
    """And logged; the others are listed."""
    folder = server.folder / "data" / "users" / "default_user" / "projects"
    for name, content in (("broken", b"{"), ("nameless", b"{}"), ("list", b"[]")):
        (folder / name).mkdir(parents=True)
        (folder / name / "project.json").write_bytes(content)
    await project(server, "whole")
    assert {"broken", "nameless", "list"}.isdisjoint(entry["id"] for entry in (await server.http.get("/api/projects")).json())
    assert (await server.http.get("/api/projects/broken/metadata")).status_code == 404


async def test_a_workflow_is_stored_as_it_was_sent(server: Server) -> None:
    """With an id, times and a version; unknown fields survive at every level, and a second save."""
    id_ = await project(server, "store")
    stored = await store(server, id_)
    url = f"/api/projects/{id_}/workflows/{stored['id']}"
    read = await server.http.get(url)
    assert read.json() == stored
    assert WORKFLOW.items() <= stored.items()
    assert stored["createdAt"] == stored["updatedAt"]
    again = (await server.http.put(url, json=stored | {"description": "second"})).json()
    assert again["unknownField"] == {"kept": True}
    assert again["nodes"][1]["unknown"] == [1]
    assert again["createdAt"] == stored["createdAt"]
    listed = (await server.http.get(f"/api/projects/{id_}/workflows")).json()
    mine = [(entry["id"], entry["name"], entry["description"]) for entry in listed if entry["id"] != "main"]
    assert mine == [(stored["id"], "greeting", "second")]


async def test_what_the_editor_reads_of_a_workflow_is_always_there(server: Server) -> None:
    """Interfaces, and the ids that its groups refer to, in any of the forms that a reference has; kept up to date, and in lists."""
    id_ = await project(server, "complete")
    inner = await store(server, id_, name="inner", id="inner-id")
    group = {"id": "g", "type": "core:NodeGroup", "configValues": {"referencedWorkflowId": f"inner ({inner['id']})"}}
    sent: dict[str, Any] = {"name": "outer", "nodes": [group], "edges": []}
    outer = (await server.http.post(f"/api/projects/{id_}/workflows", json=sent)).json()
    assert (outer["interfaceInputs"], outer["interfaceOutputs"], outer["referencedWorkflows"]) == ({}, {}, ["inner-id"])
    listed = {entry["name"]: entry["referencedWorkflows"] for entry in (await server.http.get(f"/api/projects/{id_}/workflows")).json()}
    assert listed == {"main": [], "inner": [], "outer": ["inner-id"]}
    url = f"/api/projects/{id_}/workflows/{outer['id']}"
    assert (await server.http.put(url, json=outer | {"nodes": []})).json()["referencedWorkflows"] == []
    folder = server.folder / "data" / "users" / "default_user" / "projects" / id_ / "workflows"
    (folder / "by-hand.json").write_text(json.dumps(sent | {"id": "h", "name": "by hand", "referencedWorkflows": ["old"]}))
    assert (await server.http.get(f"/api/projects/{id_}/workflows/h")).json()["referencedWorkflows"] == ["inner-id"]


async def test_what_changes_in_a_project_moves_when_it_was_changed(server: Server) -> None:
    """A workflow that is stored moves the project, by which recent ones are sorted; an interface that changes moves who refers to it."""
    id_ = await project(server, "moved")

    async def moment(path: str) -> str:
        return str((await server.http.get(f"/api/projects/{id_}/{path}")).json()["updatedAt"])

    before = await moment("metadata")
    inner = await store(server, id_, name="inner")
    assert (between := await moment("metadata")) > before
    group = {"id": "g", "type": "core:NodeGroup", "configValues": {"referencedWorkflowId": inner["id"]}}
    outer = await store(server, id_, name="outer", nodes=[group], edges=[])
    url = f"/api/projects/{id_}/workflows/{inner['id']}"
    interface = {"x": {"key": "x", "dataFlowType": "STRING", "displayName": "X"}}
    assert (await server.http.put(url, json=inner | {"interfaceInputs": interface})).status_code == 200
    assert await moment(f"workflows/{outer['id']}") > outer["updatedAt"]
    assert await moment("metadata") > between
    stale = await server.http.put(f"/api/projects/{id_}/workflows/{outer['id']}", json=outer, headers={"if-match": outer["updatedAt"]})
    assert stale.status_code == 412
    told = await moment(f"workflows/{outer['id']}")
    folder = server.folder / "data" / "users" / "default_user" / "projects" / id_ / "workflows"
    (folder / "odd.json").write_text(json.dumps({"id": "odd", "nodes": [5, group | {"data": [1]}]}))
    (folder / "none.json").write_text(json.dumps({"id": "none", "nodes": 5}))
    assert (await server.http.put(url, json=inner | {"interfaceInputs": interface, "description": "new"})).status_code == 200
    assert await moment(f"workflows/{outer['id']}") == told  # it has the interface already
    assert (await server.http.get(f"/api/projects/{id_}/workflows/odd")).json()["nodes"][1]["data"]["groupInterface"]["inputs"] == interface


async def test_names_of_workflows(server: Server) -> None:
    """Taken ones are 409, at first and when renamed; a new name renames the file."""
    id_ = await project(server, "names")
    first, second = await store(server, id_), await store(server, id_, name="other: 二")
    folder = server.folder / "data" / "users" / "default_user" / "projects" / id_ / "workflows"
    assert {path.name for path in folder.iterdir()} == {"main.json", "greeting.json", "other_ 二.json"}
    assert (await server.http.post(f"/api/projects/{id_}/workflows", json=WORKFLOW)).status_code == 409
    url = f"/api/projects/{id_}/workflows/{second['id']}"
    assert (await server.http.put(url, json=second | {"name": "greeting"})).status_code == 409
    assert (await server.http.put(url, json=second | {"name": "third"})).status_code == 200
    assert {path.name for path in folder.iterdir()} == {"main.json", "greeting.json", "third.json"}
    assert (await server.http.put(url, json=second | {"id": first["id"]})).status_code == 400
    assert (
        await server.http.post(f"/api/projects/{id_}/workflows", json=WORKFLOW | {"name": "fourth", "id": first["id"]})
    ).status_code == 409


async def test_two_writers_never_lose_work_silently(server: Server) -> None:
    """`If-Match` with an old `updatedAt` is 412; of many at once that read the same, one wins."""
    id_ = await project(server, "race")
    stored = await store(server, id_)
    url = f"/api/projects/{id_}/workflows/{stored['id']}"
    tag = (await server.http.get(url)).headers["etag"]

    async def save(number: int) -> int:
        return (await server.http.put(url, json=stored | {"description": str(number)}, headers={"if-match": tag})).status_code

    found = sorted(await asyncio.gather(*(save(number) for number in range(6))))
    assert found == [200] + [412] * 5
    assert (await server.http.put(f"/api/projects/{id_}", json={"description": "x"}, headers={"if-match": '"old"'})).status_code == 412


async def test_a_tag_is_for_one_content_alone(tmp_path: Path) -> None:
    """Also of two that are stored in the same millisecond."""
    anna = UserContext("anna", "anna")
    async with started(tmp_path) as app:
        store = ProjectStore(app.services.get(Files), lambda: datetime(2026, 1, 1, tzinfo=UTC))
        await store.create("inn", None, anna)
        first = await store.create_workflow("inn", WORKFLOW, anna)
        second = await store.update_workflow("inn", first["id"], WORKFLOW | {"description": "second"}, first["updatedAt"], anna)
        with pytest.raises(ApiError, match="changed"):
            await store.update_workflow("inn", first["id"], WORKFLOW, first["updatedAt"], anna)
        await store.update_workflow("inn", first["id"], WORKFLOW, second["updatedAt"], anna)


async def test_recycling_a_workflow(server: Server) -> None:
    """It is in the recycle bin afterwards, and gone from the project."""
    id_ = await project(server, "recycle")
    stored = await store(server, id_)
    url = f"/api/projects/{id_}/workflows/{stored['id']}"
    assert (await server.http.delete(url)).status_code == 204
    assert (await server.http.get(url)).status_code == 404
    assert (await server.http.delete(url)).status_code == 404
    (kept,) = (server.folder / "data" / "users" / "default_user" / ".recycle_bin" / id_ / "workflows").iterdir()
    assert kept.name.startswith("greeting_")
    assert json.loads(kept.read_text())["id"] == stored["id"]


async def test_groups_get_the_new_interface(server: Server) -> None:
    """Those in the same project that refer to a workflow that changed."""
    id_ = await project(server, "groups")
    inner = await store(server, id_)
    group = {"id": "g", "type": "core:NodeGroup", "configValues": {"referencedWorkflowId": inner["id"]}}
    outer = await store(server, id_, name="outer", nodes=[group], edges=[])
    inputs = {"new": {"key": "new", "dataFlowType": "INTEGER"}}
    await server.http.put(f"/api/projects/{id_}/workflows/{inner['id']}", json=inner | {"interfaceInputs": inputs})
    (node,) = (await server.http.get(f"/api/projects/{id_}/workflows/{outer['id']}")).json()["nodes"]
    assert node["data"]["groupInterface"] == {"inputs": inputs, "outputs": WORKFLOW["interfaceOutputs"]}


async def test_running_a_stored_workflow(server: Server) -> None:
    """By its id, with inputs; groups in it find their workflows in the project."""
    id_ = await project(server, "run")
    inner = await store(server, id_)
    group = {"id": "g", "type": "core:NodeGroup", "configValues": {"referencedWorkflowId": inner["id"]}, "position": {"x": 0, "y": 0}}
    edges = [
        {"id": "1", "source": "in", "target": "g", "sourceHandle": "who", "targetHandle": "who"},
        {"id": "2", "source": "g", "target": "out", "sourceHandle": "text", "targetHandle": "text"},
    ]
    outer = await store(server, id_, name="outer", nodes=[WORKFLOW["nodes"][0], group, WORKFLOW["nodes"][2]], edges=edges)
    url = f"/api/projects/{id_}/workflows/{outer['id']}/run"
    prompt_id = (await server.http.post(url, json={"inputs": {"who": "Ada"}})).json()["promptId"]
    async with viewer(server.ws_url) as client:
        await client.send("SUBSCRIBE", {"promptId": prompt_id, "after": 0})
        await client.until(is_final)
    detail = (await server.http.get(f"/api/prompt/{prompt_id}")).json()
    assert (detail["status"], detail["outputs"], detail["workflowName"]) == ("complete", {"text": "Ada"}, "outer")
    assert (await server.http.post(url)).status_code == 200
    assert (await server.http.post(url, json={"inputs": {"nope": 1}})).status_code == 422
    assert (await server.http.post(f"/api/projects/{id_}/workflows/none/run")).status_code == 404


async def test_the_library(server: Server) -> None:
    """Read by everybody; not written here."""
    folder = server.folder / "data" / "library" / "workflows"
    folder.mkdir(parents=True)
    (folder / "shared.json").write_text(json.dumps(WORKFLOW | {"id": "s1", "name": "shared one"}))
    (folder / "broken.json").write_text("{")
    assert (await server.http.get("/api/workflows")).json() == [{"id": "s1", "name": "shared one"}]
    assert (await server.http.get("/api/workflows/s1")).json()["unknownField"] == {"kept": True}
    assert (await server.http.get("/api/workflows/none")).status_code == 404
    assert (await server.http.post("/api/workflows", json={})).status_code == 405
    assert (await server.http.put("/api/workflows/s1", json={})).status_code == 405
    assert (await server.http.delete("/api/workflows/s1")).status_code == 405


@pytest.mark.parametrize("id_", ["%2e%2e", "a%2fb", "..%2f..%2fx", "con", "a%00", "a%5cb", "%252e%252e", "．．", "a."])
async def test_no_id_leads_elsewhere(server: Server, id_: str) -> None:
    """400, or 404 where the address itself is another; never anything else."""
    for method, path in (("GET", "metadata"), ("GET", "workflows"), ("PUT", ""), ("DELETE", ""), ("POST", "workflows")):
        answer = await server.http.request(
            method, f"/api/projects/{id_}/{path}".rstrip("/"), json=WORKFLOW if method in ("PUT", "POST") else None
        )
        assert answer.status_code in (400, 404, 405), (method, path, answer.status_code)


async def test_no_recycle_bin(server: Server) -> None:
    """Something else that stands in its place is said, and nothing is lost."""
    await server.http.post("/api/projects", json={"name": "unbinned"})
    bin_ = server.folder / "data" / "users" / "default_user" / ".recycle_bin"
    kept = bin_.rename(bin_.with_name("kept")) if bin_.exists() else None
    bin_.write_text("x")
    for place in ("/api/projects/unbinned/workflows/main", "/api/projects/unbinned"):
        answer = await server.http.delete(place)
        assert (answer.status_code, "in the way" in answer.json()["error"]) == (409, True)
        assert (await server.http.get(place if "workflows" in place else f"{place}/metadata")).status_code == 200
    bin_.unlink()
    if kept is not None:
        kept.rename(bin_)
