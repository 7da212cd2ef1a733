"""A local service that speaks OpenAI's chat completions over real HTTP, and misbehaves on request.

The model says what it does: `echo-COUNT-DELAY_MS` answers `t0 t1 …`, COUNT words; `status-CODE` answers an error; `flaky-N` answers 503 N
times, then like `echo-3-0`; `cut-COUNT` breaks off after COUNT words; `garbage` and `html` answer no completion; `hang` never answers;
`slow-body` begins an answer and never goes on; `gather-N` answers when N requests are there; `say` repeats the request as JSON.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs

from support.asgi import serving

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


@attrs.define
class LlmServer:
    """The service, and what it saw."""

    url: str = ""
    requests: list[dict[str, Any]] = attrs.field(factory=list)
    headers: list[dict[str, str]] = attrs.field(factory=list)
    running: int = 0
    most_running: int = 0
    disconnected: asyncio.Event = attrs.field(factory=asyncio.Event)
    asked: asyncio.Event = attrs.field(factory=asyncio.Event)
    gathered: int = 0
    all_there: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for stage in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{stage}.complete"})
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        request = json.loads(body)
        self.requests.append(request)
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.asked.set()
        answer = asyncio.create_task(self._answer(request, send))
        gone = asyncio.create_task(self._wait_for_disconnect(receive, answer))
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        self.running -= 1
        for task in (answer, gone):
            task.cancel()
        await asyncio.gather(answer, gone, return_exceptions=True)
        if answer.done() and not answer.cancelled() and answer.exception():
            raise RuntimeError("cut off")  # makes the server close the connection without an end

    async def _wait_for_disconnect(self, receive: Any, answer: "asyncio.Task[None]") -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        if not answer.done():
            self.disconnected.set()

    async def _answer(self, request: dict[str, Any], send: Any) -> None:
        kind, *rest = request["model"].split("-")
        if kind == "flaky":
            tried = sum(seen["model"] == request["model"] for seen in self.requests)
            if tried <= int(rest[0]):
                await _send(send, 503, {"error": {"message": "busy"}}, retry_after="0")
                return
            kind, rest = "echo", ["3", "0"]
        if kind == "status":
            await _send(send, int(rest[0]), {"error": {"message": f"you get {rest[0]}"}})
        elif kind in ("garbage", "html"):
            await _raw(send, 200, b"\x00\xff{{{" if kind == "garbage" else b"<html>login</html>", "text/html")
        elif kind == "gather":
            # Answers once so many requests have come: only if they are sent at the same time.
            self.gathered += 1
            if self.gathered >= int(rest[0]):
                self.all_there.set()
            await self.all_there.wait()
            await _send(send, 200, _completion("here", request["model"]))
        elif kind == "hang":
            await asyncio.Event().wait()
        elif kind == "say":
            await _send(send, 200, _completion(json.dumps(request), request["model"]))
        elif request.get("stream"):
            await self._stream(kind, rest, request, send)
        else:
            count, delay_ms = int(rest[0]), int(rest[1])
            await asyncio.sleep(delay_ms / 1000)
            await _send(send, 200, _completion("".join(f"t{i} " for i in range(count)), request["model"]))

    async def _stream(self, kind: str, rest: list[str], request: dict[str, Any], send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        count = int(rest[0]) if rest else 1
        delay_ms = int(rest[1]) if len(rest) > 1 else 0
        for number in range(count):
            if delay_ms:
                await asyncio.sleep(delay_ms / 1000)
            await _event(send, {"choices": [{"index": 0, "delta": {"content": f"t{number} "}, "finish_reason": None}]})
        if kind == "slow":
            await asyncio.Event().wait()
        if kind == "cut":
            raise ConnectionAbortedError
        await _event(send, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if (request.get("stream_options") or {}).get("include_usage"):
            await _event(send, {"choices": [], "usage": USAGE})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


def _completion(text: str, model: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {"id": "c1", "model": model, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": USAGE}


async def _event(send: Any, event: dict[str, Any]) -> None:
    data = json.dumps({"id": "c1", "object": "chat.completion.chunk", "model": "echo", **event})
    await send({"type": "http.response.body", "body": f"data: {data}\n\n".encode(), "more_body": True})


async def _send(send: Any, status: int, body: dict[str, Any], retry_after: str | None = None) -> None:
    await _raw(send, status, json.dumps(body).encode(), "application/json", retry_after)


async def _raw(send: Any, status: int, body: bytes, content_type: str, retry_after: str | None = None) -> None:
    headers = [(b"content-type", content_type.encode())]
    if retry_after is not None:
        headers.append((b"retry-after", retry_after.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def llm_server() -> AsyncIterator[LlmServer]:
    """Run the service on a free port of this machine."""
    server = LlmServer()
    async with serving(server) as url:
        server.url = url + "/v1"
        yield server


def channel(server: LlmServer, **more: Any) -> dict[str, Any]:
    """The configuration with this service as its one channel."""
    entry = {"label": "local", "baseUrl": server.url, "apiKey": "sk-planted-secret", **more}
    return {"channels": [entry], "retryWaitS": 0.01}
