"""`/api/llm/…`: channels and models, and that requests are routed through them."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from support.client import output_of, viewer
from support.deviations import raw_service
from support.llm import LlmServer
from support.protocols import Protocols, protocols
from support.server import Server

CHANNELS, MODELS = "/api/llm/channels", "/api/llm/models"
KEY = "sk-PLANTED-key-0123456789"


@pytest_asyncio.fixture
async def service() -> AsyncIterator[Protocols]:
    async with protocols() as running:
        yield running


async def add(server: Server, **changes: Any) -> dict[str, Any]:
    answer = await server.http.post(CHANNELS, json={"label": "mine", "baseUrl": "http://127.0.0.1:9", "apiKey": KEY} | changes)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_providers(server: Server) -> None:
    """The installed adapters."""
    assert {"id": "anthropic", "name": "Anthropic"} in (await server.http.get("/api/llm/providers")).json()


async def test_a_key_never_comes_back_whole(server: Server) -> None:
    """Only a hint, anywhere; a change that repeats the hint, or says nothing of it, keeps the key."""
    made = await add(server, customHeaders={"x-secret": "PLANTED-too"})
    hint = made["apiKey"]
    assert hint == "sk-P…6789"
    url = f"{CHANNELS}/{made['id']}"
    for body in ({"apiKey": hint}, {}, {"apiKey": ""}):
        changed = await server.http.put(url, json={"label": "new", "baseUrl": "http://127.0.0.1:9"} | body)
        assert (changed.status_code, changed.json()["apiKey"], changed.json()["label"]) == (200, hint, "new")
    other = await server.http.put(url, json={"label": "new", "baseUrl": "http://127.0.0.1:9", "apiKey": "sk-another-key-abcdefgh"})
    assert other.json()["apiKey"] == "sk-a…efgh"
    everything = (await server.http.get(CHANNELS)).text + (await server.http.get(url)).text + server.output()
    assert "PLANTED" not in everything
    for file in (server.folder / "data").glob("tavernkeep.sqlite3*"):
        assert b"PLANTED-key" not in file.read_bytes()
    assert (await server.http.delete(url)).json() == {"success": True, "id": made["id"]}
    assert (await server.http.get(url)).status_code == 404
    assert (await server.http.delete(url)).status_code == 404


@pytest.mark.parametrize("body", [{}, {"label": "", "baseUrl": "x"}, {"label": None, "baseUrl": "x"}, {"label": "x", "baseUrl": 5}])
async def test_what_is_no_channel(server: Server, body: Any) -> None:
    """422 with the place."""
    answer = await server.http.post(CHANNELS, json=body)
    assert answer.status_code == 422
    assert answer.json()["details"][0]["path"]


@pytest.mark.parametrize(
    ("field", "value", "unset"),
    [
        ("label", "new", None),
        ("baseUrl", "http://127.0.0.1:8", None),
        ("providerId", "deepseek", "absent"),
        ("adapterType", "anthropic", "absent"),
        ("supportedModels", ["m"], []),
        ("storageMode", "plaintext", "encrypted"),
        ("customHeaders", {"x": "…"}, {}),
        ("modelListEndpoint", "/list", "absent"),
        ("disabled", True, False),
        ("apiKey", "sk-a…efgh", ""),
    ],
)
async def test_any_field_of_a_channel_is_changed_alone(server: Server, field: str, value: Any, unset: Any) -> None:
    """All else stays; `null` unsets what may be left out."""
    made = await add(server, providerId="mine", supportedModels=["a"], customHeaders={"y": "PLANTED"}, modelListEndpoint="/m")
    url = f"{CHANNELS}/{made['id']}"
    sent = {"apiKey": "sk-another-key-abcdefgh", "customHeaders": {"x": "1"}}.get(field, value)
    changed = (await server.http.put(url, json={field: sent})).json()
    assert changed == made | {field: value}
    cleared = await server.http.put(url, json={field: None})
    if unset is None:
        assert (cleared.status_code, cleared.json()["details"][0]["path"]) == (422, field)
    else:
        assert cleared.json() == {key: item for key, item in (made | {field: unset}).items() if item != "absent"}
        created = await server.http.post(CHANNELS, json={"label": "mine", "baseUrl": "http://127.0.0.1:9", field: None})
        assert created.status_code == 201
        await server.http.delete(f"{CHANNELS}/{created.json()['id']}")
    await server.http.delete(url)


@pytest.mark.parametrize(
    ("fields", "speaks"),
    [
        ({"adapterType": "", "providerId": "deepseek"}, "openai"),
        ({"adapterType": "custom"}, "openai"),
        ({"adapterType": None, "providerId": "custom"}, "openai"),
        ({"adapterType": "OpenAI"}, "openai"),
        ({"providerId": "anthropic"}, "anthropic"),
        ({"adapterType": "anthropic", "providerId": "custom"}, "anthropic"),
    ],
)
async def test_a_service_of_no_known_kind_is_asked_as_most_are(
    server: Server, service: Protocols, fields: dict[str, Any], speaks: str
) -> None:
    """What stands in the fields stays as it was given."""
    made = await add(server, baseUrl=service.url, **fields)
    given = {key: value for key, value in fields.items() if value is not None}
    assert given.items() <= (await server.http.get(f"{CHANNELS}/{made['id']}")).json().items()
    ask = {"messages": [{"role": "user", "content": "hi"}], "activated_model_id": "echo"}
    async with viewer(server.ws_url) as client:
        payload = {"nodes": [{"id": "n", "fullType": "core:GenericLlmRequest", "inputs": ask}], "edges": []}
        assert output_of(await client.run(payload), "n")["responseText"] == "Good evening"
    assert service.seen[-1].path == {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}[speaks]
    await server.http.delete(f"{CHANNELS}/{made['id']}")


@pytest.mark.parametrize("where", ["/elsewhere/list", "v1/elsewhere/list", "{url}/v1/elsewhere/list?a=b"])
async def test_a_list_of_models_in_another_place(server: Server, where: str) -> None:
    """As an address or as a path below that of the channel; what the service tells of each stays, but never a key."""
    async with raw_service() as service:
        service.answer(f'{{"data": [{{"id": "a", "object": "thing", "owned_by": "me", "note": "{KEY}"}}]}}')
        made = await add(server, baseUrl=f"{service.url}/v1", modelListEndpoint=where.format(url=service.url))
        listed = (await server.http.get(f"{CHANNELS}/{made['id']}/list-models")).json()
        assert listed == [{"id": "a", "object": "model", "owned_by": "me", "note": "***"}]
        assert service.seen[0][0].startswith("GET /v1/elsewhere/list")
        await server.http.delete(f"{CHANNELS}/{made['id']}")


async def test_requests_go_through_the_users_channels(server: Server, llm: LlmServer) -> None:
    """The oldest enabled one that lists the model; with none the demo answers."""
    ask = {"messages": [{"role": "user", "content": "hi"}], "activated_model_id": "echo-2-0"}
    payload = {"nodes": [{"id": "n", "fullType": "core:GenericLlmRequest", "inputs": ask}], "edges": []}
    async with viewer(server.ws_url) as client:
        assert output_of(await client.run(payload), "n")["responseText"].startswith("This is the demo")
        off = await add(server, baseUrl=llm.url, disabled=True)
        other = await add(server, baseUrl=llm.url, supportedModels=["another"])
        right = await add(server, baseUrl=llm.url, supportedModels=["echo-2-0"], customHeaders={"x-from": "right"})
        messages = await client.run(payload)
        assert output_of(messages, "n")["responseText"] == "t0 t1 "
        assert llm.headers[-1]["authorization"] == f"Bearer {KEY}"
        assert llm.headers[-1]["x-from"] == "right"
        assert KEY not in str(messages)
    for made in (off, other, right):
        await server.http.delete(f"{CHANNELS}/{made['id']}")


@pytest.mark.parametrize("adapter", ["openai", "anthropic", "google", "ollama"])
async def test_models_of_a_service(server: Server, service: Protocols, adapter: str) -> None:
    """Asked of the service itself, over both addresses."""
    made = await add(server, baseUrl=service.url, adapterType=adapter)
    listed = (await server.http.get(f"{CHANNELS}/{made['id']}/list-models")).json()
    assert [(model["id"], model["object"]) for model in listed] == [("a", "model"), ("b", "model")]
    found = (await server.http.post(f"{CHANNELS}/{made['id']}/discover-models")).json()
    assert found == [{"name": model["id"], **model} for model in listed]
    await server.http.delete(f"{CHANNELS}/{made['id']}")


async def test_a_service_that_cannot_be_reached_is_502(server: Server) -> None:
    """With the reason."""
    made = await add(server)
    answer = await server.http.post(f"{CHANNELS}/{made['id']}/discover-models")
    assert answer.status_code == 502
    assert "cannot be reached" in answer.json()["error"]
    assert (await server.http.post(f"{CHANNELS}/none/discover-models")).status_code == 404
    await server.http.delete(f"{CHANNELS}/{made['id']}")


async def test_models(server: Server) -> None:
    """Added, read, changed, removed; an id may hold slashes."""
    body = {"modelId": "org/model:7b", "displayName": "Seven", "capabilities": ["chat"]}
    made = await server.http.post(MODELS, json=body)
    assert made.status_code == 201
    assert body.items() <= made.json().items()
    assert (await server.http.post(MODELS, json=body)).status_code == 409
    url = f"{MODELS}/{quote('org/model:7b', safe='')}"
    assert (await server.http.get(url)).json()["displayName"] == "Seven"
    assert (await server.http.put(url, json={"displayName": "7"})).json()["capabilities"] == ["chat"]
    assert (await server.http.put(url, json={"modelType": "car"})).status_code == 422
    assert [model["displayName"] for model in (await server.http.get(MODELS)).json()] == ["7"]
    assert (await server.http.put(url, json={"groupName": "g", "modelType": "embedding"})).json()["groupName"] == "g"
    for field in ("groupName", "modelType", "capabilities"):
        unset = await server.http.put(url, json={field: None})
    assert (unset.json().get("groupName"), unset.json()["modelType"], unset.json()["capabilities"]) == (None, "llm", [])
    assert (await server.http.put(url, json={"displayName": None})).status_code == 422
    assert (await server.http.delete(url)).json() == {"success": True, "modelId": "org/model:7b"}
    for method in ("GET", "DELETE"):
        assert (await server.http.request(method, url)).status_code == 404


@pytest.mark.parametrize("key", [f" {KEY}\n", f"bearer  {KEY}", f"{KEY}\r\n\t", f"\ufeff{KEY}\u200b \xa0"])
async def test_what_copying_brings_along_is_cut_off_a_key(server: Server, llm: LlmServer, key: str) -> None:
    """Blanks, line ends, what is invisible, a `Bearer`, of a key, a header, an address; a header replaces the adapter's in any case."""
    made = await add(server, baseUrl=f" {llm.url}/chat/completions \n", apiKey=key, customHeaders={" X-From ": " there\n"})
    ask = {"messages": [{"role": "user", "content": "hi"}], "activated_model_id": "echo-1-0"}
    payload = {"nodes": [{"id": "n", "fullType": "core:GenericLlmRequest", "inputs": ask}], "edges": []}
    async with viewer(server.ws_url) as client:
        assert output_of(await client.run(payload), "n")["responseText"] == "t0 "
        assert (llm.headers[-1]["authorization"], llm.headers[-1]["x-from"]) == (f"Bearer {KEY}", "there")
        body = {"label": "mine", "baseUrl": llm.url.removesuffix("/v1").replace("http", "HTTP"), "customHeaders": {"AUTHORIZATION": "Own"}}
        await server.http.put(f"{CHANNELS}/{made['id']}", json=body)
        assert output_of(await client.run(payload), "n")["responseText"] == "t0 "
        assert llm.headers[-1]["authorization"] == "Own"
    await server.http.delete(f"{CHANNELS}/{made['id']}")


@pytest.mark.parametrize(
    "body",
    [
        {"apiKey": f"{KEY}\n{KEY}"},
        {"apiKey": f"{KEY[:9]}\u2013{KEY}"},
        {"customHeaders": {"x": f"{KEY}\r\nx: y"}},
        {"customHeaders": {KEY + ":": "v"}},
        {"customHeaders": {"Content-Length": "5"}},
        {"baseUrl": " "},
    ],
)
async def test_a_key_that_no_header_can_carry_is_refused(server: Server, body: Any) -> None:
    """422 where it is typed in; the message says which character, and does not repeat the key."""
    answer = await server.http.post(CHANNELS, json={"label": "mine", "baseUrl": "http://127.0.0.1:9"} | body)
    assert (answer.status_code, answer.json()["details"][0]["path"].partition(".")[0]) == (422, next(iter(body)))
    assert "PLANTED" not in answer.text + server.output()
