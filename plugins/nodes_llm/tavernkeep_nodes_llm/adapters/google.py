"""Google's generative language protocol (Gemini).

Source: https://ai.google.dev/api/generate-content
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from tavernkeep import Chunk
from tavernkeep.wire import Invalid, loads
from tavernkeep_nodes_llm.adapters.answers import Answer, Event
from tavernkeep_nodes_llm.adapters.http import HttpAdapter
from tavernkeep_nodes_llm.adapters.parts import Text, arguments_of, conversation_of, functions_of, parts_of, renamed, text_of
from tavernkeep_nodes_llm.contracts import Channel, LlmRequest

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
    endpoints = ("/models",)

    def path(self, model: str, *, stream: bool) -> str:
        """See `HttpAdapter`."""
        return f"/{_resource(model)}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")

    def headers(self, channel: Channel) -> dict[str, str]:
        """See `HttpAdapter`."""
        return {"x-goog-api-key": channel.api_key} if channel.api_key else {}

    def body(self, request: LlmRequest, *, stream: bool) -> dict[str, Any]:
        """See `HttpAdapter`."""
        system, messages = conversation_of(request.messages)
        parameters = request.parameters
        settings = renamed(parameters, _SETTINGS)
        if stop := parameters.get("stop"):
            settings["stopSequences"] = [stop] if isinstance(stop, str) else stop
        if (format_ := parameters.get("response_format")) and isinstance(format_, dict):
            settings["responseMimeType"] = "application/json"
            if schema := (format_.get("json_schema") or {}).get("schema"):
                settings["responseJsonSchema"] = schema
        names = {call.get("id"): call["function"]["name"] for message in messages for call in message.get("tool_calls") or ()}
        body: dict[str, Any] = {"contents": _merged([_content(message, names) for message in messages])}
        if settings:
            body["generationConfig"] = settings
        if system:
            body["systemInstruction"] = {"parts": [{"text": system}]}
        if functions := functions_of(parameters):
            body["tools"] = [{"functionDeclarations": [_declaration(function) for function in functions]}]
        return body

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

    def models_path(self) -> str:
        """See `HttpAdapter`."""
        return "/models?pageSize=1000"


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
    for call in message.get("tool_calls") or ():
        signature = ((call.get("extra_content") or {}).get("google") or {}).get("thought_signature")
        signed = {"thoughtSignature": signature} if signature else {}
        parts.append({"functionCall": {"name": call["function"]["name"], "args": arguments_of(call)}, **signed})
    return {"role": "model" if message["role"] == "assistant" else "user", "parts": parts}


def _merged(contents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Contents without empty ones, in which the results of calls that were made together stand together, as the service wants it."""
    merged: list[dict[str, Any]] = []
    for content in contents:
        if not content["parts"]:
            continue
        if merged and _are_results(merged[-1]) and _are_results(content):
            merged[-1]["parts"] += content["parts"]
        else:
            merged.append(content)
    return merged


def _are_results(content: Mapping[str, Any]) -> bool:
    return all("functionResponse" in part for part in content["parts"])


class _Answer(Answer):
    """Puts an answer together from its parts; an answer in one piece is a stream of one event."""

    def take(self, event: Event) -> list[Chunk]:
        """See `Answer`."""
        self.model = str(event.get("modelVersion") or self.model)
        self.id = event.get("responseId") or self.id
        if counted := event.get("usageMetadata"):
            prompt, total = counted.get("promptTokenCount") or 0, counted.get("totalTokenCount") or 0
            completion = counted.get("candidatesTokenCount") or max(0, total - prompt)
            self.usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total or prompt + completion}
        if (event.get("promptFeedback") or {}).get("blockReason"):
            self.came, self.finish_reason = True, _FILTERED
        chunks: list[Chunk] = []
        for candidate in (event.get("candidates") or ())[:1]:
            self.came = True
            if reason := candidate.get("finishReason"):
                self.finish_reason = _FINISH_REASONS.get(reason, _FILTERED)
            for part in (candidate.get("content") or {}).get("parts") or ():
                chunks += self._part(part)
        return chunks

    def _part(self, part: Mapping[str, Any]) -> list[Chunk]:
        if "functionCall" not in part:
            if part.get("thought"):
                return self.thought(part.get("text"))
            rest = {key: value for key, value in part.items() if key not in ("thought", "thoughtSignature")}
            return self.content([rest]) if rest else []
        given, signature = part["functionCall"], part.get("thoughtSignature")
        # Where Google puts it in its own translation to OpenAI's notation.
        signed = {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}
        return self.call({"id": given.get("id"), "function": {"name": given["name"], "arguments": given.get("args") or {}}}, **signed)
