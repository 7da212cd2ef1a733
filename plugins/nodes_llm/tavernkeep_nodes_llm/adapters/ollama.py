"""Ollama's own protocol, with a line of JSON for each piece of an answer.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tavernkeep import Chunk
from tavernkeep_nodes_llm.adapters.answers import Answer, Event
from tavernkeep_nodes_llm.adapters.http import HttpAdapter
from tavernkeep_nodes_llm.adapters.parts import Text, arguments_of, parts_of, renamed
from tavernkeep_nodes_llm.adapters.questions import said_messages
from tavernkeep_nodes_llm.contracts import LlmRequest

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
    endpoints = ("/api/chat", "/api/generate", "/api/tags", "/api/embed", "/api", "/v1/chat/completions", "/v1")

    def path(self, model: str, *, stream: bool) -> str:
        """See `HttpAdapter`."""
        return "/api/chat"

    def body(self, request: LlmRequest, *, stream: bool) -> dict[str, Any]:
        """See `HttpAdapter`."""
        parameters = request.parameters
        body: dict[str, Any] = {
            "model": request.model,
            "messages": [_message(message) for message in said_messages(request.messages)],
            "stream": stream,
        }
        if options := renamed(parameters, _OPTIONS):
            body["options"] = options
        if parameters.get("tools"):
            body["tools"] = parameters["tools"]
        if isinstance(format_ := parameters.get("response_format"), dict):
            body["format"] = (format_.get("json_schema") or {}).get("schema") or "json"
        return body

    def answer(self, model: str) -> "_Answer":
        """See `HttpAdapter`."""
        return _Answer(model)

    def embedding_request(self, model: str, texts: Sequence[str]) -> tuple[str, dict[str, Any]]:
        """See `HttpAdapter`."""
        return "/api/embed", {"model": model, "input": list(texts)}

    def embeddings(self, answer: Event) -> list[list[float]]:
        """See `HttpAdapter`."""
        return [[float(x) for x in vector] for vector in answer["embeddings"]]

    def models_path(self) -> str:
        """See `HttpAdapter`."""
        return "/api/tags"


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    texts, pictures = [], []
    for part in parts_of(message.get("content")):
        if isinstance(part, Text):
            texts.append(part.text)
        else:
            pictures.append(part.needs_data("Ollama")[1])
    made: dict[str, Any] = {"role": message["role"], "content": "\n".join(texts)}
    if message.get("tool_calls") and message.get("reasoning_content"):
        made["thinking"] = message["reasoning_content"]
    if pictures:
        made["images"] = pictures
    if calls := message.get("tool_calls"):
        made["tool_calls"] = [{"function": {"name": call["function"]["name"], "arguments": arguments_of(call)}} for call in calls]
    if message["role"] == "tool" and message.get("name"):
        made["tool_name"] = message["name"]
    return made


class _Answer(Answer):
    """Puts an answer together from its lines; an answer in one piece is a single line."""

    def take(self, event: Event) -> list[Chunk]:
        """See `Answer`."""
        self.model = str(event.get("model") or self.model)
        message = event["message"] if not event.get("done") else event.get("message") or {}
        self.came = True
        chunks = self.thought(message.get("thinking")) + self.content(message.get("content"))
        for given in message.get("tool_calls") or ():
            function = given["function"]
            call = {"id": given.get("id"), "function": {"name": function["name"], "arguments": function.get("arguments") or {}}}
            chunks += self.call(call)
        if event.get("done"):
            self.finish_reason = str(event.get("done_reason") or "stop")
            prompt, completion = event.get("prompt_eval_count"), event.get("eval_count")
            if prompt is not None or completion is not None:
                prompt, completion = prompt or 0, completion or 0
                self.usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        return chunks
