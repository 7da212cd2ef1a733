"""Any service that speaks the chat-completions protocol of OpenAI.

Source: https://platform.openai.com/docs/api-reference/chat
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from tavernkeep import Chunk
from tavernkeep_nodes_llm.adapters.answers import Answer, Event
from tavernkeep_nodes_llm.adapters.http import HttpAdapter
from tavernkeep_nodes_llm.adapters.questions import said_messages
from tavernkeep_nodes_llm.contracts import LlmRequest, LlmResponse

# These reason before they answer: they refuse what steers the choice of words, and count their thoughts among the tokens.
_REASONING: Final = re.compile(r"(?:.*/)?(?:o[1-9]|gpt-(?:[5-9]|\d\d))(?!.*chat)")
_STEERING: Final = ("temperature", "top_p", "frequency_penalty", "presence_penalty", "logit_bias")
_OTHERS: Final = ("thinking_blocks", "reasoning", "refusal", "annotations", "audio", "function_call", "images")
_KEPT: Final = ("reasoning_content", "reasoning_details")


class OpenAiAdapter(HttpAdapter):
    """Talks to OpenAI-compatible services."""

    id = "openai"
    name = "OpenAI-compatible"
    default_path = "/v1"
    endpoints = ("/chat/completions", "/completions", "/embeddings", "/models", "/responses")

    def path(self, model: str, *, stream: bool) -> str:
        """See `HttpAdapter`."""
        return "/chat/completions"

    def body(self, request: LlmRequest, *, stream: bool) -> dict[str, Any]:
        """See `HttpAdapter`."""
        parameters = {key: value for key, value in request.parameters.items() if value is not None}
        if _REASONING.match(request.model.lower()):
            parameters = {key: value for key, value in parameters.items() if key not in _STEERING}
            if "max_tokens" in parameters:
                parameters.setdefault("max_completion_tokens", parameters.pop("max_tokens"))
        body = {"model": request.model, "messages": _messages(request.messages), **parameters, "stream": stream}
        return body | {"stream_options": {"include_usage": True}} if stream else body

    def answer(self, model: str) -> "OpenAiAnswer":
        """See `HttpAdapter`."""
        return OpenAiAnswer(model)

    def embedding_request(self, model: str, texts: Sequence[str]) -> tuple[str, dict[str, Any]]:
        """See `HttpAdapter`."""
        return "/embeddings", {"model": model, "input": list(texts), "encoding_format": "float"}

    def embeddings(self, answer: Event) -> list[list[float]]:
        """See `HttpAdapter`."""
        return [[float(x) for x in entry["embedding"]] for entry in sorted(answer["data"], key=lambda entry: entry.get("index") or 0)]


def _messages(given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Messages without what only answers have. What a service has thought goes back to it while it calls tools, and not later."""
    asked = max((number for number, message in enumerate(given) if message["role"] == "user"), default=-1)
    made = []
    for number, message in enumerate(given):
        kept = {key: value for key, value in message.items() if key not in _OTHERS and (value is not None or key == "content")}
        if number < asked or not message.get("tool_calls"):
            kept = {key: value for key, value in kept.items() if key not in _KEPT}
        if kept.get("tool_calls"):
            kept["tool_calls"] = [dict(call) for call in kept["tool_calls"]]
        made.append(kept)
    return [dict(message) for message in said_messages(made)]


class OpenAiAnswer(Answer):
    """Puts an answer together from its deltas; a whole message is a single one."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self._choices: list[Any] = []
        self._index: Any = None  # of the first of several answers, which is the one that is wanted

    def take(self, event: Event) -> list[Chunk]:
        """See `Answer`."""
        self.id = self.id or event.get("id")
        self.model = str(event.get("model") or self.model)
        self.count(event.get("usage"))
        choices = event.get("choices")
        if not choices:
            return []
        self._index = choices[0].get("index") if self._index is None else self._index
        choice = next((choice for choice in choices if choice.get("index") in (self._index, None)), None)
        if choice is None:
            return []
        delta = choice.get("delta") or choice.get("message") or {"content": choice.get("text")}
        self.came = True
        if reason := choice.get("finish_reason"):
            self.finish_reason = str(reason)
        if choice.get("message"):
            self._choices = list(choices)
        chunks = self.thought(delta.get("reasoning_content") or delta.get("reasoning"))
        if details := delta.get("reasoning_details"):
            self.message.setdefault("reasoning_details", []).extend(details)
        chunks += self.content(delta.get("content") or delta.get("refusal"))
        for picture in delta.get("images") or ():
            chunks += self.content([picture])
        if isinstance(audio := delta.get("audio"), dict):
            chunks += self.content(audio.get("transcript")) + (self.unread("audio") if audio.get("data") else [])
        calls = delta.get("tool_calls") or ()
        for call in [calls] if isinstance(calls, dict) else calls:
            google = call.get("extra_content")
            chunks += self.call(call, call.get("index"), **({"extra_content": google} if google else {}))
        if delta.get("function_call"):
            chunks += self.call({"function": delta["function_call"]}, "function_call")
        return chunks

    def finish(self, *, ended: bool, raw: Event | None = None) -> LlmResponse | None:
        """See `Answer`. The service's own choices stay, the first of them with the message as it was understood."""
        response = super().finish(ended=ended, raw=raw)
        if response is None or not self._choices or not response.choices:
            return response
        made = response.choices[0]
        first = {**self._choices[0], "finish_reason": made["finish_reason"], "message": {**self._choices[0]["message"], **made["message"]}}
        return attrs.evolve(response, choices=[first, *self._choices[1:]])


def response_of(
    text: str,
    model: str,
    finish_reason: str,
    usage: Mapping[str, Any] | None,
    tool_calls: Sequence[Mapping[str, Any]] = (),
) -> LlmResponse:
    """A response with its `choices` as OpenAI writes them."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if tool_calls:
        message["tool_calls"] = list(tool_calls)
    choices = [{"index": 0, "message": message, "finish_reason": finish_reason}]
    return LlmResponse(text, model, finish_reason, usage, choices)
