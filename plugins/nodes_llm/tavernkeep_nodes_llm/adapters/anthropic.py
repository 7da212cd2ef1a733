"""Anthropic's messages protocol.

Source: https://docs.anthropic.com/en/api/messages
"""

from collections.abc import Mapping
from typing import Any, Final

from tavernkeep import Chunk
from tavernkeep_nodes_llm.adapters.http import Event, HttpAdapter
from tavernkeep_nodes_llm.adapters.openai import response_of
from tavernkeep_nodes_llm.adapters.parts import Text, arguments_of, functions_of, parts_of, split_system, text_of, tool_call
from tavernkeep_nodes_llm.contracts import Channel, LlmRequest, LlmResponse

_VERSION: Final = "2023-06-01"
_DEFAULT_MAX_TOKENS: Final = 4096  # the protocol requires one
_FINISH_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_NOT_THEIRS: Final = ("tools", "tool_choice", "stop", "response_format", "max_tokens", "seed", "frequency_penalty", "presence_penalty", "n")


class AnthropicAdapter(HttpAdapter):
    """Talks to Anthropic's service, and to those that speak like it."""

    id = "anthropic"
    name = "Anthropic"
    default_path = "/v1"

    def path(self, model: str, *, stream: bool) -> str:
        """See `HttpAdapter`."""
        return "/messages"

    def headers(self, channel: Channel) -> dict[str, str]:
        """See `HttpAdapter`."""
        return {"anthropic-version": _VERSION} | ({"x-api-key": channel.api_key} if channel.api_key else {})

    def body(self, request: LlmRequest, *, stream: bool) -> dict[str, Any]:
        """See `HttpAdapter`."""
        system, messages = split_system(request.messages)
        parameters = request.parameters
        body: dict[str, Any] = {key: value for key, value in parameters.items() if key not in _NOT_THEIRS}
        body |= {"model": request.model, "messages": _merged([_message(message) for message in messages]), "stream": stream}
        body["max_tokens"] = parameters.get("max_tokens") or _DEFAULT_MAX_TOKENS
        if system:
            body["system"] = system
        if stop := parameters.get("stop"):
            body["stop_sequences"] = [stop] if isinstance(stop, str) else stop
        if functions := functions_of(parameters):
            body["tools"] = [
                {
                    "name": function.get("name"),
                    "description": function.get("description", ""),
                    "input_schema": function.get("parameters") or {"type": "object"},
                }
                for function in functions
            ]
            if (choice := _tool_choice(parameters.get("tool_choice"))) is not None:
                body["tool_choice"] = choice
        return body

    def whole(self, answer: Event, model: str) -> LlmResponse:
        """See `HttpAdapter`."""
        blocks = answer["content"]
        return response_of(
            "".join(block["text"] for block in blocks if block["type"] == "text"),
            str(answer.get("model") or model),
            _finish_reason(answer.get("stop_reason")),
            _usage(answer.get("usage")),
            [tool_call(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"],
            answer.get("id"),
            answer,
        )

    def answer(self, model: str) -> "_Answer":
        """See `HttpAdapter`."""
        return _Answer(model)


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    if message["role"] == "tool":
        result = {"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": text_of(message.get("content"))}
        return {"role": "user", "content": [result]}
    blocks: list[dict[str, Any]] = []
    for part in parts_of(message.get("content")):
        if isinstance(part, Text):
            blocks.append({"type": "text", "text": part.text})
        elif part.data is not None:
            blocks.append({"type": "image", "source": {"type": "base64", "media_type": part.media_type, "data": part.data}})
        else:
            blocks.append({"type": "image", "source": {"type": "url", "url": part.url}})
    blocks += [
        {"type": "tool_use", "id": call.get("id"), "name": call["function"]["name"], "input": arguments_of(call)}
        for call in message.get("tool_calls") or ()
    ]
    return {"role": "assistant" if message["role"] == "assistant" else "user", "content": blocks}


def _merged(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages in which the roles alternate, as the protocol wants them, and none is empty."""
    merged: list[dict[str, Any]] = []
    for message in messages:
        if not message["content"]:
            continue
        if merged and merged[-1]["role"] == message["role"]:
            merged[-1]["content"] += message["content"]
        else:
            merged.append(message)
    return merged


def _tool_choice(choice: Any) -> dict[str, Any] | None:
    if isinstance(choice, dict):
        return {"type": "tool", "name": (choice.get("function") or {}).get("name")}
    return {"required": {"type": "any"}, "none": {"type": "none"}, "auto": {"type": "auto"}}.get(choice)


def _finish_reason(reason: str | None) -> str:
    return _FINISH_REASONS.get(reason or "end_turn", reason or "stop")


def _usage(usage: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not usage:
        return None
    cached = (usage.get("cache_creation_input_tokens") or 0) + (usage.get("cache_read_input_tokens") or 0)
    prompt, completion = (usage.get("input_tokens") or 0) + cached, usage.get("output_tokens") or 0
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


class _Answer:
    """Puts an answer together from its blocks and their deltas."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._id: str | None = None
        self._texts: list[str] = []
        self._usage: dict[str, Any] = {}
        self._stop_reason: str | None = None
        self._calls: dict[int, dict[str, Any]] = {}  # by the number of their block
        self._stopped = False

    def take(self, event: Event) -> list[Chunk]:
        """The chunks of one event."""
        kind = event.get("type")
        if kind == "message_start":
            message = event["message"]
            self._id, self._model = message.get("id"), message.get("model") or self._model
            self._usage |= message.get("usage") or {}
        elif kind == "content_block_start" and event["content_block"]["type"] == "tool_use":
            block = event["content_block"]
            self._calls[event["index"]] = tool_call(block["id"], block["name"], "")
            return [self._call_chunk(event["index"], "", block["name"], block["id"])]
        elif kind == "content_block_delta":
            return self._delta(event["index"], event["delta"])
        elif kind == "message_delta":
            self._stop_reason = event["delta"].get("stop_reason") or self._stop_reason
            self._usage |= event.get("usage") or {}
        elif kind == "message_stop":
            self._stopped = True
        return []

    def _delta(self, index: int, delta: Mapping[str, Any]) -> list[Chunk]:
        if delta["type"] == "text_delta" and delta["text"]:
            self._texts.append(delta["text"])
            return [Chunk("text_chunk", delta["text"])]
        if delta["type"] == "input_json_delta" and delta["partial_json"]:
            self._calls[index]["function"]["arguments"] += delta["partial_json"]
            return [self._call_chunk(index, delta["partial_json"])]
        return []

    def _call_chunk(self, index: int, arguments: str, name: str | None = None, id_: str | None = None) -> Chunk:
        function = {"arguments": arguments} | ({"name": name} if name else {})
        number = sorted(self._calls).index(index)
        return Chunk("tool_call_chunk", {"index": number, "type": "function", "function": function} | ({"id": id_} if id_ else {}))

    def finish(self, *, ended: bool) -> LlmResponse | None:
        """The whole."""
        if not self._stopped or self._stop_reason is None:
            return None
        calls = [call for _, call in sorted(self._calls.items())]
        for call in calls:
            call["function"]["arguments"] = call["function"]["arguments"] or "{}"
        return response_of("".join(self._texts), self._model, _finish_reason(self._stop_reason), _usage(self._usage), calls, self._id)
