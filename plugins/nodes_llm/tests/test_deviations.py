"""How the adapters understand services that deviate from their protocols, and what they do about what services refuse; over real HTTP."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from support.deviations import DEVIATIONS, Deviation, RawService, delta, raw_service, sse, whole
from tavernkeep import Chunk
from tavernkeep.wire import Invalid, dumps
from tavernkeep_nodes_llm.adapters.anthropic import AnthropicAdapter
from tavernkeep_nodes_llm.adapters.google import GoogleAdapter
from tavernkeep_nodes_llm.adapters.http import HttpAdapter
from tavernkeep_nodes_llm.adapters.ollama import OllamaAdapter
from tavernkeep_nodes_llm.adapters.openai import OpenAiAdapter
from tavernkeep_nodes_llm.adapters.parts import read_arguments
from tavernkeep_nodes_llm.adapters.reading import models_in
from tavernkeep_nodes_llm.adapters.urls import endpoint
from tavernkeep_nodes_llm.config import LlmConfig
from tavernkeep_nodes_llm.contracts import Channel, LlmError, LlmRequest, LlmResponse

ADAPTERS = {"openai": OpenAiAdapter, "anthropic": AnthropicAdapter, "google": GoogleAdapter, "ollama": OllamaAdapter}
KEY = "sk-PLANTED"
HELLO = {"role": "user", "content": "hi"}


@pytest_asyncio.fixture
async def service() -> AsyncIterator[RawService]:
    async with raw_service() as running:
        yield running


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(timeout=10, trust_env=False) as made:
        yield made


def made(name: str, client: httpx2.AsyncClient, **config: Any) -> HttpAdapter:
    return ADAPTERS[name](lambda _: client, LlmConfig(attempts=1, **config))


def channel(service: RawService, adapter: str = "openai", **more: Any) -> Channel:
    return Channel("the service", adapter, **{"base_url": service.url, "api_key": KEY, **more})


async def asked(adapter: HttpAdapter, request: LlmRequest, where: Channel, *, stream: bool) -> tuple[list[Chunk], LlmResponse]:
    if not stream:
        return [], await adapter.complete(request, where)
    pieces = [piece async for piece in adapter.stream(request, where)]
    assert isinstance(pieces[-1], LlmResponse)
    return [piece for piece in pieces if isinstance(piece, Chunk)], pieces[-1]


@pytest.mark.parametrize("row", DEVIATIONS, ids=lambda row: row.name)
async def test_a_deviation_is_understood(row: Deviation, service: RawService, client: httpx2.AsyncClient) -> None:
    """As the table has it; what is streamed is what the whole says."""
    service.answer(row.body, row.status, row.content_type)
    asking = asked(made(row.adapter, client), LlmRequest("m", [HELLO]), channel(service, row.adapter), stream=row.stream)
    if row.error is not None:
        with pytest.raises(LlmError, match=row.error) as failure:
            await asking
        assert "\n" not in str(failure.value)
        assert KEY not in str(failure.value)
        return
    chunks, response = await asking
    assert response.choices is not None
    message = response.choices[0]["message"]
    assert (response.text, response.reasoning, message["content"]) == (row.text, row.reasoning, row.text)
    assert tuple((call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls", ())) == row.calls
    assert (tuple(response.images or ()), tuple(response.unread or ())) == (row.images, row.unread)
    assert response.to_output().get("images") == (list(row.images) or None)
    ids = [call["id"] for call in message.get("tool_calls", ())]
    assert len(set(filter(None, ids))) == len(row.calls)
    if row.stream:
        assert "".join(chunk.content for chunk in chunks if chunk.type == "text_chunk") == (row.streamed or row.text)
        told = [chunk.content["reasoning"] for chunk in chunks if chunk.type == "custom" and "reasoning" in chunk.content]
        assert "".join(told) == (row.reasoning or "")


ERRORS = [
    ({"error": {"message": "busy", "code": 503}}, True),
    ({"error": {"message": "busy", "status": "RESOURCE_EXHAUSTED"}}, True),
    ({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, True),
    ({"error": {"message": "busy", "code": "429"}}, True),
    ({"choices": [{"error": {"code": 502, "message": "busy"}}]}, True),
    ([{"error": {"code": 500, "message": "busy"}}], True),
    ({"error": {"message": "busy", "code": 401}}, False),
    ({"error": {"message": "busy", "type": "invalid_request_error"}}, False),
    ({"error": "busy"}, False),
    ({"error": {"message": "busy", "code": 503, "retry_after": 3600}}, False),
    ({"error": {"code": 429, "message": "busy", "details": [{"retryDelay": "0s"}]}}, True),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("error", "again"), ERRORS)
async def test_an_error_in_an_answer_is_tried_again_as_its_status_is(
    error: Any, again: bool, stream: bool, service: RawService, client: httpx2.AsyncClient
) -> None:
    """By its number or its name, in whatever form it comes, when nothing of an answer has come; and as late as it asks."""
    service.answer(dumps(error) if not stream else sse(error))
    service.answer(dumps(RIGHT["openai"]))
    adapter = ADAPTERS["openai"](lambda _: client, LlmConfig(attempts=2, retry_wait_s=0))
    asking = asked(adapter, LlmRequest("m", [HELLO]), channel(service), stream=stream)
    if again:
        assert (await asking)[1].text == "Hi"
    else:
        with pytest.raises(LlmError, match="reported an error: busy"):
            await asking
    assert len(service.seen) == 1 + again


@pytest.mark.parametrize("stream", [True, False])
async def test_a_field_that_is_refused_inside_of_an_answer(stream: bool, service: RawService, client: httpx2.AsyncClient) -> None:
    """Is left out as one that is refused by the status."""
    service.answer(sse({"error": {"code": 400, "message": "Unknown field: seed"}}))
    service.answer(dumps(RIGHT["openai"]))
    assert (await asked(made("openai", client), LlmRequest("m", [HELLO], {"seed": 1}), channel(service), stream=stream))[1].text == "Hi"
    assert "seed" not in service.seen[1][2]


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_is_bounded_while_it_is_read(stream: bool, service: RawService, client: httpx2.AsyncClient) -> None:
    """In all, and each event of it; an error is cut."""
    service.answer(sse(delta(content="x" * 5000)))
    with pytest.raises(LlmError, match=r"maxAnswerBytes|in one piece"):
        await asked(made("openai", client, max_answer_bytes=1000), LlmRequest("m", [HELLO]), channel(service), stream=stream)
    service.answers.clear()
    service.answer("x" * 1_000_000, 400)
    with pytest.raises(LlmError) as failure:
        await asked(made("openai", client), LlmRequest("m", [HELLO]), channel(service), stream=stream)
    assert len(str(failure.value)) < 600


REFUSED = [
    ("openai", {"temperature": 1, "seed": 7}, "Unsupported value: 'temperature' does not support 1", {"seed": 7}),
    ("openai", {"max_tokens": 5}, "Use 'max_completion_tokens', not 'max_tokens'", {"max_completion_tokens": 5}),
    ("anthropic", {"temperature": 1, "top_k": 5, "max_tokens": 5}, "top_k: not allowed", {"temperature": 1, "max_tokens": 5}),
    ("ollama", {"seed": 5, "temperature": 1}, "option seed is unknown", {"options": {"temperature": 1}}),
    ("google", {"seed": 5, "top_k": 3}, "generation_config.top_k is unknown", {"generationConfig": {"seed": 5}}),
]
RIGHT = {
    "openai": whole(content="Hi"),
    "anthropic": {"type": "message", "content": [{"type": "text", "text": "Hi"}]},
    "ollama": {"message": {"content": "Hi"}, "done": True},
    "google": {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]},
}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("name", "parameters", "said", "sent"), REFUSED)
async def test_a_field_that_is_refused_is_left_out_from_then_on(
    name: str, parameters: Any, said: str, sent: Any, stream: bool, service: RawService, client: httpx2.AsyncClient
) -> None:
    """One more try without it, or under the name that is wanted; remembered for the channel and the model."""
    adapter, where, request = made(name, client), channel(service, name), LlmRequest("m", [HELLO], parameters)
    service.answer(dumps({"error": {"message": said}}), 400)
    service.answer(dumps(RIGHT[name]))
    for _ in range(2):
        assert (await asked(adapter, request, where, stream=stream))[1].text == "Hi"
    assert len(service.seen) == 3
    for _, _, body in service.seen[1:]:
        assert {
            key: value for key, value in body.items() if key not in ("model", "messages", "contents", "stream", "stream_options")
        } == sent
    service.answers[:] = []
    service.answer(dumps({"error": "no such model m"}), 400)
    with pytest.raises(LlmError, match="no such model"):
        await adapter.complete(request, where)
    assert len(service.seen) == 4


KNOWN = [
    ("openai", "gpt-5-mini", {"temperature": 0.7, "top_p": 1, "max_tokens": 5}, {"max_completion_tokens": 5}),
    ("openai", "openai/o3", {"temperature": 0.7, "seed": None}, {}),
    ("openai", "gpt-4o", {"temperature": 0.7, "max_tokens": 5}, {"temperature": 0.7, "max_tokens": 5}),
    ("anthropic", "claude-sonnet-4-5", {"temperature": 0.7, "top_p": 1}, {"temperature": 0.7, "max_tokens": 4096}),
    ("anthropic", "claude-3-haiku", {"temperature": 0.7, "top_p": 1}, {"temperature": 0.7, "top_p": 1, "max_tokens": 4096}),
]


@pytest.mark.parametrize(("name", "model", "parameters", "sent"), KNOWN)
def test_what_is_known_to_be_refused_is_not_sent(name: str, model: str, parameters: Any, sent: Any, client: httpx2.AsyncClient) -> None:
    """Nor what is not set."""
    body = made(name, client).body(LlmRequest(model, [HELLO], parameters), stream=False)
    assert {key: value for key, value in body.items() if key not in ("model", "messages", "stream")} == sent


SYSTEM, GREETING = {"role": "system", "content": "Be kind."}, {"role": "assistant", "content": "Welcome! \n"}


@pytest.mark.parametrize("name", ["anthropic", "google"])
@pytest.mark.parametrize(
    ("messages", "wanted"),
    [
        ([SYSTEM], [("user", "Be kind.")]),
        ([SYSTEM, GREETING, HELLO], [("user", "Begin."), ("assistant", "Welcome! \n"), ("user", "hi")]),
        ([HELLO, {"role": "assistant", "content": " \n"}], [("user", "hi")]),
        ([{"role": "user", "content": [{"type": "text", "text": " "}, {"type": "text", "text": "hi"}]}], [("user", "hi")]),
    ],
)
def test_questions_become_such_as_the_service_takes(name: str, messages: Any, wanted: Any, client: httpx2.AsyncClient) -> None:
    """A system message alone, a greeting first, what says nothing."""
    body = made(name, client).body(LlmRequest("m", messages), stream=False)
    entries, content = (body["messages"], "content") if name == "anthropic" else (body["contents"], "parts")
    assert [(entry["role"].replace("model", "assistant"), entry[content][0]["text"]) for entry in entries] == wanted
    assert all(len(entry[content]) == 1 for entry in entries)


def test_the_beginning_of_an_answer_ends_in_no_blank(client: httpx2.AsyncClient) -> None:
    """Anthropic refuses that."""
    body = made("anthropic", client).body(LlmRequest("m", [HELLO, GREETING]), stream=False)
    assert body["messages"][-1]["content"] == [{"type": "text", "text": "Welcome!"}]


KEPT: dict[str, tuple[Any, Any]] = {
    "anthropic": (
        {
            "content": [
                {"type": "thinking", "thinking": "Hmm", "signature": "SIGNED"},
                {"type": "tool_use", "id": "1", "name": "a", "input": {}},
                {"type": "tool_use", "id": "2", "name": "b", "input": {}},
            ],
            "stop_reason": "tool_use",
        },
        lambda body: body["messages"][1]["content"][0]["signature"] == "SIGNED" and len(body["messages"][2]["content"]) == 2,
    ),
    "google": (
        {
            "candidates": [
                {"content": {"parts": [{"functionCall": {"name": "a"}, "thoughtSignature": "SIGNED"}, {"functionCall": {"name": "b"}}]}}
            ]
        },
        lambda body: (
            body["contents"][1]["parts"][0]["thoughtSignature"] == "SIGNED"
            and [part["functionResponse"]["name"] for part in body["contents"][2]["parts"]] == ["a", "b"]
        ),
    ),
    "openai": (
        whole(reasoning_content="Hmm", tool_calls=[{"function": {"name": "a"}}, {"function": {"name": "b"}}]),
        lambda body: body["messages"][1]["reasoning_content"] == "Hmm",
    ),
    "ollama": (
        {"message": {"thinking": "Hmm", "tool_calls": [{"function": {"name": "a"}}, {"function": {"name": "b"}}]}, "done": True},
        lambda body: body["messages"][1]["thinking"] == "Hmm",
    ),
}


@pytest.mark.parametrize("name", KEPT)
async def test_what_a_service_needs_back_is_kept_through_a_tool_loop(name: str, service: RawService, client: httpx2.AsyncClient) -> None:
    """Signatures and thoughts with the calls; the results of calls that were made together stand together."""
    answer, is_kept = KEPT[name]
    service.answer(dumps(answer))
    adapter, where = made(name, client), channel(service, name)
    response = await adapter.complete(LlmRequest("m", [HELLO]), where)
    assert response.choices is not None
    message = response.choices[0]["message"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "1"} for call in message["tool_calls"]]
    assert is_kept(adapter.body(LlmRequest("m", [HELLO, message, *results]), stream=False))


async def test_headers_are_those_of_the_channel(service: RawService, client: httpx2.AsyncClient) -> None:
    """One of the channel's replaces the adapter's whatever its case; a stored one is trimmed; one that cannot be sent is not shown."""
    service.answer(dumps(RIGHT["openai"]))
    adapter = made("openai", client)
    await adapter.complete(LlmRequest("m", [HELLO]), channel(service, api_key=KEY + "\n"))
    await adapter.complete(LlmRequest("m", [HELLO]), channel(service, headers={"AUTHORIZATION": " Own\n"}))
    assert [headers["authorization"] for _, headers, _ in service.seen] == [f"Bearer {KEY}", "Own"]
    for key, headers in ((f"{KEY}\n{KEY}", {}), (KEY, {"x": f"{KEY}\u2013"}), (KEY, {f"{KEY}:": "x"})):
        with pytest.raises(LlmError, match="cannot be sent") as failure:
            await adapter.complete(LlmRequest("m", [HELLO]), channel(service, api_key=key, headers=headers))
        assert "PLANTED" not in repr(failure.value)


async def test_a_key_in_an_address_is_not_shown(service: RawService, client: httpx2.AsyncClient) -> None:
    """Nor a password, in whatever form a service repeats them."""
    base_url = service.url.replace("//", "//me:PLANTED%2Bone@") + "/v1?api_key=PLANTED-two"
    service.answer("No /v1/chat/completions?api_key=PLANTED-two for me:PLANTED+one", 404, "text/plain")
    with pytest.raises(LlmError, match=r"No /v1/chat/completions\?api_key=\*\*\* for me:\*\*\*") as failure:
        await made("openai", client).complete(LlmRequest("m", [HELLO]), channel(service, base_url=base_url, api_key=""))
    assert "PLANTED" not in repr(failure.value)


async def test_a_redirect_is_followed_to_the_same_host_or_named(service: RawService, client: httpx2.AsyncClient) -> None:
    """The question goes with it, the key to nobody else."""
    service.answer("", 301, Location="/v2/chat?PLANTED")
    service.answer(dumps(RIGHT["openai"]))
    assert (await made("openai", client).complete(LlmRequest("m", [HELLO]), channel(service))).text == "Hi"
    assert service.seen[1][0] == "POST /v2/chat?PLANTED HTTP/1.1"
    assert service.seen[1][2]["messages"] == [HELLO]
    service.answers[:] = []
    service.answer("", 307, Location=f"http://elsewhere.example/v1/chat?key={KEY}")
    with pytest.raises(LlmError, match=r"307 and leads to http://elsewhere\.example/v1/chat; if") as failure:
        await made("openai", client).complete(LlmRequest("m", [HELLO]), channel(service))
    assert KEY not in str(failure.value)


@pytest.mark.parametrize(
    ("base_url", "address"),
    [
        (" https://there/v1/ \n", "https://there/v1/models"),
        ("https://there", "https://there/v1/models"),
        ("HTTPS://there/v1/chat/completions", "https://there/v1/models"),
        ("https://there/api/v3/Chat/Completions/", "https://there/api/v3/models"),
        ("https://there/v1/models", "https://there/v1/models"),
        ("localhost:5000", "http://localhost:5000/v1/models"),
        ("10.0.0.1:5000/v1", "http://10.0.0.1:5000/v1/models"),
        ("there/v1", "https://there/v1/models"),
        ("https://there/x?api-version=2", "https://there/x/models?api-version=2"),
    ],
)
def test_base_urls_as_people_write_them(base_url: str, address: str) -> None:
    """With blanks, with or without the path, with the whole endpoint, in any case, without a scheme."""
    assert endpoint(base_url, "/models", OpenAiAdapter.default_path, OpenAiAdapter.endpoints) == address


@pytest.mark.parametrize(
    "listed",
    [
        {"data": [{"id": "b"}, {"id": "a"}]},
        ["b", "a"],
        [{"name": "models/b"}, {"model": "a"}],
        {"models": [{"name": "b", "id": None}, {"slug": "a"}]},
        {"data": {"models": ["a", "b"]}},
        {"object": "list", "result": ["a", "b", "b"]},
    ],
)
def test_lists_of_models(listed: Any) -> None:
    """In any of the known shapes."""
    assert [model["id"] for model in models_in(listed)] == ["a", "b"]


def test_what_is_no_list_of_models() -> None:
    """`null` is an empty one, anything else is refused."""
    assert models_in(None) == models_in({"data": None}) == models_in([]) == []
    for other in ({"ok": 1}, "a", 5, {"data": "a"}, [None], [{}], [[]]):
        with pytest.raises(ValueError, match=r"list of models|no name"):
            models_in(other)


def test_arguments_of_a_tool() -> None:
    """An object, its JSON, or the JSON of that; what is neither is said, so that no tool runs with nothing."""
    for given in ({"x": 1}, '{"x": 1}', '"{\\"x\\": 1}"'):
        assert read_arguments({"function": {"arguments": given}}) == {"x": 1}
    for nothing in (None, "", " "):
        assert read_arguments({"function": {"arguments": nothing}}) == {}
    for wrong in ("{x: 1}", "[1]", "5", '{"x"', [1]):
        with pytest.raises(Invalid):
            read_arguments({"function": {"arguments": wrong}})
