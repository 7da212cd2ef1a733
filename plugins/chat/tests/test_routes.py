"""`/api/chat/…`."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from support.application import started
from support.server import Server
from tavernkeep import ApiError, UserContext
from tavernkeep_chat.store import ChatStore
from tavernkeep_files.contracts import Files
from tavernkeep_projects.contracts import Projects

CHAT = "/api/chat"


async def begin(server: Server, project: str, **fields: Any) -> str:
    await server.http.post("/api/projects", json={"name": project})
    answer = await server.http.post(f"{CHAT}/sessions", json={"projectId": project, **fields})
    assert answer.status_code == 201, answer.text
    id_: str = answer.json()["id"]
    return id_


async def say(server: Server, project: str, chat: str, parent: str | None, content: str, role: str = "user") -> str:
    body = {"parentId": parent, "role": role, "content": content}
    answer = await server.http.post(f"{CHAT}/{chat}/message?projectId={project}", json=body)
    assert answer.status_code == 201, answer.text
    id_: str = answer.json()["nodeId"]
    return id_


async def tree(server: Server, project: str, chat: str) -> dict[str, Any]:
    found: dict[str, Any] = (await server.http.get(f"{CHAT}/{chat}/tree?projectId={project}")).json()
    return found


async def test_sessions(server: Server) -> None:
    """Begun, listed with the newest activity first, changed, removed."""
    first, second = await begin(server, "s", title="one", type="roleplay", tags=["x"]), await begin(server, "s")
    await say(server, "s", first, None, "hello there")
    listed = (await server.http.get(f"{CHAT}/sessions?projectId=s")).json()
    assert [session["id"] for session in listed] == [first, second]
    wanted = {
        "title": "one",
        "type": "roleplay",
        "tags": ["x"],
        "messageCount": 1,
        "branchCount": 1,
        "lastMessage": "hello there",
        "tokenCount": 3,
    }
    assert wanted.items() <= listed[0].items()
    changed = await server.http.put(f"{CHAT}/sessions/{first}/metadata?projectId=s", json={"title": "uno", "settings": {"a": 1}})
    assert changed.json() == {"success": True}
    assert (await server.http.get(f"{CHAT}/sessions?projectId=s")).json()[0]["title"] == "uno"
    assert (await server.http.delete(f"{CHAT}/sessions/{first}?projectId=s")).status_code == 204
    assert (await server.http.delete(f"{CHAT}/sessions/{first}?projectId=s")).status_code == 404
    assert (await server.http.get(f"{CHAT}/sessions?projectId=none")).status_code == 404
    assert (await server.http.get(f"{CHAT}/sessions")).status_code == 422


async def test_messages(server: Server) -> None:
    """An assistant's begins as generating; states, contents and the active leaf change; each write counts a version."""
    chat = await begin(server, "m")
    user = await say(server, "m", chat, None, "hi")
    answer = await say(server, "m", chat, user, "", "assistant")
    found = await tree(server, "m", chat)
    assert (found["version"], found["rootNodeIds"], found["activeLeafId"]) == (3, [user], answer)
    assert (found["nodes"][answer]["status"], found["nodes"][user]["children"]) == ("generating", [answer])
    url = f"{CHAT}/{chat}/node/{answer}/state?projectId=m"
    changed = (await server.http.put(url, json={"status": "complete", "content": "hello", "isEnabled": False})).json()
    node = changed["tree"]["nodes"][answer]
    assert (changed["success"], node["status"], node["content"], node["isEnabled"]) == (True, "complete", "hello", False)
    leaf = await server.http.put(f"{CHAT}/{chat}/active_leaf?projectId=m", json={"leafNodeId": user})
    assert leaf.json() == {"success": True, "activeLeafId": user}
    for method, path, body, status in (
        ("PUT", "active_leaf", {"leafNodeId": "none"}, 404),
        ("PUT", "node/none/state", {"content": "x"}, 404),
        ("POST", "message", {"parentId": "none", "role": "user", "content": "x"}, 400),
    ):
        assert (await server.http.request(method, f"{CHAT}/{chat}/{path}?projectId=m", json=body)).status_code == status
    assert (await tree(server, "m", chat))["version"] == 5


async def test_a_new_chat(server: Server) -> None:
    """Its tree has the version 1, nothing in it, and what its session says; a message moves the session's times."""
    chat = await begin(server, "n", title="one")
    (session,) = (await server.http.get(f"{CHAT}/sessions?projectId=n")).json()
    assert session["lastMessage"] == ""
    told = {"title": "one", "createdAt": session["createdAt"], "updatedAt": session["updatedAt"], "tokenCount": 0}
    assert await tree(server, "n", chat) == {
        "sessionId": chat,
        "version": 1,
        "nodes": {},
        "rootNodeIds": [],
        "activeLeafId": None,
        "metadata": told,
    }
    await say(server, "n", chat, None, "hello there")
    (later,) = (await server.http.get(f"{CHAT}/sessions?projectId=n")).json()
    assert later["updatedAt"] == later["lastActivity"] > session["updatedAt"]
    await server.http.put(f"{CHAT}/sessions/{chat}/metadata?projectId=n", json={"title": "uno"})
    metadata = (await tree(server, "n", chat))["metadata"]
    assert (metadata["title"], metadata["createdAt"], metadata["tokenCount"]) == ("uno", session["createdAt"], 3)


async def test_a_stale_write_is_refused(server: Server) -> None:
    """409 with the version that is there, and nothing changes."""
    chat = await begin(server, "v")
    await say(server, "v", chat, None, "one")
    message = {"parentId": None, "role": "user", "content": "late"}
    stale = await server.http.post(f"{CHAT}/{chat}/message?projectId=v&version=0", json=message)
    assert (stale.status_code, stale.json()["details"]) == (409, {"version": 2})
    assert (await server.http.post(f"{CHAT}/{chat}/message?projectId=v", json=message | {"version": 0})).status_code == 409
    assert (await server.http.post(f"{CHAT}/{chat}/message?projectId=v", json=message, headers={"if-match": "0"})).status_code == 409
    assert (await server.http.post(f"{CHAT}/{chat}/message?projectId=v", json=message, headers={"if-match": "x"})).status_code == 422
    assert (await server.http.post(f"{CHAT}/{chat}/message?projectId=v", json=message | {"version": 2})).status_code == 201
    assert len((await tree(server, "v", chat))["nodes"]) == 2


async def test_editing_is_all_or_nothing(server: Server) -> None:
    """An operation that would break the tree is 400, and those before it are not done either."""
    chat = await begin(server, "e")
    a = await say(server, "e", chat, None, "a")
    b = await say(server, "e", chat, a, "b")
    before = await tree(server, "e", chat)
    url = f"{CHAT}/{chat}/tree/edit?projectId=e"
    for bad in (
        {"type": "graft", "sourceNodeId": a, "targetNodeId": b},
        {"type": "graft", "sourceNodeId": a, "targetNodeId": a},
        {"type": "prune", "sourceNodeId": "none"},
        {"type": "delete"},
        {"type": "enable", "nodeIds": [a, "none"]},
    ):
        answer = await server.http.put(url, json={"operations": [{"type": "disable", "sourceNodeId": a}, bad]})
        assert answer.status_code == 400, bad
    assert await tree(server, "e", chat) == before
    assert (await server.http.put(url, json={"operations": [{"type": "explode"}]})).status_code == 422
    done = (await server.http.put(url, json={"operations": [{"type": "delete", "nodeIds": [a]}]})).json()
    assert (done["rootNodeIds"], done["nodes"][b].get("parentId")) == ([b], None)


async def test_out_and_in(server: Server) -> None:
    """JSON comes back as it went out, but for its ids; Markdown and text are the conversation."""
    chat = await begin(server, "x", title="Evening 晚")
    a = await say(server, "x", chat, None, "hi")
    await say(server, "x", chat, a, "one branch", "assistant")
    await say(server, "x", chat, a, "another", "assistant")
    url = f"{CHAT}/sessions/{chat}/export?projectId=x"
    out = await server.http.post(url, json={"format": "json"})
    assert out.headers["content-disposition"] == f'attachment; filename="chat-{chat}.json"'
    back = await server.http.post(f"{CHAT}/sessions/import", json={"projectId": "x", "data": out.json(), "format": "json"})
    assert (back.status_code, back.json()["title"]) == (201, "Evening 晚")
    again = await tree(server, "x", back.json()["id"])
    (root,) = again["rootNodeIds"]
    assert [again["nodes"][child]["content"] for child in again["nodes"][root]["children"]] == ["one branch", "another"]
    assert again["nodes"][again["activeLeafId"]]["content"] == "another"
    assert a not in again["nodes"]
    assert "**user**\n\nhi" in (await server.http.post(url, json={"format": "markdown"})).text
    assert (await server.http.post(url, json={"format": "text"})).text == "user: hi\n\nassistant: another\n"
    assert (await server.http.post(url, json={"format": "pdf"})).status_code == 422


LINES: list[dict[str, Any]] = [
    {"user_name": "You", "character_name": "Ada", "create_date": "x"},
    {"name": "Ada", "is_user": False, "mes": "Welcome!", "swipes": ["Hello!", "Welcome!"]},
    {"name": "You", "is_user": True, "mes": "酒 please"},
    {"name": "Note", "is_system": True, "mes": "It rains."},
]


async def test_sillytaverns_lines(server: Server) -> None:
    """Swipes are branches; the shown one goes on."""
    await begin(server, "st")
    data = "\n".join(json.dumps(line, ensure_ascii=False) for line in LINES)
    made = await server.http.post(f"{CHAT}/sessions/import", json={"projectId": "st", "data": data, "format": "sillytavern"})
    assert (made.status_code, made.json()["title"], made.json()["messageCount"]) == (201, "Ada", 4)
    found = await tree(server, "st", made.json()["id"])
    assert len(found["rootNodeIds"]) == 2
    path, here = [], found["activeLeafId"]
    while here:
        path.append((found["nodes"][here]["role"], found["nodes"][here]["content"]))
        here = found["nodes"][here].get("parentId")
    assert path[::-1] == [("assistant", "Welcome!"), ("user", "酒 please"), ("system", "It rains.")]


async def test_out_and_in_as_sillytaverns_lines(server: Server) -> None:
    """What was written here comes back equal, what came in goes out as it was, and what could not be read or written is named."""
    chat = await begin(server, "st2", title="Evening 晚", tags=["x"])
    a = await say(server, "st2", chat, None, "hi")
    await say(server, "st2", chat, a, "one", "assistant")
    b = await say(server, "st2", chat, a, "another", "assistant")
    c = await say(server, "st2", chat, b, "hidden")
    await server.http.put(f"{CHAT}/{chat}/node/{b}/state?projectId=st2", json={"status": "complete", "metadata": {"model": "m"}})
    await server.http.put(f"{CHAT}/{chat}/node/{c}/state?projectId=st2", json={"isEnabled": False})

    async def out(id_: str) -> Any:
        return await server.http.post(f"{CHAT}/sessions/{id_}/export?projectId=st2", json={"format": "sillytavern"})

    async def back(data: Any) -> Any:
        body = {"projectId": "st2", "data": data, "format": "sillytavern"}
        return (await server.http.post(f"{CHAT}/sessions/import", json=body)).json()

    def plain(found: dict[str, Any]) -> Any:
        kept = ("role", "content", "isEnabled", "createdAt", "metadata")
        nodes, numbers = found["nodes"], {id_: number for number, id_ in enumerate(found["nodes"])}
        return [({key: node.get(key) for key in kept}, [numbers[id_] for id_ in node["children"]]) for node in nodes.values()]

    written = await out(chat)
    assert written.headers["content-disposition"] == f'attachment; filename="chat-{chat}.jsonl"'
    assert "x-left-out" not in written.headers
    lines = [json.loads(line) for line in written.text.split("\n")[:-1]]
    assert [line.get("mes") for line in lines] == [None, "hi", "another", "hidden"]
    assert (lines[2]["swipes"], lines[2]["swipe_id"], lines[3]["is_system"]) == (["one", "another"], 1, True)
    again = await back(written.text)
    assert (again["title"], again["tags"], again["type"], "warnings" in again) == ("Evening 晚", ["x"], "chat", False)
    assert plain(await tree(server, "st2", again["id"])) == plain(await tree(server, "st2", chat))
    await say(server, "st2", chat, a, "a question")
    assert (await out(chat)).headers["x-left-out"] == "3 messages in branches that begin in another role than the one taken"
    given = "".join(json.dumps({"send_date": "June 19, 2024 2:20pm", **line}) + "\n" for line in LINES[1:])
    assert [json.loads(line) for line in (await out((await back(given))["id"])).text.split("\n")[:-1]] == [
        json.loads(line) | ({"swipe_id": 1} if "swipes" in line else {}) for line in given.split("\n")[:-1]
    ]
    assert (await back([{"mes": "taken apart"}]))["lastMessage"] == "taken apart"
    assert (await back(given + '{"mes": null}'))["warnings"] == ["line 4: left out: its mes is null, where a text belongs"]


async def test_a_chat_is_a_history_for_a_workflow(server: Server) -> None:
    """A file of SillyTavern's goes to a model as what is shown of it: nothing that is hidden, no swipe that was not chosen."""
    lines = [*LINES[:3], {"name": "You", "is_user": True, "is_system": True, "mes": "secret"}]
    data = "\n".join(json.dumps(line) for line in lines).encode()
    path = "user://histories/chat.jsonl"
    await server.http.post("/api/fam/upload/user%3A%2F%2Fhistories", files={"files": ("chat.jsonl", data)})
    node = {"id": "h", "fullType": "core:HistoryLoader", "configValues": {"historyResource": path}}
    id_ = (await server.http.post("/api/prompt", json={"nodes": [node], "edges": []})).json()["promptId"]
    async with server.http.stream("GET", f"/api/prompt/{id_}/events") as events:
        told = [json.loads(line[6:]) for line in (await events.aread()).decode().split("\n") if line.startswith("data: {")]
    (done,) = [event["payload"] for event in told if event.get("type") == "NODE_COMPLETE"]
    history = [("assistant", "Welcome!"), ("user", "酒 please")]
    assert [(message["role"], message["content"]) for message in done["output"]["historyMessages"]] == history


NODE = {"id": "a", "parentId": None, "role": "user", "content": "x", "createdAt": ""}


@pytest.mark.parametrize(
    "data",
    [
        5,
        {},
        {"tree": 5},
        {"tree": {"sessionId": "s", "nodes": {"a": NODE}, "rootNodeIds": []}},
        {"tree": {"sessionId": "s", "nodes": {}, "rootNodeIds": ["a"]}},
        {"tree": {"sessionId": "s", "nodes": {"a": NODE | {"children": ["a"]}}, "rootNodeIds": ["a"]}},
        {"tree": {"sessionId": "s", "nodes": {"a": NODE | {"role": "king"}}, "rootNodeIds": ["a"]}},
        {"tree": {"sessionId": "s", "nodes": {}, "rootNodeIds": []}, "session": {"title": 5}},
        "{",
    ],
)
async def test_what_is_no_chat(server: Server, data: Any) -> None:
    """400 with a reason, in either format; nothing is made."""
    await begin(server, "bad")
    count = len((await server.http.get(f"{CHAT}/sessions?projectId=bad")).json())
    for format_ in ("json", "sillytavern"):
        answer = await server.http.post(f"{CHAT}/sessions/import", json={"projectId": "bad", "data": data, "format": format_})
        assert answer.status_code == 400, (format_, answer.text)
    assert len((await server.http.get(f"{CHAT}/sessions?projectId=bad")).json()) == count


async def test_files_of_a_chat(server: Server) -> None:
    """Kept, listed, served at their address."""
    chat = await begin(server, "f")
    url = f"{CHAT}/{chat}/assets?projectId=f"
    made = (await server.http.post(url, files={"file": ("画 1.png", b"data")})).json()
    assert (made["success"], made["assetPath"]) == (True, "assets/画 1.png")
    assert (await server.http.get(made["url"])).content == b"data"
    assert [entry["url"] for entry in (await server.http.get(url)).json()] == [made["url"]]
    assert (await server.http.get(f"{CHAT}/{chat}/assets/none.png?projectId=f")).status_code == 404
    assert (await server.http.get(f"{CHAT}/{chat}/assets/..%2ftree.json?projectId=f")).status_code in (400, 404)


@pytest.mark.parametrize("id_", ["%2e%2e", "con", "a%5cb", "none"])
async def test_no_id_leads_elsewhere(server: Server, id_: str) -> None:
    """Of a chat, to read and to write."""
    await begin(server, "ids")
    for method, path in (("GET", "tree"), ("POST", "message"), ("PUT", "tree/edit"), ("GET", "assets")):
        body = {"role": "user", "content": "x", "operations": []} if method != "GET" else None
        answer = await server.http.request(method, f"{CHAT}/{id_}/{path}?projectId=ids", json=body)
        assert answer.status_code in (400, 404), (method, path)


def message(parent: str | None, *children: str) -> dict[str, Any]:
    return {"id": "x", "parentId": parent, "role": "user", "content": "Hi", "createdAt": "2026-01-01T00:00:00Z", "children": children}


@pytest.mark.parametrize(
    ("nodes", "roots", "leaf"),
    [
        ({"a": message("a", "a")}, [], "a"),
        ({"a": message("c", "b"), "b": message("a", "c"), "c": message("b", "a")}, ["b"], "c"),
        ({"a": message("none")}, [], "a"),
        ({"a": message(None, "none")}, ["a", "a", "none"], "none"),
        ({"a": message(None, "b", "b"), "b": message(None, "a")}, [], "b"),
    ],
)
async def test_a_tree_that_is_none_keeps_its_messages(server: Server, nodes: dict[str, Any], roots: list[str], leaf: str) -> None:
    """As somebody may have written into the file: it can be read, gone on with, given out and edited; a circle kept the server for ever."""
    chat = await begin(server, "odd")
    path = f"user://projects/odd/chats/{chat}/tree.json"
    planted = {"sessionId": chat, "version": 1, "nodes": nodes, "rootNodeIds": roots, "activeLeafId": leaf}
    assert (await server.http.post("/api/fam/write-json", json={"logicalPath": path, "content": planted})).is_success
    shown = await tree(server, "odd", chat)
    assert {id_: node["id"] for id_, node in shown["nodes"].items()} == {id_: id_ for id_ in nodes}
    listed = [*shown["rootNodeIds"], *(child for node in shown["nodes"].values() for child in node["children"])]
    assert sorted(listed) == sorted(nodes)
    assert all(child["parentId"] == id_ for id_, node in shown["nodes"].items() for child in map(shown["nodes"].get, node["children"]))
    await say(server, "odd", chat, "a", "And?")
    for form in ("json", "markdown", "text", "sillytavern"):
        assert (await server.http.post(f"{CHAT}/sessions/{chat}/export?projectId=odd", json={"format": form})).status_code == 200
    operations = [{"type": "graft", "sourceNodeId": "a"}, {"type": "delete", "sourceNodeId": "a"}]
    assert (await server.http.put(f"{CHAT}/{chat}/tree/edit?projectId=odd", json={"operations": operations})).status_code == 200


async def test_a_chat_that_is_deleted_while_it_changes_is_gone(tmp_path: Path) -> None:
    """Whatever else was to be changed: what was being written made it anew."""
    async with started(tmp_path, {"dataDir": str(tmp_path / "data")}) as app:
        user = UserContext("default_user", "")
        projects = app.services.get(Projects)
        await projects.create("gone", None, user)
        store = ChatStore(app.services.get(Files), projects)
        chat = (await store.create("gone", user)).id
        async with store.changing("gone", chat, None, user) as (tree, _):
            deleting = asyncio.create_task(store.delete("gone", chat, user))
            while not store.lock(chat)._waiters and not deleting.done():
                await asyncio.sleep(0)
            tree.add(store.message(None, "user", "Hi", None))
        await deleting
        assert await store.sessions("gone", user) == []
        with pytest.raises(ApiError) as refused:
            await store.update("gone", chat, {"title": "x"}, user)
        assert refused.value.status == 404
