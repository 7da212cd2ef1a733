"""Anthropic's messages protocol.

Source: https://docs.anthropic.com/en/api/messages
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from tavernkeep import Chunk
from tavernkeep_nodes_llm.adapters.answers import Answer, Event
from tavernkeep_nodes_llm.adapters.http import HttpAdapter
from tavernkeep_nodes_llm.adapters.parts import Text, arguments_of, conversation_of, functions_of, parts_of, text_of
from tavernkeep_nodes_llm.contracts import Channel, LlmRequest

_VERSION: Final = "2023-06-01"
_DEFAULT_MAX_TOKENS: Final = 4096  # the protocol requires one
_FINISH_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_OLDER: Final = re.compile(r"claude-(?:v?[123]|instant)")  # the others refuse temperature and top_p together
_THINKING: Final = ("thinking", "redacted_thinking")
_NOT_THEIRS: Final = ("tools", "tool_choice", "stop", "response_format", "max_tokens", "seed", "frequency_penalty", "presence_penalty", "n")


class AnthropicAdapter(HttpAdapter):
    """Talks to Anthropic's service, and to those that speak like it."""

    id = "anthropic"
    name = "Anthropic"
    default_path = "/v1"
    endpoints = ("/messages", "/models", "/complete")

    def path(self, model: str, *, stream: bool) -> str:
        """See `HttpAdapter`."""
        return "/messages"

    def headers(self, channel: Channel) -> dict[str, str]:
        """See `HttpAdapter`."""
        return {"anthropic-version": _VERSION} | ({"x-api-key": channel.api_key} if channel.api_key else {})

    def body(self, request: LlmRequest, *, stream: bool) -> dict[str, Any]:
        """See `HttpAdapter`."""
        system, messages = conversation_of(request.messages)
        parameters = {key: value for key, value in request.parameters.items() if value is not None}
        if "temperature" in parameters and not _OLDER.search(request.model):
            parameters.pop("top_p", None)
        body: dict[str, Any] = {key: value for key, value in parameters.items() if key not in _NOT_THEIRS}
        body |= {
            "model": request.model,
            "messages": _without_blank_end(_merged([_message(message) for message in messages])),
            "stream": stream,
        }
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

    def answer(self, model: str) -> "_Answer":
        """See `HttpAdapter`."""
        return _Answer(model)


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    if message["role"] == "tool":
        result = {"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": text_of(message.get("content"))}
        return {"role": "user", "content": [result]}
    # Signed thoughts go back as they came: without them the service takes no results of tools.
    blocks: list[dict[str, Any]] = [dict(block) for block in message.get("thinking_blocks") or ()] if message.get("tool_calls") else []
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


def _without_blank_end(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages of which the last, when it is the beginning of the answer, ends in no blank: the service refuses that."""
    if messages and messages[-1]["role"] == "assistant" and messages[-1]["content"][-1]["type"] == "text":
        block = messages[-1]["content"][-1]
        block["text"] = block["text"].rstrip()
    return messages


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


class _Answer(Answer):
    """Puts an answer together from its blocks and their deltas; a whole message is its blocks at once."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self._counted: dict[str, Any] = {}
        self._thoughts: dict[int, dict[str, Any]] = {}  # by the number of their block

    def take(self, event: Event) -> list[Chunk]:
        """See `Answer`."""
        kind = event.get("type")
        if kind == "message_start":
            self._begin(event["message"])
        elif kind == "content_block_start":
            return self._block(event["index"], event["content_block"])
        elif kind == "content_block_delta":
            return self._delta(event["index"], event["delta"])
        elif kind == "message_delta":
            self._end(event["delta"].get("stop_reason"), event.get("usage"))
        elif isinstance(event.get("content"), (list, str)):
            self._begin(event)
            blocks = event["content"] if isinstance(event["content"], list) else [{"type": "text", "text": event["content"]}]
            chunks = [chunk for index, block in enumerate(blocks) for chunk in self._block(index, block)]
            self._end(event.get("stop_reason") or "end_turn", None)
            return chunks
        return []

    def _begin(self, message: Mapping[str, Any]) -> None:
        self.came = True
        self.id, self.model = message.get("id"), str(message.get("model") or self.model)
        self._count(message.get("usage"))

    def _end(self, stop_reason: str | None, usage: Mapping[str, Any] | None) -> None:
        if stop_reason:
            self.finish_reason = _finish_reason(stop_reason)
        self._count(usage)

    def _count(self, usage: Mapping[str, Any] | None) -> None:
        self._counted |= {key: value for key, value in (usage or {}).items() if value is not None}
        self.usage = _usage(self._counted)

    def _block(self, index: int, block: Mapping[str, Any]) -> list[Chunk]:
        self.came = True
        if block["type"] == "tool_use":
            given = block.get("input") or None  # in a stream it follows
            return self.call({"id": block.get("id"), "function": {"name": block["name"], "arguments": given}}, index)
        if block["type"] in _THINKING:
            self._thoughts[index] = dict(block)
            self.message["thinking_blocks"] = [thought for _, thought in sorted(self._thoughts.items())]
            return self.thought(block.get("thinking"))
        return self.content([block])

    def _delta(self, index: int, delta: Mapping[str, Any]) -> list[Chunk]:
        self.came = True
        kind = delta["type"]
        if kind == "text_delta":
            return self.content(delta["text"])
        if kind == "input_json_delta":
            return self.call({"function": {"arguments": delta["partial_json"]}}, index) if delta["partial_json"] else []
        thought = self._thoughts.get(index, {})
        if kind == "thinking_delta":
            thought["thinking"] = (thought.get("thinking") or "") + delta["thinking"]
            return self.thought(delta["thinking"])
        if kind == "signature_delta":
            thought["signature"] = (thought.get("signature") or "") + delta["signature"]
        return []
