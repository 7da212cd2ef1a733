"""Running an execution again: from which node on, and with whose rights."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from support.plugins import install, on_path
from support.users import Person, Town, town

COUNTING = '''
    """A node that tells how often it has run in this server, and whose words they were."""

    from collections import Counter

    from tavernkeep import NodeContext, NodeFailure, hookimpl, node

    ran = Counter()


    @node("again:Count", output="text")
    def count(name: str, after: str = "", fails: bool = False, *, context: NodeContext) -> str:
        """A name, how often this has run with it, who runs it, and what was before."""
        ran[name] += 1
        if fails and ran[name] == 1:
            raise NodeFailure("the first time it fails")
        return f"{after}{name}{ran[name]}{'!' if context.user.is_admin else '.'}"


    @hookimpl
    def register_nodes():
        return [count]
'''


@pytest_asyncio.fixture(scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """A server with an administrator."""
    folder = tmp_path_factory.mktemp("again")
    async with town(folder, **on_path(install(folder / "packs", "again", COUNTING))) as opened:
        yield opened


def chain(name: str, *, fails: bool = False) -> dict[str, Any]:
    """One after the other: a, b, and a group with one in it; beside them, on its own, d."""
    inner = {
        "nodes": [
            {"id": "in", "type": "core:GroupInput"},
            {"id": "inner", "type": "again:Count", "inputValues": {"name": f"{name}-c"}},
            {"id": "out", "type": "core:GroupOutput"},
        ],
        "edges": [
            {"id": "1", "source": "in", "sourceHandle": "after", "target": "inner", "targetHandle": "after"},
            {"id": "2", "source": "inner", "sourceHandle": "text", "target": "out", "targetHandle": "text"},
        ],
        "interfaceInputs": {"after": {"key": "after", "dataFlowType": "STRING"}},
        "interfaceOutputs": {"text": {"key": "text", "dataFlowType": "STRING"}},
    }
    return {
        "nodes": [
            {"id": "a", "fullType": "again:Count", "inputs": {"name": f"{name}-a"}},
            {"id": "b", "fullType": "again:Count", "inputs": {"name": f"{name}-b", "fails": fails}},
            {"id": "c", "fullType": "core:NodeGroup", "configValues": {"referencedWorkflowId": "inner"}},
            {"id": "d", "fullType": "again:Count", "inputs": {"name": f"{name}-d"}},
        ],
        "edges": [
            {"sourceNodeId": "a", "sourceHandle": "text", "targetNodeId": "b", "targetHandle": "after"},
            {"sourceNodeId": "b", "sourceHandle": "text", "targetNodeId": "c", "targetHandle": "after"},
        ],
        "workflows": {"inner": inner},
    }


async def ended(person: Person, id_: str) -> dict[str, Any]:
    """An execution, when it has ended."""
    async with person.http.stream("GET", f"/api/prompt/{id_}/events") as answer:
        [_ async for _ in answer.aiter_lines()]
    found: dict[str, Any] = (await person.http.get(f"/api/prompt/{id_}")).json()
    return found


async def run(person: Person, payload: dict[str, Any]) -> str:
    """Run a workflow to its end; gives its id."""
    id_ = str((await person.http.post("/api/prompt", json=payload)).json()["promptId"])
    await ended(person, id_)
    return id_


async def again(person: Person, id_: str, action: str, **body: Any) -> dict[str, Any]:
    """What came of running it again."""
    answer = await person.http.post(f"/api/prompt/{id_}/{action}", **({"json": body} if body else {}))
    assert answer.status_code == 200, answer.text
    return await ended(person, answer.json()["promptId"])


def texts(detail: dict[str, Any]) -> dict[str, Any]:
    """What each node gave."""
    return {node: status["output"]["text"] for node, status in detail["nodeStatus"].items() if "text" in status.get("output", {})}


@pytest.mark.parametrize("action", ["rerun", "resume"])
async def test_from_a_node_on(here: Town, action: str) -> None:
    """What is before it, and beside it, gives what it gave; it, what depends on it, and what is in such a group, run anew."""
    name = f"on-{action}"
    id_ = await run(here.admin, chain(name))
    first = texts(await ended(here.admin, id_))
    assert first["c"] == f"{name}-a1!{name}-b1!{name}-c1!"
    assert texts(await again(here.admin, id_, action, **{"from": "b"})) == {
        "a": first["a"],
        "b": f"{name}-a1!{name}-b2!",
        "c": f"{name}-a1!{name}-b2!{name}-c2!",
        "d": first["d"],
    }
    assert texts(await again(here.admin, id_, action, **{"from": "c"}))["c"] == f"{name}-a1!{name}-b1!{name}-c3!"
    assert texts(await again(here.admin, id_, action, **{"from": "d"})) == first | {"d": f"{name}-d2!"}


async def test_a_body_may_be_left_out(here: Town) -> None:
    """As before there was one: a rerun runs everything, a resumed one what had not completed."""
    id_ = await run(here.admin, chain("whole", fails=True))
    assert (await ended(here.admin, id_))["status"] == "error"
    resumed = await again(here.admin, id_, "resume")
    assert texts(resumed)["c"] == "whole-a1!whole-b2!whole-c1!"
    assert texts(await again(here.admin, id_, "rerun"))["c"] == "whole-a2!whole-b3!whole-c2!"
    assert texts(await again(here.admin, id_, "rerun", **{"from": None}))["c"] == "whole-a3!whole-b4!whole-c3!"
    empty = await here.admin.http.post(f"/api/prompt/{resumed['promptId']}/resume")
    assert (empty.status_code, empty.json()["error"]) == (409, f"Execution {resumed['promptId']} is complete: there is nothing left to do.")
    form = await here.admin.http.post(f"/api/prompt/{id_}/rerun", content="from=a", headers={"Content-Type": "text/plain"})
    assert form.status_code == 415
    document = (await here.admin.http.get("/api/openapi.json")).json()
    assert document["paths"]["/api/prompt/{prompt_id}/rerun"]["post"]["requestBody"]["required"] is False


@pytest.mark.parametrize("node", ["none", "c/inner", ""])
async def test_only_a_node_of_the_workflow_itself_can_be_named(here: Town, node: str) -> None:
    """Anything else is refused, with the place where it stands; of a group, the group is to be named."""
    id_ = await run(here.admin, chain(f"named-{node}"))
    for action in ("rerun", "resume"):
        answer = await here.admin.http.post(f"/api/prompt/{id_}/{action}", json={"from": node})
        assert answer.status_code == 422
        (problem,) = answer.json()["details"]
        assert problem["path"] == "from"
        assert "name the group" in problem["message"]


async def test_only_a_node_that_was_asked_for_can_be_named(here: Town) -> None:
    """Where an execution was for some nodes alone, no other of them would run."""
    id_ = await run(here.admin, chain("some") | {"targetNodeIds": ["b"]})
    assert set(texts(await again(here.admin, id_, "rerun", **{"from": "a"}))) == {"a", "b"}
    answer = await here.admin.http.post(f"/api/prompt/{id_}/rerun", json={"from": "d"})
    assert (answer.status_code, "targetNodeIds" in answer.text) == (422, True)


async def test_an_administrator_lends_nobody_their_rights(here: Town) -> None:
    """Whoever asks, it runs as the user whose it is, as they are by now; who may run nothing any more has nothing run."""
    carol = await here.person("carol")
    id_ = await run(carol, chain("carol", fails=True))
    for action in ("rerun", "resume"):
        detail = await again(here.admin, id_, action)
        assert set("".join(texts(detail).values())) & set("!.") == {"."}
        assert (await carol.http.get(f"/api/prompt/{detail['promptId']}")).status_code == 200
        assert (await here.admin.http.get(f"/api/history/{detail['promptId']}")).json()["username"] == "carol"
    key = here.with_key(await carol.key("workflow:execute"))
    async with key:
        by_key = await run(Person("carol", carol.uid, key), chain("key"))
    await here.admin.http.put(f"/api/admin/users/{carol.uid}", json={"role": "viewer"})
    for before in (id_, by_key):
        for body in ({}, {"from": "a"}):
            answer = await here.admin.http.post(f"/api/prompt/{before}/rerun", json=body)
            assert answer.status_code == 409
            assert answer.json()["error"] == f"Execution {before} is carol's, who may not run it any more."


async def test_pages_by_whose_they_are_and_how_their_ids_begin(here: Town) -> None:
    """A user is named by name or id; ids begin with a text in the very letters."""
    dora = await here.person("dora")
    ids = [await run(dora, chain(f"dora{number}")) for number in range(3)]

    async def page(**query: Any) -> list[str]:
        answer = await here.admin.http.get("/api/history", params=query)
        assert answer.status_code == 200, answer.text
        return [entry["promptId"] for entry in answer.json()["executions"]]

    assert await page(user="dora") == await page(user=dora.uid) == ids[::-1]
    assert await page(user="nobody") == []
    assert await page(id=ids[1]) == await page(id=ids[1][:10], user="dora") == [ids[1]]
    assert await page(id=ids[1][:10].swapcase()) == []
    assert (await here.admin.http.get("/api/history", params={"id": "%"})).status_code == 422
    assert json.loads((await here.admin.http.get("/api/history", params={"user": "dora"})).text)["executions"][0]["username"] == "dora"
