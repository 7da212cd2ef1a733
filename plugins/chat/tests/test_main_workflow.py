"""The workflow that a new project begins with."""

import json
from pathlib import Path

from support.server import Server

ROOT = Path(__file__).parents[3]
PLACE = "/api/projects/{}/workflows/main"


async def test_a_new_project_has_a_main_workflow(server: Server) -> None:
    """It is the one of the examples, found by the file API and by the workflow API alike, and answers on the demo model."""
    assert (await server.http.post("/api/projects", json={"name": "new"})).status_code == 201
    stored = (await server.http.get(PLACE.format("new"))).json()
    assert (await server.http.get("/api/fam/read/user://projects/new/workflows/main.json")).json() == stored
    shipped = json.loads((ROOT / "examples" / "main.json").read_text(encoding="utf-8"))
    assert shipped.items() <= stored.items()
    assert [flow["id"] for flow in (await server.http.get("/api/projects/new/workflows")).json()] == ["main"]
    ran = (await server.http.post(PLACE.format("new") + "/run", json={"inputs": {"message": "One ale."}})).json()
    async with server.http.stream("GET", f"/api/prompt/{ran['promptId']}/events") as events:
        async for _ in events.aiter_lines():
            pass
    outputs = (await server.http.get(f"/api/prompt/{ran['promptId']}")).json()["outputs"]
    assert outputs["answer"].endswith("repeats: One ale.")


async def test_it_is_the_users_own(server: Server) -> None:
    """It can be changed and removed, and what was there before is left alone."""
    await server.http.post("/api/projects", json={"name": "own"})
    stored = (await server.http.get(PLACE.format("own"))).json()
    assert (await server.http.put(PLACE.format("own"), json=stored | {"description": "mine"})).json()["description"] == "mine"
    assert (await server.http.delete(PLACE.format("own"))).status_code == 204
    folder = server.folder / "data" / "users" / "default_user" / "projects" / "old"
    (folder / "workflows").mkdir(parents=True)
    (folder / "project.json").write_text(json.dumps({"id": "old", "name": "old"}))
    for project in ("own", "old"):
        assert (await server.http.get(f"/api/projects/{project}/metadata")).status_code == 200
        assert (await server.http.get(f"/api/projects/{project}/workflows")).json() == []
