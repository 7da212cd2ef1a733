"""What the server before the door to the database has written: it is migrated, and all of it is served and works.

`data/written_before.json` is what that server left when it had been asked over HTTP: its database as SQL, the files beside it, and what was
given to whoever asked. Of its migrations there is what was applied, without the models that aerich notes with each.
"""

import json
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from support.server import PATIENCE_S, Server, serve
from support.users import MULTIUSER, PASSWORD
from tavernkeep.clock import now

LEFT: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "written_before.json").read_text(encoding="utf-8"))
COMPLETE, FAILED = LEFT["ran"]


def lay_out(data: Path) -> None:
    """The data folder as it was left, today: sessions and invitations are not over."""
    for name, text in LEFT["files"].items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(text, encoding="utf-8")
    connection = sqlite3.connect(data / "tavernkeep.sqlite3")
    connection.executescript("\n".join(LEFT["sql"]))
    later = {"seen": now().isoformat(" "), "ends": (now() + timedelta(days=1)).isoformat(" ")}
    connection.execute("UPDATE sessions SET last_seen_at = :seen, expires_at = :ends", later)
    connection.execute("UPDATE login_tickets SET expires_at = :ends", later)
    connection.commit()
    connection.close()


@pytest_asyncio.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """The server, asked by the session that was open."""
    folder = tmp_path_factory.mktemp("before")
    lay_out(folder / "data")
    async with serve(folder, MULTIUSER) as running:
        running.http.cookies.update(LEFT["cookies"])
        yield running


async def got(server: Server, path: str) -> Any:
    """What is served."""
    answer = await server.http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_it_is_migrated_and_ready(server: Server) -> None:
    """By the migrations that are new."""
    assert "migration applied" in server.output()
    assert (await got(server, "/readyz"))["ready"]


async def test_logins_sessions_keys_and_invitations_are_good(server: Server) -> None:
    """Each lets in whom it let in."""
    mayor = (await got(server, "/api/auth/current"))["currentUser"]
    assert mayor["username"] == "mayor"
    assert [key["name"] for key in (await got(server, "/api/users/me/service-keys"))["keys"]] == ["robot"]
    async with httpx2.AsyncClient(base_url=server.url, timeout=PATIENCE_S, trust_env=False) as other:
        by_key = await other.get("/api/history", headers={"Authorization": f"Bearer {LEFT['key']}"})
        assert len(by_key.json()["executions"]) >= 2
        assert (await other.post("/api/auth/login", json={"username": "ada", "password": PASSWORD})).status_code == 200
        shared = await other.get("/api/projects")
        assert [project["id"] for project in shared.json()] == [f"inn@{mayor['uid']}"]
        body = {"username": "newcomer", "password": PASSWORD, "token": LEFT["invitation"]}
        assert (await other.post("/api/auth/register", json=body)).status_code == 201


async def test_executions_are_there_with_their_events(server: Server) -> None:
    """In the list, one by one, and for whoever follows them; one is run again."""
    listed = {entry["promptId"]: entry["status"] for entry in (await got(server, "/api/history"))["executions"]}
    assert listed.items() >= {COMPLETE: "complete", FAILED: "error"}.items()
    found = await got(server, f"/api/history/{COMPLETE}")
    assert found["execution"]["nodeStatus"]["n"]["output"] == {"merged_text": "a\nb"}
    assert [event["payload"]["seq"] for event in found["events"]] == [1, 2, 3, 4, 5]
    followed = (await server.http.get(f"/api/prompt/{COMPLETE}/events", headers={"Last-Event-ID": "2"})).text
    assert [line for line in followed.splitlines() if line.startswith("id: ")] == ["id: 3", "id: 4", "id: 5"]
    assert (await got(server, f"/api/history/{FAILED}"))["execution"]["errorInfo"]["nodes"][0]["slot"] == "a"
    assert (await server.http.post(f"/api/prompt/{COMPLETE}/rerun")).status_code == 200
    assert (await server.http.delete(f"/api/history/{FAILED}")).status_code == 204


async def test_what_is_sealed_is_opened(server: Server) -> None:
    """Credentials and channels; a channel is changed, and another sealed."""
    assert [entry["displayHint"] for entry in (await got(server, "/api/users/me/credentials"))["credentials"]] == [
        {"prefix": "0123", "suffix": "6789"}
    ]
    [channel] = await got(server, "/api/llm/channels")
    assert (channel["label"], channel["apiKey"]) == ("main", "sk-0…9abc")
    path = f"/api/llm/channels/{channel['id']}"
    # Nobody listens there: what is sealed has been opened by then.
    assert (await server.http.get(f"{path}/list-models")).status_code == 502
    changed = {"label": "other", "baseUrl": "http://127.0.0.1:9", "apiKey": "sk-another-key-x"}
    assert (await server.http.put(path, json=changed)).json()["apiKey"] == "sk-a…ey-x"


async def test_models_settings_and_the_audit_log_are_there(server: Server) -> None:
    """As they were, and written over."""
    assert [model["modelId"] for model in await got(server, "/api/llm/models")] == ["m"]
    assert await got(server, "/api/plugins/accounts/settings") == {"theme": "dark", "é": [1, 2.5, None]}
    assert (await server.http.post("/api/plugins/accounts/settings", json={"theme": "light"})).status_code == 200
    assert await got(server, "/api/plugins/accounts/settings") == {"theme": "light"}
    noted = {entry["action"] for entry in (await got(server, "/api/admin/audit"))["entries"]}
    assert {"user.registered", "key.created", "project.shared", "invitation.created"} <= noted


async def test_projects_workflows_and_chats_go_on(server: Server) -> None:
    """A workflow runs, a chat gets another message, and who it is shared with is known."""
    [greet] = [entry for entry in await got(server, "/api/projects/inn/workflows") if entry["name"] == "greet"]
    answer = await server.http.post(f"/api/projects/inn/workflows/{greet['id']}/run")
    assert answer.status_code == 200, answer.text
    said = f"/api/chat/{LEFT['chat']}/message?projectId=inn"
    assert (await server.http.post(said, json={"role": "user", "content": "again"})).status_code in (200, 201)
    tree = await got(server, f"/api/chat/{LEFT['chat']}/tree?projectId=inn")
    assert {"hello", "again"} <= {node.get("content") for node in tree["nodes"].values()}
    assert [share["username"] for share in (await got(server, "/api/projects/inn/shares"))["shares"]] == ["ada"]


async def test_nothing_went_wrong_meanwhile(server: Server) -> None:
    """In what the server printed."""
    assert "Traceback" not in server.output()
