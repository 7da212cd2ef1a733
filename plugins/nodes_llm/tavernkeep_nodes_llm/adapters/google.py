"""Google's generative language protocol (Gemini).

Source: https://ai.google.dev/api/generate-content
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from tavernkeep import Chunk
from tavernkeep.wire import Invalid, loads
from tavernkeep_nodes_llm.adapters.http import Event, HttpAdapter
from tavernkeep_nodes_llm.adapters.openai import response_of
from tavernkeep_nodes_llm.adapters.parts import Text, arguments_of, functions_of, parts_of, renamed, split_system, text_of, tool_call
from tavernkeep_nodes_llm.contracts import Channel, LlmRequest, LlmResponse

_SETTINGS: Final = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_tokens": "maxOutputTokens",
    "seed": "seed",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
}
_FINISH_REASONS: Final = {"STOP": "stop", "MAX_TOKENS": "length"}
_FILTERED: Final = "content_filter"


class GoogleAdapter(HttpAdapter):
    """Talks to Google's service."""

    id = "google"
    name = "Google Gemini"
    default_path = "/v1beta"

    def path(self, model: str, *, stream: bool) -> str:
        """See `HttpAdapter`."""
        return f"/{_resource(model)}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")

    def headers(self, channel: Channel) -> dict[str, str]:
        """See `HttpAdapter`."""
        return {"x-goog-api-key": channel.api_key} if channel.api_key else {}

    def body(self, request: LlmRequest, *, stream: bool) -> dict[str, Any]:
        """See `HttpAdapter`."""
        system, messages = split_system(request.messages)
        parameters = request.parameters
        settings = renamed(parameters, _SETTINGS)
        if stop := parameters.get("stop"):
            settings["stopSequences"] = [stop] if isinstance(stop, str) else stop
        if (format_ := parameters.get("response_format")) and isinstance(format_, dict):
            settings["responseMimeType"] = "application/json"
            if schema := (format_.get("json_schema") or {}).get("schema"):
                settings["responseJsonSchema"] = schema
        names = {call.get("id"): call["function"]["name"] for message in messages for call in message.get("tool_calls") or ()}
        body: dict[str, Any] = {"contents": [content for message in messages if (content := _content(message, names))["parts"]]}
        if settings:
            body["generationConfig"] = settings
        if system:
            body["systemInstruction"] = {"parts": [{"text": system}]}
        if functions := functions_of(parameters):
            body["tools"] = [{"functionDeclarations": [_declaration(function) for function in functions]}]
        return body

    def whole(self, answer: Event, model: str) -> LlmResponse:
        """See `HttpAdapter`."""
        whole = _Answer(model)
        whole.take(answer)
        response = whole.finish(ended=True, raw=answer)
        if response is None:
            raise ValueError("there is no candidate")
        return response

    def answer(self, model: str) -> "_Answer":
        """See `HttpAdapter`."""
        return _Answer(model)

    def embedding_request(self, model: str, texts: Sequence[str]) -> tuple[str, dict[str, Any]]:
        """See `HttpAdapter`."""
        resource = _resource(model)
        requests = [{"model": resource, "content": {"parts": [{"text": text}]}} for text in texts]
        return f"/{resource}:batchEmbedContents", {"requests": requests}

    def embeddings(self, answer: Event) -> list[list[float]]:
        """See `HttpAdapter`."""
        return [[float(x) for x in entry["values"]] for entry in answer["embeddings"]]

    async def models(self, channel: Channel) -> list[str]:
        """See `LlmAdapter`."""
        async with self._send("GET", "/models?pageSize=1000", None, channel) as response:
            answer = loads(await response.aread())
        return sorted(str(entry["name"]).removeprefix("models/") for entry in answer["models"])


def _resource(model: str) -> str:
    return "models/" + quote(model.removeprefix("models/"), safe="")


def _declaration(function: Mapping[str, Any]) -> dict[str, Any]:
    declared = {"name": function.get("name"), "description": function.get("description", "")}
    return declared | ({"parametersJsonSchema": function["parameters"]} if function.get("parameters") else {})


def _content(message: Mapping[str, Any], names: Mapping[Any, str]) -> dict[str, Any]:
    if message["role"] == "tool":
        text = text_of(message.get("content"))
        try:
            result = loads(text)
        except Invalid:
            result = text
        response = result if isinstance(result, dict) else {"result": result}
        name = names.get(message.get("tool_call_id"), message.get("name", ""))
        return {"role": "user", "parts": [{"functionResponse": {"name": name, "response": response}}]}
    parts: list[dict[str, Any]] = []
    for part in parts_of(message.get("content")):
        if isinstance(part, Text):
            parts.append({"text": part.text})
        else:
            media_type, data = part.needs_data("Google")
            parts.append({"inlineData": {"mimeType": media_type, "data": data}})
    calls = message.get("tool_calls") or ()
    parts += [{"functionCall": {"name": call["function"]["name"], "args": arguments_of(call)}} for call in calls]
    return {"role": "model" if message["role"] == "assistant" else "user", "parts": parts}


class _Answer:
    """Puts an answer together from its parts; an answer in one piece is a stream of one event."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._id: str | None = None
        self._texts: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._usage: Mapping[str, Any] | None = None
        self._finish_reason: str | None = None

    def take(self, event: Event) -> list[Chunk]:
        """The chunks of one event."""
        self._model = event.get("modelVersion") or self._model
        self._id = event.get("responseId") or self._id
        self._usage = event.get("usageMetadata") or self._usage
        if (event.get("promptFeedback") or {}).get("blockReason"):
            self._finish_reason = _FILTERED
        chunks: list[Chunk] = []
        for candidate in (event.get("candidates") or ())[:1]:
            if reason := candidate.get("finishReason"):
                self._finish_reason = _FINISH_REASONS.get(reason, _FILTERED)
            for part in (candidate.get("content") or {}).get("parts") or ():
                if part.get("text") and not part.get("thought"):
                    self._texts.append(part["text"])
                    chunks.append(Chunk("text_chunk", part["text"]))
                elif "functionCall" in part:
                    chunks.append(self._call(part["functionCall"]))
        return chunks

    def _call(self, given: Mapping[str, Any]) -> Chunk:
        number = len(self._calls)
        call = tool_call(given.get("id") or f"call_{number}", given["name"], given.get("args") or {})
        self._calls.append(call)
        return Chunk("tool_call_chunk", {"index": number, **call})

    def finish(self, *, ended: bool, raw: Event | None = None) -> LlmResponse | None:
        """The whole."""
        if self._finish_reason is None:
            return None
        reason = "tool_calls" if self._calls and self._finish_reason == "stop" else self._finish_reason
        usage = None
        if self._usage:
            prompt, total = self._usage.get("promptTokenCount") or 0, self._usage.get("totalTokenCount") or 0
            completion = self._usage.get("candidatesTokenCount") or max(0, total - prompt)
            usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total or prompt + completion}
        return response_of("".join(self._texts), self._model, reason, usage, self._calls, self._id, raw)
