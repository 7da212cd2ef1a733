"""Ollama's own protocol, with a line of JSON for each piece of an answer.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import httpx2

from tavernkeep import Chunk
from tavernkeep.wire import loads
from tavernkeep_nodes_llm.adapters.http import Event, HttpAdapter
from tavernkeep_nodes_llm.adapters.openai import response_of
from tavernkeep_nodes_llm.adapters.parts import Text, arguments_of, parts_of, renamed, tool_call
from tavernkeep_nodes_llm.contracts import Channel, LlmRequest, LlmResponse

_OPTIONS: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "num_predict",
    "seed": "seed",
    "stop": "stop",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
}


class OllamaAdapter(HttpAdapter):
    """Talks to Ollama."""

    id = "ollama"
    name = "Ollama"

    def path(self, model: str, *, stream: bool) -> str:
        """See `HttpAdapter`."""
        return "/api/chat"

    def body(self, request: LlmRequest, *, stream: bool) -> dict[str, Any]:
        """See `HttpAdapter`."""
        parameters = request.parameters
        body: dict[str, Any] = {"model": request.model, "messages": [_message(message) for message in request.messages], "stream": stream}
        if options := renamed(parameters, _OPTIONS):
            body["options"] = options
        if parameters.get("tools"):
            body["tools"] = parameters["tools"]
        if isinstance(format_ := parameters.get("response_format"), dict):
            body["format"] = (format_.get("json_schema") or {}).get("schema") or "json"
        return body

    async def events(self, response: httpx2.Response) -> AsyncIterator[str]:
        """See `HttpAdapter`."""
        async for line in response.aiter_lines():
            if line.strip():
                yield line

    def whole(self, answer: Event, model: str) -> LlmResponse:
        """See `HttpAdapter`."""
        whole = _Answer(model)
        whole.take(answer)
        response = whole.finish(ended=True, raw=answer)
        if response is None:
            raise ValueError("the answer is not done")
        return response

    def answer(self, model: str) -> "_Answer":
        """See `HttpAdapter`."""
        return _Answer(model)

    def embedding_request(self, model: str, texts: Sequence[str]) -> tuple[str, dict[str, Any]]:
        """See `HttpAdapter`."""
        return "/api/embed", {"model": model, "input": list(texts)}

    def embeddings(self, answer: Event) -> list[list[float]]:
        """See `HttpAdapter`."""
        return [[float(x) for x in vector] for vector in answer["embeddings"]]

    async def models(self, channel: Channel) -> list[str]:
        """See `LlmAdapter`."""
        async with self._send("GET", "/api/tags", None, channel) as response:
            answer = loads(await response.aread())
        return sorted(str(entry["name"]) for entry in answer["models"])


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    texts, pictures = [], []
    for part in parts_of(message.get("content")):
        if isinstance(part, Text):
            texts.append(part.text)
        else:
            pictures.append(part.needs_data("Ollama")[1])
    made: dict[str, Any] = {"role": message["role"], "content": "\n".join(texts)}
    if pictures:
        made["images"] = pictures
    if calls := message.get("tool_calls"):
        made["tool_calls"] = [{"function": {"name": call["function"]["name"], "arguments": arguments_of(call)}} for call in calls]
    if message["role"] == "tool" and message.get("name"):
        made["tool_name"] = message["name"]
    return made


class _Answer:
    """Puts an answer together from its lines; an answer in one piece is a single line."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._texts: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._last: Event | None = None

    def take(self, event: Event) -> list[Chunk]:
        """The chunks of one line."""
        self._model = event.get("model") or self._model
        message = event["message"] if not event.get("done") else event.get("message") or {}
        chunks: list[Chunk] = []
        if text := message.get("content"):
            self._texts.append(text)
            chunks.append(Chunk("text_chunk", text))
        for given in message.get("tool_calls") or ():
            number = len(self._calls)
            call = tool_call(given.get("id") or f"call_{number}", given["function"]["name"], given["function"].get("arguments") or {})
            self._calls.append(call)
            chunks.append(Chunk("tool_call_chunk", {"index": number, **call}))
        if event.get("done"):
            self._last = event
        return chunks

    def finish(self, *, ended: bool, raw: Event | None = None) -> LlmResponse | None:
        """The whole."""
        if self._last is None:
            return None
        prompt, completion = self._last.get("prompt_eval_count"), self._last.get("eval_count")
        usage = None
        if prompt is not None or completion is not None:
            prompt, completion = prompt or 0, completion or 0
            usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        reason = "tool_calls" if self._calls else self._last.get("done_reason") or "stop"
        return response_of("".join(self._texts), self._model, reason, usage, self._calls, None, raw)
