"""What real LLM services send that their protocols do not have: a table, and a local service over real HTTP that sends it byte by byte.

A row has the adapter, whether a stream was asked for, the content type and the body that come, and what is to be understood of them.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs


def sse(*events: Any, end: str = "\n\n") -> str:
    """A stream of events."""
    return "".join(f"data: {event if isinstance(event, str) else json.dumps(event)}{end}" for event in events)


def delta(reason: str | None = None, **fields: Any) -> dict[str, Any]:
    """An event of OpenAI's."""
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": reason}]}


def whole(**message: Any) -> dict[str, Any]:
    """A whole answer of OpenAI's."""
    return {"choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}]}


def piece(**fields: Any) -> dict[str, Any]:
    """An event with a piece of a tool call."""
    return delta(tool_calls=[fields])


@attrs.frozen
class Deviation:
    """A row.

    Attributes:
        calls: The names and the arguments of the tool calls.
        images: The pictures, as addresses.
        unread: The kinds of parts that are named, as nothing can be made of them.
        streamed: What was shown as text while it came, where that is more than the text.
        error: A pattern of the failure's message, where there is one.
    """

    name: str
    body: str | bytes
    text: str = ""
    reasoning: str | None = None
    calls: tuple[tuple[str, str], ...] = ()
    images: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    streamed: str | None = None
    error: str | None = None
    stream: bool = True
    adapter: str = "openai"
    content_type: str | None = "text/event-stream"
    status: int = 200


HI = delta(content="Hi ")
YOU = delta("stop", content="you")
MESSAGE = {"type": "message", "content": [{"type": "text", "text": "Hi you"}], "stop_reason": "end_turn"}
GEMINI = {"candidates": [{"content": {"parts": [{"text": "Hi you"}]}, "finishReason": "STOP"}]}
OLLAMA = {"message": {"content": "Hi you"}, "done": True}
TWO = (("a", '{"x":1}'), ("b", '{"y":2}'))

DEVIATIONS = [
    # The stream itself
    Deviation("comments, pings, empty events", ": hello\n\n\n\ndata:\n\nevent: ping\ndata: {}\n\n" + sse(HI, YOU, "[DONE]"), "Hi you"),
    Deviation("blanks around the end", sse(HI, delta(content="you"), "  [DONE]  "), "Hi you"),
    Deviation("no end and no reason", sse(HI, delta(content="you")), "Hi you"),
    Deviation("no blank lines between events", sse(HI, YOU, "[DONE]", end="\n"), "Hi you"),
    Deviation("carriage returns", sse(HI, YOU, "[DONE]", end="\r\n\r\n"), "Hi you"),
    Deviation("no blank after the colon", sse(HI, YOU).replace("data: ", "data:"), "Hi you"),
    Deviation(
        "an event over several lines", 'data: {"choices": [{"delta":\ndata: {"content": "Hi you"}, "finish_reason": "stop"}]}\n\n', "Hi you"
    ),
    Deviation("a byte order mark", "\ufeff" + sse(HI, YOU), "Hi you"),
    Deviation("an unended last event", sse(HI, YOU).rstrip("\n"), "Hi you"),
    Deviation("another content type", sse(HI, YOU, "[DONE]"), "Hi you", content_type="text/plain"),
    Deviation("no content type", sse(HI, YOU, "[DONE]"), "Hi you", content_type=None),
    Deviation("a whole answer to a stream", json.dumps(whole(content="Hi you"), indent=1), "Hi you", content_type="application/json"),
    Deviation("lines of JSON for events", json.dumps(HI) + "\n" + json.dumps(YOU) + "\n", "Hi you"),
    Deviation("a stream to no stream", sse(HI, YOU, "[DONE]"), "Hi you", stream=False),
    Deviation(
        "U+2028, U+2029 and U+0085 are text",
        sse(json.dumps(delta("stop", content="a\u2028b\u2029c\x85d"), ensure_ascii=False)),
        "a\u2028b\u2029c\x85d",
    ),
    Deviation("an error as an event", sse(HI) + 'event: error\ndata: {"message": "worn out"}\n\n', error="reported an error: worn out"),
    Deviation("an error among the choices", sse(HI, {"choices": [{"error": {"code": 502, "message": "gone"}}]}), error="gone"),
    Deviation("an error that is a text", "event: error\ndata: worn out\n\n", error="reported an error: worn out"),
    Deviation("a heartbeat that is no JSON", "event: heartbeat\ndata: still here\n\n" + sse(HI, YOU), "Hi you"),
    Deviation("an emoji in two pieces", sse(delta(content="Hi \ud83c"), delta(content="\udfad"), delta("stop", content="you")), "Hi 🎭you"),
    Deviation("half an emoji", sse(delta(content="Hi \ud83c"), delta("stop")), "Hi \ufffd"),
    Deviation("half an emoji in an answer in one piece", json.dumps(whole(content="\udfad Hi")), "\ufffd Hi", stream=False),
    Deviation(
        "thoughts with an emoji in two pieces",
        sse(delta(reasoning="H\ud83c"), delta(reasoning="\udfad"), delta("stop", content="Hi")),
        "Hi",
        "H🎭",
    ),
    Deviation("a tab within a text", '{"choices": [{"message": {"content": "Hi\tyou"}}]}', "Hi\tyou", stream=False),
    Deviation("nothing at all", "", error="broke off"),
    # What is said
    Deviation("parts for a text", json.dumps(whole(content=[{"type": "text", "text": "Hi "}, "you"])), "Hi you", stream=False),
    Deviation("parts in a stream", sse(delta("stop", content=[{"type": "text", "text": "Hi you"}])), "Hi you"),
    Deviation("no content", json.dumps(whole(content=None)), "", stream=False),
    Deviation("a refusal", json.dumps(whole(content=None, refusal="No.")), "No.", stream=False),
    Deviation("an old completion", json.dumps({"choices": [{"text": "Hi you"}]}), "Hi you", stream=False),
    Deviation("reasoning_content", sse(delta(reasoning_content="Hm"), delta(reasoning_content="m"), HI, YOU), "Hi you", "Hmm"),
    Deviation("reasoning", json.dumps(whole(content="Hi you", reasoning="Hmm")), "Hi you", "Hmm", stream=False),
    Deviation("a block of thoughts", json.dumps(whole(content="<think>\nHmm</think>\n\nHi you")), "Hi you", "Hmm", stream=False),
    Deviation("thoughts, cut anywhere", sse(*(delta(content=c) for c in "<think>Hmm</think>\n\nHi <b>"), delta("stop")), "Hi <b>", "Hmm"),
    Deviation("thoughts without an end", sse(delta(content="<think>Hm"), delta("stop", content="m</thi")), "", "Hmm</thi"),
    *(
        Deviation(f"thoughts in {tag}", sse(delta("stop", content=f"\n{tag}Hmm{tag[0]}/{tag[1:]}\n\nHi you")), "Hi you", "Hmm")
        for tag in ("<Thinking>", "<thought>", "<reasoning>", "<seed:think>", "[THINK]", "◁think▷")
    ),
    Deviation("an end of thoughts alone", json.dumps(whole(content="Hmm\n</think>\n\nHi you")), "Hi you", "Hmm\n", stream=False),
    Deviation(
        "an end of thoughts alone, cut anywhere",
        sse(*(delta(content=c) for c in "Hm\n</Think>\n\nHi <b>"), delta("stop")),
        "Hi <b>",
        "Hm\n",
        streamed="Hm\nHi <b>",
    ),
    Deviation("an end of thoughts, and nothing", sse(delta("stop", content="Hmm</think>")), "", "Hmm", streamed="Hmm"),
    Deviation(
        "a word about thoughts",
        sse(delta(content="Use `</think>` or </th"), delta("stop", content="ink> so")),
        "Use `</think>` or </think> so",
    ),
    Deviation("thoughts that began in the text", sse(delta("stop", content="So: <think>\nx\n</think>\ny")), "So: <think>\nx\n</think>\ny"),
    Deviation("no thoughts, but something like it", sse(delta(content="<thi"), delta("stop", content="s> is")), "<this> is"),
    Deviation(
        "parts of reasoning",
        json.dumps(whole(content=[{"type": "thinking", "thinking": [{"text": "Hmm"}]}, "Hi"])),
        "Hi",
        "Hmm",
        stream=False,
    ),
    Deviation(
        "a picture among the parts",
        json.dumps(whole(content=[{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, "Hi"])),
        "Hi",
        images=("data:image/png;base64,AAAA",),
        stream=False,
    ),
    Deviation(
        "pictures beside the text",
        sse(delta("stop", content="Hi", images=[{"type": "image_url", "image_url": "https://there/a.png"}])),
        "Hi",
        images=("https://there/a.png",),
    ),
    Deviation(
        "a voice",
        json.dumps(whole(content=None, audio={"data": "AAAA", "transcript": "Hi you"})),
        "Hi you",
        unread=("audio",),
        stream=False,
    ),
    Deviation(
        "parts of no known kind",
        json.dumps(whole(content=[{"type": "video", "url": "x"}, {"odd": 1}, "Hi"])),
        "Hi",
        unread=("video", "odd"),
        stream=False,
    ),
    Deviation(
        "several answers in turn",
        sse({"choices": [{"index": 1, "delta": {"content": "No"}}]}, HI, YOU).replace('"index": 1', '"index": 7'),
        "No",
    ),
    Deviation(
        "the second of several answers",
        sse(
            HI,
            {"choices": [{"index": 1, "delta": {"content": "No"}}]},
            YOU,
            {"choices": [{"index": 1, "delta": {}, "finish_reason": "length"}]},
        ),
        "Hi you",
    ),
    Deviation("odd counts", sse(HI, {**YOU, "usage": [1]}, {"choices": [], "usage": "much"}), "Hi you"),
    Deviation("field names in capitals", sse(HI, YOU).replace("data:", "Data :"), "Hi you"),
    # Tools
    Deviation(
        "calls that are no list",
        json.dumps(whole(tool_calls={"id": "1", "function": {"name": "a", "arguments": '{"x":1}'}})),
        calls=TWO[:1],
        stream=False,
    ),
    Deviation(
        "calls in pieces, with nothing to know them by",
        sse(
            piece(function={"name": "a", "arguments": '{"x"'}),
            piece(function={"arguments": ":1}"}),
            piece(function={"name": "b", "arguments": '{"y":2}'}),
        ),
        calls=TWO,
    ),
    Deviation(
        "calls that all have one number",
        sse(
            piece(index=0, id="1", function={"name": "a", "arguments": '{"x":1}'}),
            piece(index=0, id="2", function={"name": "b", "arguments": '{"y":2}'}),
        ),
        calls=TWO,
    ),
    Deviation(
        "a name that is repeated",
        sse(
            piece(index=0, id="1", function={"name": "a", "arguments": '{"x"'}),
            piece(index=0, id="1", function={"name": "a", "arguments": ":1}"}),
        ),
        calls=TWO[:1],
    ),
    Deviation(
        "arguments as an object",
        json.dumps(whole(tool_calls=[{"function": {"name": "a", "arguments": {"x": 1}}}])),
        calls=TWO[:1],
        stream=False,
    ),
    Deviation("no arguments", json.dumps(whole(tool_calls=[{"id": "", "function": {"name": "a"}}])), calls=(("a", "{}"),), stream=False),
    Deviation("an old call", json.dumps(whole(function_call={"name": "a", "arguments": '{"x":1}'})), calls=TWO[:1], stream=False),
    # Errors
    Deviation("an HTML page", "<html><title>Log &amp; in</title>x</html>", error=r"protocol.*Log & in$", content_type="text/html"),
    Deviation("an HTML error", "<html><body><h1>Bad\n gateway</h1></body></html>", error="answered 403: Bad gateway$", status=403),
    Deviation("a detail", '{"detail": "Not here"}', error="answered 404: Not here$", status=404, stream=False),
    Deviation(
        "details in a list", '{"detail": [{"loc": ["body", "top_k"], "msg": "too big"}]}', error=r"422: too big; body\.top_k", status=422
    ),
    Deviation("an error as a text", '{"error": "worn out"}', error="reported an error: worn out$", stream=False),
    Deviation(
        "one service's error in the words of another",
        json.dumps({"error": {"message": "Provider", "metadata": {"raw": json.dumps({"error": {"message": "worn out"}})}}}),
        error="Provider; worn out",
        status=402,
    ),
    Deviation(
        "a status within",
        '{"base_resp": {"status_code": 1004, "status_msg": "worn out"}}',
        error="not of its protocol.*worn out",
        stream=False,
    ),
    Deviation("a list of errors", '[{"error": {"message": "worn out"}}]', error="answered 400: worn out", status=400),
    Deviation("an error without words", "", error="answered 418: ", status=418),
    Deviation("a key where a page is cut", "<p>" + "x" * 495 + "sk-PLANTED</p>", error=r"protocol.*x\*\*\*$", content_type="text/html"),
    Deviation("a key in an error", '{"error": {"message": "wrong key sk-PLANTED"}}', error=r"401: wrong key \*\*\*$", status=401),
    Deviation("JSON of another kind", '{"ok": 1}', error="not of its protocol", stream=False),
    Deviation("null", "null", error="broke off", stream=False),
    Deviation("a number", "5", error="not of its protocol", stream=False),
    # The other protocols
    Deviation("anthropic: whole for a stream", json.dumps(MESSAGE), "Hi you", adapter="anthropic"),
    Deviation(
        "anthropic: the kind only as the event's name",
        "event: content_block_delta\n" + sse({"index": 0, "delta": {"type": "text_delta", "text": "Hi you"}}),
        "Hi you",
        adapter="anthropic",
    ),
    Deviation(
        "anthropic: thoughts",
        json.dumps({"content": [{"type": "thinking", "thinking": "Hmm", "signature": "s"}, *MESSAGE["content"]]}),
        "Hi you",
        "Hmm",
        adapter="anthropic",
        stream=False,
    ),
    Deviation(
        "anthropic: a block of no known kind",
        json.dumps(MESSAGE | {"content": [{"type": "server_tool_use", "id": "1", "name": "search"}, *MESSAGE["content"]]}),
        "Hi you",
        adapter="anthropic",
        unread=("server_tool_use",),
        stream=False,
    ),
    Deviation(
        "google: pictures and code",
        json.dumps(
            {
                "candidates": [
                    {
                        "content": {
                            "parts": [
                                {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                                {"executableCode": {"code": "1"}},
                                {"text": "Hi", "thoughtSignature": "s"},
                                {"thoughtSignature": "s"},
                            ]
                        }
                    }
                ]
            }
        ),
        "Hi",
        adapter="google",
        images=("data:image/png;base64,AAAA",),
        unread=("executableCode",),
        stream=False,
    ),
    Deviation("google: a list for a stream", json.dumps([GEMINI], indent=1), "Hi you", adapter="google"),
    Deviation(
        "google: thoughts",
        json.dumps({"candidates": [{"content": {"parts": [{"text": "Hmm", "thought": True}, {"text": "Hi"}]}}]}),
        "Hi",
        "Hmm",
        adapter="google",
        stream=False,
    ),
    Deviation("ollama: events for lines", sse(OLLAMA), "Hi you", adapter="ollama"),
    Deviation(
        "ollama: thoughts", json.dumps({"message": {"content": "Hi", "thinking": "Hmm"}, "done": True}), "Hi", "Hmm", adapter="ollama"
    ),
]


@attrs.define
class RawService:
    """Answers each request with the next of its answers, the last of them again and again.

    Attributes:
        seen: The requests: their first lines, their headers with names in small letters, what their JSON says.
    """

    url: str = ""
    answers: list[bytes] = attrs.field(factory=list)
    seen: list[tuple[str, dict[str, str], Any]] = attrs.field(factory=list)

    def answer(self, body: str | bytes, status: int = 200, content_type: str | None = "application/json", **headers: str) -> None:
        """Have it answer so next."""
        data = body.encode() if isinstance(body, str) else body
        lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(data)}", "Connection: close"]
        lines += [f"Content-Type: {content_type}"] if content_type else []
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.answers.append("\r\n".join([*lines, "", ""]).encode() + data)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.seen.append((first, headers, json.loads(body) if body else None))
        writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
        await writer.drain()
        writer.close()


@asynccontextmanager
async def raw_service() -> AsyncIterator[RawService]:
    """Run the service on a free port of this machine."""
    service = RawService()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    async with server:
        service.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield service
