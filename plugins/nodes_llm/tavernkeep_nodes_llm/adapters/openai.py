"""Any service that speaks the chat-completions protocol of OpenAI.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tavernkeep import Chunk
from tavernkeep_nodes_llm.adapters.http import Event, HttpAdapter
from tavernkeep_nodes_llm.contracts import LlmRequest, LlmResponse


class OpenAiAdapter(HttpAdapter):
    """Talks to OpenAI-compatible services."""

    id = "openai"
    name = "OpenAI-compatible"
    default_path = "/v1"

    def path(self, model: str, *, stream: bool) -> str:
        """See `HttpAdapter`."""
        return "/chat/completions"

    def body(self, request: LlmRequest, *, stream: bool) -> dict[str, Any]:
        """See `HttpAdapter`."""
        body = {"model": request.model, "messages": list(request.messages), **request.parameters, "stream": stream}
        return body | {"stream_options": {"include_usage": True}} if stream else body

    def whole(self, answer: Event, model: str) -> LlmResponse:
        """See `HttpAdapter`."""
        choice = answer["choices"][0]
        text = choice["message"].get("content") or ""
        return LlmResponse(
            text=text if isinstance(text, str) else str(text),
            model=str(answer.get("model") or model),
            finish_reason=choice.get("finish_reason"),
            usage=answer.get("usage"),
            choices=answer["choices"],
            response_id=answer.get("id"),
            raw=answer,
        )

    def answer(self, model: str) -> "OpenAiAnswer":
        """See `HttpAdapter`."""
        return OpenAiAnswer(model)

    def embedding_request(self, model: str, texts: Sequence[str]) -> tuple[str, dict[str, Any]]:
        """See `HttpAdapter`."""
        return "/embeddings", {"model": model, "input": list(texts), "encoding_format": "float"}

    def embeddings(self, answer: Event) -> list[list[float]]:
        """See `HttpAdapter`."""
        return [[float(x) for x in entry["embedding"]] for entry in sorted(answer["data"], key=lambda entry: entry.get("index", 0))]


class OpenAiAnswer:
    """Puts an answer together from its deltas."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._id: str | None = None
        self._texts: list[str] = []
        self._usage: Mapping[str, Any] | None = None
        self._finish_reason: str | None = None
        self._tool_calls: dict[int, dict[str, Any]] = {}

    def take(self, event: Event) -> list[Chunk]:
        """The chunks of one event."""
        self._id = self._id or event.get("id")
        self._model = event.get("model") or self._model
        self._usage = event.get("usage") or self._usage
        choices = event.get("choices")
        if not choices:
            return []
        choice = choices[0]
        delta = choice.get("delta") or {}
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        chunks = []
        if text := delta.get("content"):
            self._texts.append(text)
            chunks.append(Chunk("text_chunk", text))
        for call in delta.get("tool_calls") or ():
            self._merge_tool_call(call)
            chunks.append(Chunk("tool_call_chunk", call))
        return chunks

    def _merge_tool_call(self, call: Mapping[str, Any]) -> None:
        whole = self._tool_calls.setdefault(call.get("index", 0), {"type": "function", "function": {"name": "", "arguments": ""}})
        if call.get("id"):
            whole["id"] = call["id"]
        for key in ("name", "arguments"):
            whole["function"][key] += (call.get("function") or {}).get(key) or ""

    def finish(self, *, ended: bool) -> LlmResponse | None:
        """The whole."""
        if self._finish_reason is None and not ended:
            return None
        calls = [call for _, call in sorted(self._tool_calls.items())]
        return response_of("".join(self._texts), self._model, self._finish_reason or "stop", self._usage, calls, self._id)


def response_of(
    text: str,
    model: str,
    finish_reason: str,
    usage: Mapping[str, Any] | None,
    tool_calls: Sequence[Mapping[str, Any]] = (),
    response_id: str | None = None,
    raw: Mapping[str, Any] | None = None,
) -> LlmResponse:
    """A response with its `choices` as OpenAI writes them, from whatever protocol it came."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if tool_calls:
        message["tool_calls"] = list(tool_calls)
    choices = [{"index": 0, "message": message, "finish_reason": finish_reason}]
    return LlmResponse(text, model, finish_reason, usage, choices, response_id, raw)
