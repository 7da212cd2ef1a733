"""Two users on one server: what is one's is not there for the other, by any id, route, path or message."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from support.client import statuses, viewer
from support.plugins import install_odd_nodes, on_path
from support.users import Person, Town, town

WAITS = {"nodes": [{"id": "n", "fullType": "flow:WaitForPerson", "inputs": {"question": "?"}}], "edges": []}
WORKS = {"nodes": [{"id": "n", "fullType": "flow:Delay", "inputs": {"seconds": 3600}}], "edges": []}


@pytest_asyncio.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """A server in multi-user mode, with nodes that take their time."""
    path = on_path(install_odd_nodes(tmp_path_factory.mktemp("packs")))
    async with town(tmp_path_factory.mktemp("town"), **path) as running:
        yield running


async def made(client: httpx2.AsyncClient, path: str, body: Any) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.is_success, answer.text
    content: dict[str, Any] = answer.json() if answer.content else {}
    return content


async def furnish(owner: Person) -> dict[str, str]:
    """One of everything; gives their ids."""
    http = owner.http
    await made(http, "/api/projects", {"name": "secret"})
    workflow = await made(http, "/api/projects/secret/workflows", {"name": "w", "nodes": [], "edges": []})
    await made(http, "/api/projects/secret/panels", {"panelId": "p", "displayName": "P"})
    await http.post("/api/projects/secret/panels/p/fs/f.txt", content=b"PLANTED")
    session = await made(http, "/api/chat/sessions", {"projectId": "secret", "title": "PLANTED"})
    node = await made(http, f"/api/chat/{session['id']}/message?projectId=secret", {"parentId": None, "role": "user", "content": "PLANTED"})
    await made(http, "/api/fam/write-json", {"logicalPath": "user://PLANTED.json", "content": 1})
    channel = await made(http, "/api/llm/channels", {"label": "PLANTED", "baseUrl": "http://x", "apiKey": "sk-0123456789abc"})
    await made(http, "/api/llm/models", {"modelId": "PLANTED", "displayName": "PLANTED"})
    key = await made(http, "/api/users/me/service-keys", {"name": "PLANTED"})
    credential = await made(http, "/api/users/me/credentials", {"serviceName": "PLANTED", "credential": "0123456789"})
    await made(http, "/api/plugins/nodes_llm/settings", {"PLANTED": 1})
    running = await made(http, "/api/prompt", WAITS)
    return {
        "workflow": workflow["id"],
        "session": session["id"],
        "node": node["nodeId"],
        "channel": channel["id"],
        "key": key["id"],
        "credential": credential["id"],
        "running": running["promptId"],
    }


async def test_every_id_of_somebody_elses(place: Town) -> None:
    """Read, change, delete, run, follow: 404, as if it were not there; lists do not show it; and it is all unharmed."""
    anna, bert = await place.person("anna"), await place.person("bert")
    ids = await furnish(anna)
    flow, chat = f"/api/projects/secret/workflows/{ids['workflow']}", f"/api/chat/{ids['session']}"
    in_secret = "?projectId=secret"
    attempts: list[tuple[str, str, Any]] = [
        ("GET", "/api/projects/secret/metadata", None),
        ("PUT", "/api/projects/secret", {"description": "x"}),
        ("DELETE", "/api/projects/secret", None),
        ("GET", "/api/projects/secret/workflows", None),
        ("POST", "/api/projects/secret/workflows", {"name": "x", "nodes": [], "edges": []}),
        ("GET", flow, None),
        ("PUT", flow, {"name": "x", "nodes": [], "edges": []}),
        ("DELETE", flow, None),
        ("POST", f"{flow}/run", {}),
        ("GET", "/api/projects/secret/panels", None),
        ("GET", "/api/projects/secret/panels/p", None),
        ("POST", "/api/projects/secret/panels", {"panelId": "x", "displayName": "X"}),
        ("GET", "/api/projects/secret/panels/p/fs/f.txt", None),
        ("DELETE", "/api/projects/secret/panels/p/fs/f.txt", None),
        ("GET", f"/api/chat/sessions{in_secret}", None),
        ("DELETE", f"/api/chat/sessions/{ids['session']}{in_secret}", None),
        ("PUT", f"/api/chat/sessions/{ids['session']}/metadata{in_secret}", {"title": "x"}),
        ("POST", f"/api/chat/sessions/{ids['session']}/export{in_secret}", {"format": "json"}),
        ("GET", f"{chat}/tree{in_secret}", None),
        ("POST", f"{chat}/message{in_secret}", {"parentId": None, "role": "user", "content": "x"}),
        ("PUT", f"{chat}/node/{ids['node']}/state{in_secret}", {"content": "x"}),
        ("GET", f"{chat}/assets{in_secret}", None),
        ("GET", f"/api/llm/channels/{ids['channel']}", None),
        ("PUT", f"/api/llm/channels/{ids['channel']}", {"label": "x", "baseUrl": "http://x"}),
        ("DELETE", f"/api/llm/channels/{ids['channel']}", None),
        ("POST", f"/api/llm/channels/{ids['channel']}/discover-models", {}),
        ("GET", f"/api/llm/channels/{ids['channel']}/list-models", None),
        ("GET", "/api/llm/models/PLANTED", None),
        ("DELETE", "/api/llm/models/PLANTED", None),
        ("DELETE", f"/api/users/me/service-keys/{ids['key']}", None),
        ("DELETE", f"/api/users/me/credentials/{ids['credential']}", None),
        ("GET", f"/api/prompt/{ids['running']}", None),
        ("GET", f"/api/prompt/{ids['running']}/events", None),
        ("POST", f"/api/prompt/{ids['running']}/nodes/n/input", {"value": "x"}),
        ("POST", f"/api/prompt/{ids['running']}/resume", {}),
        ("POST", f"/api/prompt/{ids['running']}/rerun", {}),
        ("DELETE", f"/api/interrupt/{ids['running']}", None),
        ("GET", f"/api/history/{ids['running']}", None),
        ("DELETE", f"/api/history/{ids['running']}", None),
    ]
    for method, path, body in attempts:
        answer = await bert.http.request(method, path, json=body)
        assert answer.status_code == 404, (method, path, answer.status_code, answer.text)
        assert "PLANTED" not in answer.text.replace("'PLANTED'", "")
    for path in (
        "/api/projects",
        "/api/llm/channels",
        "/api/llm/models",
        "/api/users/me/service-keys",
        "/api/users/me/credentials",
        "/api/executions",
        "/api/history",
        "/api/plugins/nodes_llm/settings",
        "/api/auth/current",
        "/api/fam/list/user%3A%2F%2F",
        "/api/fam/read/user%3A%2F%2FPLANTED.json",
    ):
        answer = await bert.http.get(path)
        assert answer.status_code == 200
        assert "PLANTED" not in answer.text
        assert not any(id_ in answer.text for id_ in ids.values()), path
    async with viewer(place.server.ws_url, additional_headers=bert.cookie) as client:
        for type_, payload in (
            ("SUBSCRIBE", {"promptId": ids["running"], "after": 0}),
            ("INTERRUPT_REQUEST", {"promptId": ids["running"]}),
            ("NODE_INPUT", {"promptId": ids["running"], "nodeId": "n", "value": "x"}),
        ):
            await client.send(type_, payload)
            assert "There is no execution" in (await client.error())["payload"]["message"]
    for path in ("/api/projects/secret/metadata", flow, f"{chat}/tree{in_secret}", f"/api/llm/channels/{ids['channel']}"):
        assert (await anna.http.get(path)).status_code == 200
    assert (await anna.http.get(f"/api/prompt/{ids['running']}")).json()["status"] == "running"
    assert (await anna.http.get("/api/projects/secret/panels/p/fs/f.txt")).content == b"PLANTED"
    page = await anna.http.get("/api/fam/download/user%3A%2F%2Fprojects%2Fsecret%2Fui%2Fp%2Findex.html")
    assert "sandbox" in page.headers["content-security-policy"]  # where there are others no panel runs, unless it is allowed
    await anna.http.delete(f"/api/interrupt/{ids['running']}")


async def test_workflows_use_their_own_users_things(place: Town) -> None:
    """A node reads its user's files, groups and channels; those of others are not there for it, whatever it is told."""
    carl, dora = await place.person("carl"), await place.person("dora")
    await made(carl.http, "/api/fam/write-json", {"logicalPath": "user://note.json", "content": "CARLS"})
    await made(carl.http, "/api/llm/channels", {"label": "CARLS", "baseUrl": "http://127.0.0.1:9", "apiKey": "x"})
    ask = {"messages": [{"role": "user", "content": "hi"}], "activated_model_id": "m"}
    payload = {"nodes": [{"id": "n", "fullType": "core:GenericLlmRequest", "inputs": ask}], "edges": []}
    async with viewer(place.server.ws_url, additional_headers=dora.cookie) as client:
        messages = await client.run(payload)
        assert statuses(messages)[-1] == "complete"  # the demo, as she has no channel
        assert "CARLS" not in str(messages)
    group = {"nodes": [{"id": "n", "fullType": "core:NodeGroup", "configValues": {"referencedWorkflowId": "w"}}], "edges": []}
    await made(carl.http, "/api/projects", {"name": "inn"})
    await made(carl.http, "/api/projects/inn/workflows", {"id": "w", "name": "CARLS", "nodes": [], "edges": []})
    async with viewer(place.server.ws_url, additional_headers=dora.cookie) as client:
        messages = await client.run(group | {"metadata": {"projectId": "inn"}})
        assert statuses(messages)[-1] == "error"
        assert "CARLS" not in str(messages)


async def test_the_scheduler_is_fair_and_bounds_each(tmp_path: Path) -> None:
    """Somebody with much waiting holds up nobody else; past their bound they are refused, and only they."""
    config = {"execution": {"max_concurrent_workflows": 1}, "engine": {"maxQueuedPerUser": 5}}
    async with town(tmp_path, config) as place:
        greedy, modest = await place.person("greedy"), await place.person("modest")
        blocked = (await made(greedy.http, "/api/prompt", WORKS))["promptId"]
        answers = [await greedy.http.post("/api/prompt", json=WORKS | {"priority": 9}) for _ in range(7)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
        mine = (await made(modest.http, "/api/prompt", {"nodes": [], "edges": []}))["promptId"]
        await greedy.http.delete(f"/api/interrupt/{blocked}")
        async with modest.http.stream("GET", f"/api/prompt/{mine}/events") as answer:
            events = [json.loads(line[6:]) async for line in answer.aiter_lines() if line.startswith("data: ")]
        assert events[-1]["payload"]["status"] == "complete"
        assert len((await greedy.http.get("/api/executions")).json()["pending"]) >= 4


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_thousand_sockets_of_fifty_users(tmp_path: Path) -> None:
    """With executions running: every message reaches its owner, on each of their sockets that asks for it, and no one else."""
    async with town(tmp_path, {"logging": {"level": "warning"}, "execution": {"max_concurrent_workflows": 10}}) as place:
        people = [await place.person(f"user{number}") for number in range(50)]
        got: dict[str, list[set[str]]] = {person.uid: [] for person in people}
        ready, everybody = asyncio.Semaphore(0), asyncio.Event()

        async def listen(person: Person, number: int) -> None:
            seen: set[str] = set()
            async with viewer(place.server.ws_url, additional_headers=person.cookie, open_timeout=60) as client:
                ready.release()
                await everybody.wait()
                if number == 0:
                    for run in range(4):
                        await client.send("PROMPT_REQUEST", payload(person, run))
                    ended = 0
                    while ended < 4:
                        message = await client.receive()
                        seen.add(json.dumps(message))
                        ended += message["type"] == "EXECUTION_STATUS_UPDATE" and message["payload"]["status"] == "complete"
                else:
                    id_ = await first_of[person.uid]
                    await client.send("SUBSCRIBE", {"promptId": id_, "after": 0})
                    messages = await client.until(lambda m: m["type"] == "EXECUTION_STATUS_UPDATE" and m["payload"]["status"] == "complete")
                    seen.update(map(json.dumps, messages))
                got[person.uid].append(seen)

        def payload(person: Person, run: int) -> dict[str, Any]:
            text = f"for {person.uid} alone, run {run}"
            return {"nodes": [{"id": "n", "fullType": "core:TextMerge", "inputs": {"text_inputs": [text]}}], "edges": []}

        first_of: dict[str, asyncio.Future[str]] = {}

        async def submit(person: Person) -> None:
            first_of[person.uid].set_result((await made(person.http, "/api/prompt", payload(person, 99)))["promptId"])

        loop = asyncio.get_running_loop()
        first_of.update((person.uid, loop.create_future()) for person in people)
        async with asyncio.TaskGroup() as group:
            for person in people:
                for number in range(20):
                    group.create_task(listen(person, number))
            for _ in range(1000):
                await ready.acquire()
            everybody.set()
            for person in people:
                group.create_task(submit(person))
        for person in people:
            assert len(got[person.uid]) == 20
            for seen in got[person.uid]:
                text = "".join(seen)
                assert f"for {person.uid} alone" in text
                for other in people:
                    assert other.uid == person.uid or other.uid not in text
