"""Each LLM adapter, over real HTTP, against a local service that speaks its protocol."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from support.protocols import ARGUMENTS, WORDS, Protocols, protocols
from tavernkeep import Chunk
from tavernkeep.testing import PATIENCE_S
from tavernkeep.wire import loads
from tavernkeep_nodes_llm.adapters.anthropic import AnthropicAdapter
from tavernkeep_nodes_llm.adapters.google import GoogleAdapter
from tavernkeep_nodes_llm.adapters.http import HttpAdapter
from tavernkeep_nodes_llm.adapters.ollama import OllamaAdapter
from tavernkeep_nodes_llm.adapters.openai import OpenAiAdapter
from tavernkeep_nodes_llm.config import LlmConfig
from tavernkeep_nodes_llm.contracts import Channel, LlmError, LlmRequest, LlmResponse

ADAPTERS = {"openai": OpenAiAdapter, "anthropic": AnthropicAdapter, "google": GoogleAdapter, "ollama": OllamaAdapter}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
KEY = "sk-PLANTED"
PICTURE = "data:image/png;base64,iVBORw0KGgo="
TOOL = {"type": "function", "function": {"name": "weather", "description": "Tells it.", "parameters": {"type": "object", "properties": {}}}}


@pytest_asyncio.fixture
async def service() -> AsyncIterator[Protocols]:
    async with protocols() as running:
        yield running


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(timeout=10, trust_env=False) as made:
        yield made


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest, client: httpx2.AsyncClient) -> HttpAdapter:
    return ADAPTERS[request.param](lambda _: client, LlmConfig(attempts=3, retry_wait_s=0.001))


def channel(adapter: HttpAdapter, service: Protocols) -> Channel:
    return Channel("the service", adapter.id, service.url, KEY, headers={"x-extra": "1"})


def request(model: str = "echo", *messages: dict[str, Any], **parameters: Any) -> LlmRequest:
    return LlmRequest(model, messages or ({"role": "user", "content": "hi"},), parameters)


async def streamed(adapter: HttpAdapter, request_: LlmRequest, channel_: Channel) -> tuple[list[Chunk], LlmResponse]:
    chunks: list[Chunk] = []
    response = None
    async for piece in adapter.stream(request_, channel_):
        if isinstance(piece, Chunk):
            chunks.append(piece)
        else:
            response = piece
    assert response is not None
    return chunks, response


async def test_an_answer_in_one_piece_and_as_a_stream(adapter: HttpAdapter, service: Protocols) -> None:
    """The same text, usage, reason and choices, whatever the protocol; the stream comes word by word."""
    whole = await adapter.complete(request(), channel(adapter, service))
    chunks, last = await streamed(adapter, request(), channel(adapter, service))
    for response in (whole, last):
        assert response.text == "".join(WORDS)
        assert response.finish_reason == "stop"
        assert dict(response.usage or {}) == USAGE
        assert response.choices is not None
        assert response.choices[0]["message"]["content"] == "".join(WORDS)
        assert response.model == "echo"
    assert [chunk.content for chunk in chunks if chunk.type == "text_chunk"] == WORDS
    assert [chunk.content for chunk in chunks if chunk.type == "usage_chunk"] == [USAGE]


async def test_the_key_and_further_headers_are_sent(adapter: HttpAdapter, service: Protocols) -> None:
    """Each protocol has its own header for the key; none puts it into the address."""
    await adapter.complete(request(), channel(adapter, service))
    (seen,) = service.seen
    assert any(KEY in value for value in seen.headers.values()) or adapter.id == "ollama"
    assert seen.headers["x-extra"] == "1"
    assert KEY not in seen.path


async def test_tool_calls(adapter: HttpAdapter, service: Protocols) -> None:
    """In one piece and as a stream: the whole call in OpenAI's notation."""
    asked = request("tools", tools=[TOOL])
    whole = await adapter.complete(asked, channel(adapter, service))
    chunks, last = await streamed(adapter, asked, channel(adapter, service))
    for response in (whole, last):
        assert response.choices is not None
        (call,) = response.choices[0]["message"]["tool_calls"]
        assert (call["type"], call["function"]["name"]) == ("function", "weather")
        assert loads(call["function"]["arguments"]) == ARGUMENTS
        assert response.finish_reason == "tool_calls"
    told = [chunk.content for chunk in chunks if chunk.type == "tool_call_chunk"]
    assert "".join(part["function"].get("arguments") or "" for part in told).replace(" ", "") == '{"city":"Ford"}'
    assert "weather" in str(service.seen[0].body["tools"])


CONVERSATION: tuple[dict[str, Any], ...] = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}],
    },
    {"role": "tool", "tool_call_id": "c1", "name": "look", "content": "a cat"},
    {"role": "user", "content": "Thanks"},
)
IMAGE = PICTURE.partition(",")[2]
WANTED: dict[str, Any] = {
    "openai": lambda body: body["messages"] == list(CONVERSATION),
    "anthropic": lambda body: (
        body["system"] == "Be brief."
        and body["messages"]
        == [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}},
                ],
            },
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "look", "input": {"at": 1}}]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "a cat"}, {"type": "text", "text": "Thanks"}],
            },
        ]
    ),
    "google": lambda body: (
        body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
        and body["contents"]
        == [
            {"role": "user", "parts": [{"text": "What is this?"}, {"inlineData": {"mimeType": "image/png", "data": IMAGE}}]},
            {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {"at": 1}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "look", "response": {"result": "a cat"}}}]},
            {"role": "user", "parts": [{"text": "Thanks"}]},
        ]
    ),
    "ollama": lambda body: (
        body["messages"]
        == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is this?", "images": [IMAGE]},
            {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "look", "arguments": {"at": 1}}}]},
            {"role": "tool", "content": "a cat", "tool_name": "look"},
            {"role": "user", "content": "Thanks"},
        ]
    ),
}


async def test_conversations_with_pictures_and_tools_are_translated(adapter: HttpAdapter, service: Protocols) -> None:
    """System messages, pictures, tool calls and their results go where the protocol wants them."""
    await adapter.complete(request("echo", *CONVERSATION), channel(adapter, service))
    assert WANTED[adapter.id](service.seen[0].body), service.seen[0].body


async def test_parameters_go_under_the_protocols_names(adapter: HttpAdapter, service: Protocols) -> None:
    """Temperature, limits, seeds, stops."""
    await adapter.complete(request(temperature=0.5, max_tokens=9, seed=7, stop="END"), channel(adapter, service))
    body = service.seen[0].body
    found = {
        "openai": lambda: (body["temperature"], body["max_tokens"], body["seed"], body["stop"]),
        "anthropic": lambda: (body["temperature"], body["max_tokens"], 7, body["stop_sequences"][0]),
        "google": lambda: (
            *(body["generationConfig"][key] for key in ("temperature", "maxOutputTokens", "seed")),
            body["generationConfig"]["stopSequences"][0],
        ),
        "ollama": lambda: tuple(body["options"][key] for key in ("temperature", "num_predict", "seed", "stop")),
    }[adapter.id]()
    assert found == (0.5, 9, 7, "END")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "mention", "retryable"),
    [
        ("status-400", "answered 400: you get status-400", False),
        ("status-401", "answered 401: you get status-401", False),
        ("status-429", "answered 429: you get status-429", True),
        ("status-500", "answered 500: you get status-500", True),
        ("garbage", "not of its protocol|broke off|no event stream", None),
        ("other", "not of its protocol|broke off|no event stream", None),
    ],
)
async def test_errors_say_what_the_service_said(
    adapter: HttpAdapter, service: Protocols, model: str, mention: str, retryable: bool | None, stream: bool
) -> None:
    """With the status and the message of its body; what may pass is tried again."""
    ask = (
        streamed(adapter, request(model), channel(adapter, service))
        if stream
        else adapter.complete(request(model), channel(adapter, service))
    )
    with pytest.raises(LlmError, match=mention) as error:
        await ask
    if retryable is not None:
        assert error.value.retryable is retryable
        assert len(service.seen) == (3 if retryable else 1)
    assert KEY not in str(error.value)


@pytest.mark.parametrize(("model", "mention"), [("cut", "broke off"), ("late-error", "overloaded in the middle")])
async def test_a_stream_that_does_not_end_well(adapter: HttpAdapter, service: Protocols, model: str, mention: str) -> None:
    """What came is given; then the failure, and no second request."""
    seen: list[Any] = []

    async def read() -> None:
        async for piece in adapter.stream(request(model), channel(adapter, service)):
            seen.append(piece)  # noqa: PERF401 - what came before the failure counts

    with pytest.raises(LlmError, match=mention):
        await read()
    assert all(isinstance(piece, Chunk) for piece in seen)
    assert not seen or len(service.seen) == 1


async def test_a_busy_service_is_asked_again(adapter: HttpAdapter, service: Protocols) -> None:
    """After `Retry-After`, with and without a stream."""
    assert (await adapter.complete(request("flaky"), channel(adapter, service))).text == "".join(WORDS)
    assert len(service.seen) == 3
    service.seen.clear()
    assert (await streamed(adapter, request("flaky"), channel(adapter, service)))[1].text == "".join(WORDS)


async def test_cancelling_closes_the_connection(adapter: HttpAdapter, service: Protocols) -> None:
    """The service sees it go."""
    asking = asyncio.create_task(adapter.complete(request("hang"), channel(adapter, service)))
    await service.asked.wait()
    asking.cancel()
    async with asyncio.timeout(PATIENCE_S):
        await service.disconnected.wait()


async def test_embeddings(adapter: HttpAdapter, service: Protocols) -> None:
    """A vector for each text, in their order; where a protocol has none, that is said."""
    if adapter.id == "anthropic":
        with pytest.raises(LlmError, match="make no embeddings"):
            await adapter.embed("echo", ["a"], channel(adapter, service))
        return
    assert await adapter.embed("echo", ["a", "bcd"], channel(adapter, service)) == [[1, 1], [3, 1]]


async def test_models(adapter: HttpAdapter, service: Protocols) -> None:
    """Their names, sorted."""
    assert [model["id"] for model in await adapter.models(channel(adapter, service))] == ["a", "b"]


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "video", "url": "x"}],
        [5],
        5,
        [{"type": "image_url"}],
        [{"type": "image_url", "image_url": {"url": "data:image/png;base64,***"}}],
    ],
)
async def test_parts_that_are_none(adapter: HttpAdapter, service: Protocols, content: Any) -> None:
    """A message with an unknown part fails with a reason; OpenAI's own protocol leaves that to the service."""
    if adapter.id == "openai":
        return
    with pytest.raises(LlmError, match=r"part|picture"):
        await adapter.complete(request("echo", {"role": "user", "content": content}), channel(adapter, service))


@pytest.mark.parametrize("name", ["google", "ollama"])
async def test_pictures_by_address_are_refused_where_they_cannot_be_sent(name: str, client: httpx2.AsyncClient, service: Protocols) -> None:
    """The message says what to do."""
    made = ADAPTERS[name](lambda _: client, LlmConfig())
    picture = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}
    with pytest.raises(LlmError, match="only as data: URLs"):
        await made.complete(request("echo", picture), channel(made, service))
