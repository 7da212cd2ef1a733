"""Answers that a workflow gives in a chat: streamed into its tree, stopped, tried again, gone on with, and kept over the server's end."""

import asyncio
import contextlib
import signal
import sqlite3
from pathlib import Path
from typing import Any

import attrs
import httpx2
import pytest

from support.client import is_final, viewer
from support.llm import LlmServer, channel
from support.server import PATIENCE_S, Server, serve
from support.users import town
from tavernkeep.contracts.events import InterfaceYield
from tavernkeep_chat.answering import GrowingAnswer
from tavernkeep_chat.asking import Answering

SLOW = "slow-3"  # streams `t0 t1 t2 `, and never ends


@attrs.define
class Talk:
    """A chat, and who talks in it."""

    http: httpx2.AsyncClient
    project: str
    id: str

    async def post(self, what: str, status: int = 201, **body: Any) -> dict[str, Any]:
        answer = await self.http.post(f"/api/chat/{self.id}/{what}", params={"projectId": self.project}, json=body)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def put(self, what: str, **body: Any) -> httpx2.Response:
        return await self.http.put(f"/api/chat/{self.id}/{what}", params={"projectId": self.project}, json=body)

    async def ask(self, content: str, parent: str | None = None, **more: Any) -> dict[str, Any]:
        """Say something and have it answered."""
        return await self.post("message", role="user", content=content, parentId=parent, generate=True, **more)

    async def node(self, id_: str) -> dict[str, Any]:
        answer = await self.http.get(f"/api/chat/{self.id}/tree", params={"projectId": self.project})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["nodes"][id_]
        return found

    async def until(self, id_: str, **wanted: Any) -> dict[str, Any]:
        """The message when it is as wanted."""
        while not wanted.items() <= (node := await self.node(id_)).items():
            await asyncio.sleep(0.02)
        return node

    async def whole(self, id_: str) -> dict[str, Any]:
        """The message when it is generated no longer."""
        while (node := await self.node(id_))["status"] == "generating":
            await asyncio.sleep(0.02)
        return node


async def talk(http: httpx2.AsyncClient, project: str, model: str = "say-", **settings: Any) -> Talk:
    await http.post("/api/projects", json={"name": project})
    body = {"projectId": project, "settings": {"model": model, **settings}}
    answer = await http.post("/api/chat/sessions", json=body)
    assert answer.status_code == 201, answer.text
    return Talk(http, project, answer.json()["id"])


def told(llm: LlmServer) -> list[tuple[str, str]]:
    """What the model was told last."""
    return [(message["role"], message["content"]) for message in llm.requests[-1]["messages"]]


async def test_an_answer_streams_into_its_message(llm_backed: Server, llm: LlmServer) -> None:
    """The tree shows what there is of it, the socket its events; another one stands beside it, and goes on from it."""
    chat = await talk(llm_backed.http, "stream", SLOW)
    asked = await chat.ask("Hello?")
    assert asked["tree"]["nodes"][asked["nodeId"]]["children"] == [asked["answerId"]]
    assert asked["tree"]["activeLeafId"] == asked["answerId"]
    assert asked["tree"]["nodes"][asked["answerId"]]["metadata"]["generation"]["promptId"] == asked["promptId"]
    node = await chat.until(asked["answerId"], content="t0 t1 t2 ")
    assert node["status"] == "generating"
    async with viewer(llm_backed.ws_url) as client:
        await client.send("SUBSCRIBE", {"promptId": asked["promptId"], "after": 0})
        seen = await client.until(
            lambda m: m["type"] == "WORKFLOW_INTERFACE_YIELD" and m["payload"]["yieldedContent"]["content"].endswith("t2 ")
        )
        assert {m["payload"]["promptId"] for m in seen} == {asked["promptId"]}
        stopped = await chat.post("stop", 200)
        assert (await client.until(is_final))[-1]["payload"]["status"] == "interrupted"
    assert stopped["stopped"] == [asked["answerId"]]
    node = stopped["tree"]["nodes"][asked["answerId"]]
    assert (node["status"], node["content"], node["metadata"]["stopped"], node.get("error")) == ("complete", "t0 t1 t2 ", True, None)
    assert told(llm) == [("user", "Hello?")]
    again = await chat.post("generate", nodeId=asked["answerId"], inputs={"model": "echo-2-0"})
    assert again["tree"]["nodes"][again["answerId"]]["parentId"] == asked["nodeId"]
    assert (await chat.whole(again["answerId"]))["content"] == "t0 t1 "
    assert told(llm) == [("user", "Hello?")]
    more = await chat.post("generate", nodeId=asked["answerId"], mode="continue", inputs={"model": "echo-1-0"})
    assert more["nodeId"] == asked["answerId"]
    node = await chat.whole(more["nodeId"])
    assert (node["content"], "stopped" in node["metadata"]) == ("t0 t1 t2 t0 ", False)
    assert told(llm)[:2] == [("user", "Hello?"), ("assistant", "t0 t1 t2 ")]


async def test_what_the_model_is_told(llm_backed: Server, llm: LlmServer) -> None:
    """The way that leads there, as it stands now, with nothing that is hidden, and no more than there is room for."""
    chat = await talk(llm_backed.http, "told", "echo-1-0")
    first = await chat.ask("One.")
    await chat.whole(first["answerId"])
    second = await chat.ask("Two.", first["answerId"])
    await chat.whole(second["answerId"])
    assert told(llm) == [("user", "One."), ("assistant", "t0 "), ("user", "Two.")]
    assert (await chat.put(f"node/{first['answerId']}/state", isEnabled=False)).status_code == 200
    assert (await chat.put(f"node/{first['nodeId']}/state", content="1.")).status_code == 200
    middle = await chat.post("generate", nodeId=second["nodeId"])
    await chat.whole(middle["answerId"])
    assert told(llm) == [("user", "1."), ("user", "Two.")]
    beside = await chat.post("generate", nodeId=first["nodeId"])
    await chat.whole(beside["answerId"])
    assert told(llm) == [("user", "1.")]
    small = await talk(llm_backed.http, "told", "echo-1-0", contextTokens=2)
    early = await small.post("message", role="user", content="A long story.")
    late = await small.ask("酒酒酒", early["nodeId"])
    node = await small.whole(late["answerId"])
    assert told(llm) == [("user", "酒酒酒")]
    assert node["metadata"]["generation"]["leftOut"] == 1


async def test_what_fails_is_an_error(llm_backed: Server) -> None:
    """With the service's own reason in the message, and what had come of the answer."""
    chat = await talk(llm_backed.http, "fails", "status-401")
    refused = await chat.ask("Hello?")
    node = await chat.whole(refused["answerId"])
    assert (node["status"], node["content"]) == ("error", "")
    assert "you get 401" in node["error"]["message"]
    cut = await chat.ask("Hello?", inputs={"model": "cut-2"})
    node = await chat.whole(cut["answerId"])
    assert (node["status"], node["content"]) == ("error", "t0 t1 ")
    missing = await talk(llm_backed.http, "fails", worldBook="user://none.json")
    node = await missing.whole((await missing.ask("Hello?"))["answerId"])
    assert "user://none.json" in node["error"]["message"]


async def test_two_at_once_and_what_goes_away_meanwhile(llm_backed: Server, llm: LlmServer) -> None:
    """Each has its own message; one of which the message, or the whole chat, is removed is stopped."""
    chat = await talk(llm_backed.http, "two", SLOW)
    one = await chat.ask("Hello?")
    two = await chat.post("generate", nodeId=one["nodeId"])
    for id_ in (one["answerId"], two["answerId"]):
        await chat.until(id_, content="t0 t1 t2 ")
    assert (await chat.put(f"node/{one['answerId']}/state", content="mine")).status_code == 409
    assert (await chat.put(f"node/{one['answerId']}/state", isEnabled=False)).status_code == 200
    await chat.post("generate", 409, nodeId=one["answerId"], mode="continue")
    await chat.post("message", 409, role="user", content="And?", parentId=one["answerId"], generate=True)
    assert (await chat.put("tree/edit", operations=[{"type": "prune", "nodeIds": [one["answerId"]]}])).status_code == 200
    await ended(llm_backed, one["promptId"], "interrupted")
    assert (await chat.node(two["answerId"]))["status"] == "generating"
    assert (await llm_backed.http.delete(f"/api/chat/sessions/{chat.id}", params={"projectId": "two"})).status_code == 204
    await ended(llm_backed, two["promptId"], "interrupted")
    lost = await talk(llm_backed.http, "three", SLOW)
    three = await lost.ask("Hello?")
    assert (await llm_backed.http.delete("/api/projects/three")).status_code == 204
    await ended(llm_backed, three["promptId"], "interrupted")


async def test_nothing_has_come_yet(llm_backed: Server) -> None:
    """A message that is being generated is not begun a second time, though it is empty; stopped, it is."""
    chat = await talk(llm_backed.http, "empty", "hang")
    asked = await chat.ask("Hello?")
    assert (await chat.node(asked["answerId"]))["content"] == ""
    await chat.post("generate", 409, nodeId=asked["answerId"], mode="continue")
    assert (await chat.post("stop", 200))["stopped"] == [asked["answerId"]]
    await chat.post("generate", nodeId=asked["answerId"], mode="continue", inputs={"model": "echo-1-0"})
    assert (await chat.whole(asked["answerId"]))["content"] == "t0 "


async def test_a_chat_that_cannot_be_read_for_a_while(llm_backed: Server) -> None:
    """Its answer is neither stopped nor lost: it is written as soon as that is possible, and who stops it need not wait for that."""
    chat = await talk(llm_backed.http, "away", SLOW)
    asked = await chat.ask("Hello?")
    await chat.until(asked["answerId"], content="t0 t1 t2 ")
    tree = llm_backed.folder / "data" / "users" / "default_user" / "projects" / "away" / "chats" / chat.id / "tree.json"
    content = tree.read_bytes()
    tree.unlink()
    tree.symlink_to(tree)  # as where there is no descriptor to be had: it is there, and cannot be opened
    params = {"projectId": "away"}
    assert (await llm_backed.http.post(f"/api/chat/{chat.id}/stop", params=params)).status_code == 403
    async with asyncio.timeout(PATIENCE_S):
        while not any("an answer cannot be written at present" in line for line in llm_backed.stderr):
            await asyncio.sleep(0.01)
    tree.unlink()
    tree.write_bytes(content)
    node = await chat.whole(asked["answerId"])
    assert (node["status"], node["content"], node["metadata"]["stopped"]) == ("complete", "t0 t1 t2 ", True)


async def test_an_answer_is_bounded(tmp_path: Path, llm: LlmServer) -> None:
    """In bytes, whether it streams or comes whole."""
    grown = GrowingAnswer(Answering("live", None, "answer"), 6)
    for number in range(3):
        chunk = {"type": "text_chunk", "content": "酒"}
        grown.take(InterfaceYield(interface_output_key="live", yielded_content=chunk, is_last_chunk=False))
        assert (grown.text, grown.is_too_long) == ("酒" * min(number + 1, 2), number == 2)
    async with serve(tmp_path, {"llm": channel(llm), "chat": {"answerBytes": 6}}) as server:
        chat = await talk(server.http, "long", "echo-9-0")
        for model in ("echo-9-0", "say-"):
            node = await chat.whole((await chat.ask("Hello?", inputs={"model": model}))["answerId"])
            assert (node["status"], "chat.answerBytes" in node["error"]["message"]) == ("error", True)
            assert len(node["content"]) <= 6


async def test_what_cannot_be_taken_up_holds_up_nobody(tmp_path: Path, llm: LlmServer) -> None:
    """One answer of which nobody knows any more where it is keeps neither the others nor the chats from their place."""
    async with serve(tmp_path, {"llm": channel(llm)}) as server:
        chat = await talk(server.http, "up", SLOW)
        asked = await chat.ask("Hello?")
        await server.stop(signal.SIGKILL)
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "tavernkeep.sqlite3")) as database, database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(chat_generations)")]
        said = ", ".join({"execution_id": "'0'", "project_id": "'a/b'"}.get(column, column) for column in columns)
        database.execute(f"INSERT INTO chat_generations ({', '.join(columns)}) SELECT {said} FROM chat_generations")
    async with serve(tmp_path, {"llm": channel(llm)}) as server:
        chat = attrs.evolve(chat, http=server.http)
        await chat.until(asked["answerId"], content="t0 t1 t2 ")
        assert (await chat.post("stop", 200))["stopped"] == [asked["answerId"]]


async def ended(server: Server, execution: str, status: str) -> None:
    async with server.http.stream("GET", f"/api/prompt/{execution}/events") as events:
        async for _ in events.aiter_lines():
            pass
    assert (await server.http.get(f"/api/prompt/{execution}")).json()["status"] == status


async def test_what_is_not_begun_leaves_nothing(llm_backed: Server) -> None:
    """Neither a message nor an execution: a stale version, a message that is not there, a workflow that is none, or none for a chat."""
    chat = await talk(llm_backed.http, "none", "echo-1-0")
    before = (await llm_backed.http.get("/api/history")).json()["executions"]
    await chat.post("generate", 409)
    await chat.post("message", 409, role="user", content="x", generate=True, version=7)
    await chat.post("message", 400, role="user", content="x", parentId="none", generate=True)
    await chat.post("message", 404, role="user", content="x", generate=True, workflowId="none")
    await chat.post("message", 422, role="user", content="x", generate=True, inputs={"none": 1})
    await chat.post("message", 422, role="user", content="x", generate=True, inputs=5)
    for id_, interface in (("deaf", {}), ("mute", {"interfaceInputs": {"message": {"key": "message", "dataFlowType": "STRING"}}})):
        stored = {"id": id_, "name": id_, "nodes": [], "edges": [], **interface}
        assert (await llm_backed.http.post("/api/projects/none/workflows", json=stored)).status_code == 201
        answer = await chat.post("message", 422, role="user", content="x", generate=True, workflowId=id_)
        assert id_ in answer["error"]
    said = await chat.post("message", role="user", content="x")
    assert list(said["tree"]["nodes"]) == [said["nodeId"]]
    assert said["tree"]["version"] == 1 + (await fresh_version(llm_backed))
    await chat.post("generate", 400, nodeId=said["nodeId"], mode="regenerate")
    await chat.post("stop", 200, nodeId="none")
    assert (await llm_backed.http.get("/api/history")).json()["executions"] == before


async def fresh_version(server: Server) -> int:
    chat = await talk(server.http, "fresh")
    version: int = (await server.http.get(f"/api/chat/{chat.id}/tree", params={"projectId": "fresh"})).json()["version"]
    return version


async def test_an_assistants_message_may_be_begun_by_hand(llm_backed: Server, llm: LlmServer) -> None:
    """The workflow writes it, or goes on after what stands in it; a project without a main workflow is answered by the shipped one."""
    chat = await talk(llm_backed.http, "hand", "echo-1-0")
    assert (await llm_backed.http.delete("/api/projects/hand/workflows/main")).status_code == 204
    said = await chat.post("message", role="user", content="Hello?")
    empty = await chat.post("message", role="assistant", content="", parentId=said["nodeId"], generate=True)
    assert empty["nodeId"] == empty["answerId"]
    assert (await chat.whole(empty["nodeId"]))["content"] == "t0 "
    assert told(llm) == [("user", "Hello?")]
    begun = await chat.post("message", role="assistant", parentId=said["nodeId"], content="Well, ", generate=True)
    assert (await chat.whole(begun["nodeId"]))["content"] == "Well, t0 "


async def test_a_character_begins(llm_backed: Server, llm: LlmServer) -> None:
    """Its first message and the others beside it, with their macros filled in, are at the roots; a file that is no card is named."""
    card = {
        "name": "Ada",
        "description": "{{char}} keeps the inn.",
        "first_mes": "Welcome, {{user}}!",
        "alternate_greetings": ["We are closed."],
    }
    await llm_backed.http.post("/api/fam/write-json", json={"logicalPath": "user://ada.json", "content": card})
    chat = await talk(llm_backed.http, "greets", "echo-1-0", character="user://ada.json", userName="Eve")
    tree = (await llm_backed.http.get(f"/api/chat/{chat.id}/tree", params={"projectId": "greets"})).json()
    roots = [tree["nodes"][id_] for id_ in tree["rootNodeIds"]]
    assert [(root["role"], root["content"], root["status"]) for root in roots] == [
        ("assistant", "Welcome, Eve!", "complete"),
        ("assistant", "We are closed.", "complete"),
    ]
    assert tree["activeLeafId"] == roots[0]["id"]
    await chat.whole((await chat.ask("Good evening.", roots[0]["id"]))["answerId"])
    assert told(llm) == [("system", "Ada keeps the inn."), ("assistant", "Welcome, Eve!"), ("user", "Good evening.")]
    for path in ("user://none.png", "user://../x"):
        body = {"projectId": "greets", "settings": {"character": path}}
        answer = await llm_backed.http.post("/api/chat/sessions", json=body)
        assert (answer.status_code, answer.json()["details"][0]["path"]) == (422, "settings.character")
    free = await llm_backed.http.post("/api/chat/sessions", json={"projectId": "greets", "settings": {"character": {"any": "thing"}}})
    assert free.status_code == 201


async def test_it_goes_on_after_the_server_was_killed(tmp_path: Path, llm: LlmServer) -> None:
    """The answer is generated anew into the same message, and nothing of it is there twice; one that nobody knows any more is an error."""
    config = {"llm": channel(llm)}
    async with serve(tmp_path, config) as server:
        chat = await talk(server.http, "kill", SLOW)
        one = await chat.ask("Hello?")
        await chat.until(one["answerId"], content="t0 t1 t2 ")
        await server.stop(signal.SIGKILL)
    seen = len(llm.requests)
    async with serve(tmp_path, config) as server:
        chat = attrs.evolve(chat, http=server.http)
        while len(llm.requests) == seen:
            await asyncio.sleep(0.02)
        node = await chat.until(one["answerId"], content="t0 t1 t2 ")
        assert (node["status"], node["metadata"]["generation"]["promptId"]) == ("generating", one["promptId"])
        assert (await chat.post("stop", 200))["stopped"] == [one["answerId"]]
        assert (await chat.node(one["answerId"]))["content"] == "t0 t1 t2 "
        two = await chat.ask("Hello?")
        await server.stop(signal.SIGKILL)
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "tavernkeep.sqlite3")) as database, database:
        assert database.execute("SELECT node_id FROM chat_generations").fetchall() == [(two["answerId"],)]
        database.execute("DELETE FROM execution_events")
        database.execute("DELETE FROM executions")
    async with serve(tmp_path, config) as server:
        chat = attrs.evolve(chat, http=server.http)
        assert (await chat.node(one["answerId"]))["status"] == "complete"
        node = await chat.whole(two["answerId"])
        assert (node["status"], "server was stopped" in node["error"]["message"]) == ("error", True)


async def test_whose_it_is(tmp_path: Path, llm: LlmServer) -> None:
    """Who asks runs it; a key needs the right to run workflows; who may not write in a project, or not any more, does not by this."""
    async with town(tmp_path, {"llm": channel(llm)}) as place:
        anna, bert = await place.person("anna"), await place.person("bert")
        await anna.http.post("/api/projects", json={"name": "inn"})
        await anna.http.put("/api/projects/inn/shares", json={"username": "bert", "access": "write"})
        theirs = await talk(bert.http, f"inn@{anna.uid}", SLOW)
        asked = await theirs.ask("Hello?")
        mine = Talk(anna.http, "inn", theirs.id)
        await mine.until(asked["answerId"], content="t0 t1 t2 ")
        assert (await anna.http.get(f"/api/prompt/{asked['promptId']}")).status_code == 404
        assert (await bert.http.get(f"/api/prompt/{asked['promptId']}")).status_code == 200
        async with place.with_key(await bert.key("project:read", "project:write")) as weak:
            await Talk(weak, theirs.project, theirs.id).post("generate", 403, nodeId=asked["nodeId"])
        await anna.http.delete("/api/projects/inn/shares", params={"username": "bert"})
        node = await mine.whole(asked["answerId"])
        assert (node["status"], "may not write" in node["error"]["message"]) == ("error", True)
        assert (await bert.http.get(f"/api/prompt/{asked['promptId']}")).json()["status"] == "interrupted"
        await anna.http.put("/api/projects/inn/shares", json={"username": "bert", "access": "read"})
        await theirs.post("generate", 403, nodeId=asked["nodeId"])
        assert len((await bert.http.get("/api/history")).json()["executions"]) == 1


@pytest.mark.parametrize("body", [{"mode": "guess"}, {"nodeId": 5}, {"version": "x"}])
async def test_what_is_no_question(llm_backed: Server, body: dict[str, Any]) -> None:
    """422 with the field."""
    chat = await talk(llm_backed.http, "wrong")
    assert (await chat.post("generate", 422, **body))["details"][0]["path"] == next(iter(body))


@pytest.mark.parametrize("others", [["{{description}}"] * 900, ["Hi"] * 1001])
async def test_a_character_that_greets_without_end_begins_no_chat(llm_backed: Server, others: list[str]) -> None:
    """What its greetings come to is bounded together, and so is their number: one card could fill the memory."""
    path = "user://library/SillyTavern/CharacterCard/Endless.json"
    card = {"name": "Endless", "description": "x" * 100_000, "first_mes": "Hi", "alternate_greetings": others}
    assert (await llm_backed.http.post("/api/fam/write-json", json={"logicalPath": path, "content": card})).is_success
    await llm_backed.http.post("/api/projects", json={"name": "endless"})
    body = {"projectId": "endless", "settings": {"character": path}}
    refused = await llm_backed.http.post("/api/chat/sessions", json=body)
    assert refused.status_code == 422, refused.text[:200]
