"""The demo model: no key, no network, and no mind; so that the first run shows something."""

import asyncio
import math
import re
import zlib
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from tavernkeep import Chunk
from tavernkeep.wire import dumps
from tavernkeep_nodes_llm.adapters.openai import response_of
from tavernkeep_nodes_llm.adapters.parts import functions_of, tool_call
from tavernkeep_nodes_llm.contracts import Channel, LlmRequest, LlmResponse

_INTRODUCTION: Final = "This is the demo model of tavernkeep, which needs no key and no network and only repeats: "
_NOTHING: Final = "you said nothing."
_LONGEST: Final = 500  # characters repeated
_DIMENSIONS: Final = 64
_DEEPEST: Final = 10  # level of a schema that is followed


@attrs.frozen
class DemoAdapter:
    """Says what it is, and repeats the last message.

    Attributes:
        delay_s: Between words, in seconds.
    """

    delay_s: float
    id: str = "demo"
    name: str = "Demo (no key, no network)"

    async def complete(self, request: LlmRequest, channel: Channel) -> LlmResponse:
        """See `LlmAdapter`."""
        return _response(request)

    async def stream(self, request: LlmRequest, channel: Channel) -> AsyncGenerator[Chunk | LlmResponse, None]:
        """See `LlmAdapter`."""
        response = _response(request)
        if response.choices:
            for index, call in enumerate(response.choices[0]["message"].get("tool_calls") or ()):
                yield Chunk("tool_call_chunk", {"index": index, **call})
        for word in _words(response.text):
            await asyncio.sleep(self.delay_s)
            yield Chunk("text_chunk", word)
        yield Chunk("usage_chunk", response.usage)
        yield response

    async def embed(self, model: str, texts: Sequence[str], channel: Channel) -> list[list[float]]:
        """See `LlmAdapter`: texts that share words are near each other, and nothing else is known of them."""
        return [_word_vector(text) for text in texts]

    async def models(self, channel: Channel) -> list[str]:
        """See `LlmAdapter`."""
        return [self.id]


def _word_vector(text: str) -> list[float]:
    vector = [0.0] * _DIMENSIONS
    for word in re.findall(r"\w+", text.casefold()):
        vector[zlib.crc32(word.encode()) % _DIMENSIONS] += 1
    length = math.hypot(*vector) or 1.0
    return [value / length for value in vector]


def _response(request: LlmRequest) -> LlmResponse:
    calls = _next_call(request)
    format_ = request.parameters.get("response_format")
    schema = (format_.get("json_schema") or {}).get("schema") if isinstance(format_, dict) else None
    if calls:
        text = ""
    elif isinstance(schema, dict):
        text = dumps(_example(schema, _last_text(request.messages))).decode()
    else:
        text = _INTRODUCTION + _last_text(_asked(request.messages)) + _tool_results(request.messages)
    prompt_tokens = sum(len(list(_words(str(message.get("content"))))) for message in request.messages)
    completion_tokens = len(list(_words(text)))
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
    return response_of(text, request.model or "demo", "tool_calls" if calls else "stop", usage, calls)


def _next_call(request: LlmRequest) -> list[dict[str, Any]]:
    """The demo calls each tool once, in their order, with what the last question suggests as arguments."""
    called = sum(len(message.get("tool_calls") or ()) for message in request.messages)
    functions = functions_of(request.parameters)
    if called >= len(functions):
        return []
    function = functions[called]
    arguments = _example(function.get("parameters") or {}, _last_text(_asked(request.messages)))
    return [tool_call(f"demo_{called}", str(function.get("name")), arguments)]


def _asked(messages: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    return [message for message in messages if message["role"] == "user"] or messages


def _tool_results(messages: Sequence[Mapping[str, Any]]) -> str:
    told = [f"{message.get('name')} gave {message['content']}" for message in messages if message["role"] == "tool"]
    return f" ({'; '.join(told)})" if told else ""


def _example(schema: Mapping[str, Any], text: str) -> Any:
    """A value that fits a simple JSON Schema: numbers and texts from the text, in their order, defaults and first choices else."""
    numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]
    return _fitting(schema, text, iter(numbers), 0)


def _fitting(schema: Mapping[str, Any], text: str, numbers: Iterator[float], depth: int) -> Any:
    kind = schema.get("type")
    if "const" in schema or schema.get("enum"):
        return schema["const"] if "const" in schema else schema["enum"][0]
    if kind == "object" and depth < _DEEPEST:
        wanted = schema.get("properties") or {}
        return {key: _fitting(inner, text, numbers, depth + 1) for key, inner in wanted.items() if "default" not in inner}
    if kind == "array" and depth < _DEEPEST:
        return [_fitting(schema.get("items") or {}, text, numbers, depth + 1)]
    if kind in ("number", "integer"):
        number = min(max(next(numbers, 0.0), schema.get("minimum", -math.inf)), schema.get("maximum", math.inf))
        return int(number) if kind == "integer" or number.is_integer() else number
    return {"boolean": True, "null": None, "object": {}, "array": []}.get(str(kind), text[: schema.get("maxLength", _LONGEST)])


def _words(text: str) -> Iterator[str]:
    return (match[0] for match in re.finditer(r"\S+\s*|\s+", text))


def _last_text(messages: Sequence[Mapping[str, Any]]) -> str:
    content = messages[-1].get("content") if messages else None
    if isinstance(content, list):
        content = " ".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    if not isinstance(content, str) or not content.strip():
        return _NOTHING
    return content if len(content) <= _LONGEST else content[:_LONGEST] + "…"
