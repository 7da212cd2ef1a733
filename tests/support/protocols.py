"""A local service that speaks the protocols of OpenAI, Anthropic, Google and Ollama over HTTP, and misbehaves on request.

The model says what it does: `echo` answers two words, `tools` calls a tool, `flaky` answers 503 twice and then like `echo`, `status-CODE`
an error of the protocol, `cut` breaks off half way, `garbage` answers no JSON, `other` JSON of another kind, `late-error` an error in the
middle of a stream, `hang` never answers.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

import attrs

from support.asgi import serving

WORDS = ["Good ", "evening"]
ARGUMENTS = {"city": "Ford"}


class _CutOff(Exception):
    """The connection is to break."""


@attrs.define
class Seen:
    """A request."""

    path: str
    headers: dict[str, str]
    body: Any


@attrs.define
class Protocols:
    """The service, and what it saw."""

    url: str = ""
    seen: list[Seen] = attrs.field(factory=list)
    asked: asyncio.Event = attrs.field(factory=asyncio.Event)
    disconnected: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for stage in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{stage}.complete"})
            return
        data, more = b"", True
        while more:
            message = await receive()
            data += message.get("body", b"")
            more = message.get("more_body", False)
        path, query = unquote(scope["path"]), scope["query_string"].decode()
        body = json.loads(data) if data else None
        self.seen.append(Seen(path + ("?" + query if query else ""), {k.decode(): v.decode() for k, v in scope["headers"]}, body))
        self.asked.set()
        if scope["method"] == "GET":
            await _json(send, 200, MODELS[path])
            return
        speaker = _speaker(path, body)
        model = path.rpartition("/")[2].partition(":")[0] if speaker is Google else body["model"]
        if model == "hang":
            while (await receive())["type"] != "http.disconnect":
                pass
            self.disconnected.set()
            return
        if model == "flaky" and sum(model in (seen.path + str(seen.body)) for seen in self.seen) <= 2:
            await _json(send, 503, speaker.error("busy"), retry_after="0")
            return
        if model.startswith("status-"):
            await _json(send, int(model.partition("-")[2]), speaker.error("you get " + model))
            return
        if "embed" in path.lower():
            await _json(send, 200, speaker.embeddings(body))
            return
        if model == "garbage":
            await _raw(send, b"\x00{{{", "text/plain")
        elif model == "other":
            await _raw(send, b'{"unexpected": true}', "application/json")
        elif speaker.streams(path, body):
            await self._stream(speaker, model, send)
        else:
            await _json(send, 200, speaker.whole(model))

    async def _stream(self, speaker: Any, model: str, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", speaker.content_type)]})
        events = speaker.events(model)
        for number, event in enumerate(events):
            if model == "cut" and number == len(events) // 2:
                raise _CutOff
            if model == "late-error" and number == len(events) // 2:
                event = speaker.late_error()
            await send({"type": "http.response.body", "body": speaker.encode(event), "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _speaker(path: str, body: Any) -> Any:
    if path.startswith("/v1/messages"):
        return Anthropic
    if path.startswith("/v1beta/"):
        return Google
    return Ollama if path.startswith("/api/") else OpenAi


MODELS = {
    "/v1/models": {"data": [{"id": "b"}, {"id": "a"}]},
    "/v1beta/models": {"models": [{"name": "models/a"}, {"name": "models/b"}]},
    "/api/tags": {"models": [{"name": "b"}, {"name": "a"}]},
}


class _Sse:
    content_type = b"text/event-stream"

    @staticmethod
    def encode(event: Any) -> bytes:
        return f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode()

    @staticmethod
    def streams(path: str, body: Any) -> bool:
        return bool(body.get("stream"))


class OpenAi(_Sse):
    @staticmethod
    def error(message: str) -> Any:
        return {"error": {"message": message, "type": "x"}}

    late_error = classmethod(lambda cls: cls.error("overloaded in the middle"))

    @staticmethod
    def whole(model: str) -> Any:
        call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": json.dumps(ARGUMENTS)}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]} if model == "tools" else {"content": "".join(WORDS)}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if model == "tools" else "stop"}
        return {"id": "r1", "model": model, "choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}

    @staticmethod
    def events(model: str) -> list[Any]:
        def delta(reason: str | None = None, **fields: Any) -> Any:
            return {"id": "r1", "model": model, "choices": [{"index": 0, "delta": fields, "finish_reason": reason}]}

        if model == "tools":
            half = json.dumps(ARGUMENTS)
            calls = [
                {"index": 0, "id": "c1", "type": "function", "function": {"name": "weather", "arguments": ""}},
                {"index": 0, "function": {"arguments": half[:5]}},
                {"index": 0, "function": {"arguments": half[5:]}},
            ]
            parts = [delta(tool_calls=[call]) for call in calls] + [delta("tool_calls")]
        else:
            parts = [*(delta(content=word) for word in WORDS), delta("stop")]
        return [*parts, {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}, "[DONE]"]

    @staticmethod
    def embeddings(body: Any) -> Any:
        return {"data": [{"index": i, "embedding": [len(text), 1]} for i, text in reversed(list(enumerate(body["input"])))]}


class Anthropic(_Sse):
    @staticmethod
    def error(message: str) -> Any:
        return {"type": "error", "error": {"type": "x", "message": message}}

    late_error = classmethod(lambda cls: cls.error("overloaded in the middle"))

    @staticmethod
    def whole(model: str) -> Any:
        content = {"type": "text", "text": "".join(WORDS)}
        if model == "tools":
            content = {"type": "tool_use", "id": "c1", "name": "weather", "input": ARGUMENTS}  # type: ignore[dict-item]
        reason = "tool_use" if model == "tools" else "end_turn"
        return {"id": "r1", "model": model, "content": [content], "stop_reason": reason, "usage": {"input_tokens": 3, "output_tokens": 2}}

    @staticmethod
    def events(model: str) -> list[Any]:
        start = {"type": "message_start", "message": {"id": "r1", "model": model, "usage": {"input_tokens": 3, "output_tokens": 0}}}
        if model == "tools":
            half = json.dumps(ARGUMENTS)
            block = {"type": "tool_use", "id": "c1", "name": "weather", "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": half[:5]}, {"type": "input_json_delta", "partial_json": half[5:]}]
        else:
            block = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": word} for word in WORDS]
        return [
            start,
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "ping"},
            *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "tool_use" if model == "tools" else "end_turn"},
                "usage": {"output_tokens": 2},
            },
            {"type": "message_stop"},
        ]


class Google(_Sse):
    @staticmethod
    def streams(path: str, body: Any) -> bool:
        return path.endswith(":streamGenerateContent")

    @staticmethod
    def error(message: str) -> Any:
        return {"error": {"code": 1, "message": message, "status": "X"}}

    late_error = classmethod(lambda cls: cls.error("overloaded in the middle"))
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}  # noqa: RUF012

    @classmethod
    def whole(cls, model: str) -> Any:
        part = {"functionCall": {"name": "weather", "args": ARGUMENTS}} if model == "tools" else {"text": "".join(WORDS)}
        candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}
        return {"candidates": [candidate], "usageMetadata": cls.usage, "modelVersion": model, "responseId": "r1"}

    @classmethod
    def events(cls, model: str) -> list[Any]:
        if model == "tools":
            return [cls.whole(model)]
        parts = [{"candidates": [{"content": {"parts": [{"text": word}]}}], "modelVersion": model, "responseId": "r1"} for word in WORDS]
        return [*parts, {"candidates": [{"content": {"parts": [{"text": ""}]}, "finishReason": "STOP"}], "usageMetadata": cls.usage}]

    @staticmethod
    def embeddings(body: Any) -> Any:
        texts = [request["content"]["parts"][0]["text"] for request in body["requests"]]
        return {"embeddings": [{"values": [len(text), 1]} for text in texts]}


class Ollama:
    content_type = b"application/x-ndjson"

    @staticmethod
    def encode(event: Any) -> bytes:
        return json.dumps(event).encode() + b"\n"

    @staticmethod
    def streams(path: str, body: Any) -> bool:
        return bool(body.get("stream"))

    @staticmethod
    def error(message: str) -> Any:
        return {"error": message}

    late_error = classmethod(lambda cls: cls.error("overloaded in the middle"))

    @staticmethod
    def whole(model: str) -> Any:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(WORDS)}
        if model == "tools":
            message = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "weather", "arguments": ARGUMENTS}}]}
        return {"model": model, "message": message, "done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2}

    @classmethod
    def events(cls, model: str) -> list[Any]:
        if model == "tools":
            return [{**cls.whole(model), "done": False}, {**cls.whole(model), "message": {"role": "assistant", "content": ""}}]
        parts = [{"model": model, "message": {"role": "assistant", "content": word}, "done": False} for word in WORDS]
        return [*parts, {**cls.whole(model), "message": {"role": "assistant", "content": ""}}]

    @staticmethod
    def embeddings(body: Any) -> Any:
        return {"embeddings": [[len(text), 1] for text in body["input"]]}


async def _json(send: Any, status: int, body: Any, retry_after: str | None = None) -> None:
    headers = [(b"content-type", b"application/json")] + ([(b"retry-after", retry_after.encode())] if retry_after else [])
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


async def _raw(send: Any, body: bytes, content_type: str) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", content_type.encode())]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def protocols() -> AsyncIterator[Protocols]:
    """Run the service on a free port of this machine."""
    service = Protocols()
    async with serving(service) as url:
        service.url = url
        yield service
