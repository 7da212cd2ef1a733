"""The demo model: no key, no network, and no mind; so that the first run shows something."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from tavernkeep import Chunk
from tavernkeep_nodes_llm.contracts import Channel, LlmRequest, LlmResponse

DEMO_CHANNEL: Final = Channel("demo", "demo")
_INTRODUCTION: Final = "This is the demo model of tavernkeep, which needs no key and no network and only repeats: "
_NOTHING: Final = "you said nothing."
_LONGEST: Final = 500  # characters repeated


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
        for word in _words(response.text):
            await asyncio.sleep(self.delay_s)
            yield Chunk("text_chunk", word)
        yield Chunk("usage_chunk", response.usage)
        yield response


def _response(request: LlmRequest) -> LlmResponse:
    text = _INTRODUCTION + _last_text(request.messages)
    prompt_tokens = sum(len(list(_words(str(message.get("content"))))) for message in request.messages)
    completion_tokens = len(list(_words(text)))
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
    return LlmResponse(text, request.model or "demo", "stop", usage)


def _words(text: str) -> Iterator[str]:
    return (match[0] for match in re.finditer(r"\S+\s*|\s+", text))


def _last_text(messages: Sequence[Mapping[str, Any]]) -> str:
    content = messages[-1].get("content") if messages else None
    if isinstance(content, list):
        content = " ".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    if not isinstance(content, str) or not content.strip():
        return _NOTHING
    return content if len(content) <= _LONGEST else content[:_LONGEST] + "…"
