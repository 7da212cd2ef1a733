"""Puts an answer together from its pieces, the same for every protocol: text, reasoning, tool calls, usage, and why it ended."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog

from tavernkeep import Chunk
from tavernkeep.wire import dumps
from tavernkeep_nodes_llm.adapters.thoughts import Piece, Thoughts
from tavernkeep_nodes_llm.contracts import LlmResponse

Event = Mapping[str, Any]
_TEXTS: Final = ("text", "content", "refusal")
_REASONING_PARTS: Final = ("thinking", "reasoning", "reasoning_content", "thought")


_log = structlog.get_logger(__name__)


def picture_in(part: Mapping[str, Any]) -> str | None:
    """The picture that a part of an answer is, as an address or a `data:` URL, in the words of any protocol."""
    for key in ("image_url", "image", "imageUrl"):
        inner = part.get(key)
        url = inner.get("url") if isinstance(inner, Mapping) else inner
        if isinstance(url, str) and url:
            return url
    found = (part.get(key) for key in ("inlineData", "inline_data", "source"))
    inner = next((item for item in found if isinstance(item, Mapping)), part)
    kind = str(inner.get("mimeType") or inner.get("mime_type") or inner.get("media_type") or "")
    if kind.startswith("image/") and isinstance(inner.get("data"), str):
        return f"data:{kind};base64,{inner['data']}"
    if part.get("type") == "image" and isinstance(inner.get("url"), str):
        return str(inner["url"])
    data = part.get("result") if part.get("type") == "image_generation_call" else part.get("b64_json")
    return f"data:image/png;base64,{data}" if isinstance(data, str) and data else None


class _Characters:
    """Puts characters together whose halves come in two pieces: some services cut a text within an emoji."""

    def __init__(self) -> None:
        self._half = ""

    def take(self, piece: str) -> str:
        """The characters that are whole with a piece; a half without its other one is U+FFFD."""
        text = self._half + piece
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        text = text.removesuffix(self._half)
        return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def end(self) -> str:
        """What is left of a half."""
        half, self._half = self._half, ""
        return "\ufffd" if half else ""


class Answer:
    """An answer that comes in pieces; each protocol's own puts its events into it.

    Attributes:
        came: Whether anything of the protocol has come.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self.came = False
        self.id: str | None = None
        self.usage: Mapping[str, Any] | None = None
        self.finish_reason: str | None = None
        self.message: dict[str, Any] = {}  # further fields, which the service wants to have back
        self._speech = Thoughts()
        self._characters = {"said": _Characters(), "thought": _Characters()}
        self._pictures: list[dict[str, Any]] = []
        self._unread: list[str] = []
        self._reasons: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._numbers: dict[Any, int] = {}  # of calls, by what the service calls them

    def take(self, event: Event) -> list[Chunk]:
        """The chunks of one event. Raises `LookupError`, `TypeError`, `AttributeError` or `ValueError` for one of another protocol."""
        raise NotImplementedError

    def finish(self, *, ended: bool, raw: Event | None = None) -> LlmResponse | None:
        """The whole; `None` when it is not whole.

        Args:
            ended: Nothing more comes: the service has said so outside of any event, or has sent as much as it announced.
        """
        if not self.came or (self.finish_reason is None and not ended):
            return None
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._speech.said), **self.message}
        if self._reasons:
            message["reasoning_content"] = "".join(self._reasons)
        if self._pictures:
            message["images"] = self._pictures
        if self._calls:
            message["tool_calls"] = self._calls
            for call in self._calls:
                call["function"]["arguments"] = call["function"]["arguments"] or "{}"
        reason = "tool_calls" if self._calls and self.finish_reason in (None, "stop") else self.finish_reason or "stop"
        choices = [{"index": 0, "message": message, "finish_reason": reason}]
        text, thoughts = message["content"], message.get("reasoning_content")
        pictures = [picture["image_url"]["url"] for picture in self._pictures]
        return LlmResponse(text, self.model, reason, self.usage, choices, self.id, raw, thoughts, pictures or None, self._unread or None)

    # What events are made of

    def count(self, usage: Any) -> None:
        """How many tokens there were, where a service tells; later numbers go before earlier ones."""
        if isinstance(usage, Mapping) and usage:
            self.usage = {key: value for key, value in usage.items() if value is not None}

    def content(self, given: Any) -> list[Chunk]:
        """A text, or parts of one; reasoning and pictures among them go where they belong, and what is none of these is named."""
        if given is None:
            return []
        if isinstance(given, str):
            return self._told(self._speech.take(self._characters["said"].take(given)))
        chunks: list[Chunk] = []
        for part in given if isinstance(given, list) else [given]:
            if isinstance(part, str):
                chunks += self.content(part)
            elif part.get("type") in _REASONING_PARTS:
                chunks += self.thought(next((part[key] for key in (*_REASONING_PARTS, "text") if part.get(key)), None))
            elif (url := picture_in(part)) is not None:
                chunks += self.picture(url)
            elif any(key in part for key in _TEXTS):
                chunks += self.content(next((part[key] for key in _TEXTS if part.get(key)), None))
            else:
                chunks += self.unread(part.get("type") or ", ".join(part))
        return chunks

    def thought(self, given: Any) -> list[Chunk]:
        """A piece of reasoning."""
        if isinstance(given, list):
            return [chunk for part in given for chunk in self.thought(part.get("text") if isinstance(part, Mapping) else part)]
        given = self._characters["thought"].take(given) if isinstance(given, str) else None
        if not given:
            return []
        self._speech.thought()
        self._reasons.append(given)
        return [Chunk("custom", {"reasoning": given})]

    def end(self) -> list[Chunk]:
        """What was held back, as it might have been the beginning of a tag."""
        chunks = self.thought(self._characters["thought"].end())
        return chunks + self._told([*self._speech.take(self._characters["said"].end()), *self._speech.end()])

    def picture(self, url: str) -> list[Chunk]:
        """A picture, by its address or as a `data:` URL."""
        self._pictures.append({"type": "image_url", "image_url": {"url": url}})
        shown = url.partition(";")[0] if url.startswith("data:") else url
        return [Chunk("custom", {"image": shown})]

    def unread(self, kind: Any) -> list[Chunk]:
        """A part of a kind that is not read: it is named."""
        name = str(kind)[:100]
        if name not in self._unread:
            self._unread.append(name)
            _log.warning("a part of an answer is of a kind that is not read", model=self.model, kind=name)
        return []

    def _told(self, pieces: Iterable[Piece]) -> list[Chunk]:
        chunks: list[Chunk] = []
        for kind, text in pieces:
            if kind == "said":
                chunks.append(Chunk("text_chunk", text))
            else:
                self._reasons.append(text)
                chunks.append(Chunk("custom", {"reasoning": text} | ({"retracted": True} if kind == "retracted" else {})))
        return chunks

    def call(self, given: Mapping[str, Any], key: Any = None, **more: Any) -> list[Chunk]:
        """A tool call, or a piece of one.

        Args:
            key: What the service calls it among the calls of this answer, such as its number; often it calls it nothing.
            more: Fields of the call that the service wants to have back.
        """
        function = given.get("function") or {}
        id_, name, arguments = given.get("id") or None, function.get("name") or "", function.get("arguments")
        if arguments is not None and not isinstance(arguments, str):
            arguments = dumps(arguments).decode()
        number = self._number(key, id_, name)
        if number is None:
            number = len(self._calls)
            made = {"id": id_ or f"call_{uuid.uuid4().hex[:12]}", "type": "function", "function": {"name": "", "arguments": ""}}
            self._calls.append(made)
        if key is not None:
            self._numbers["key", key] = number
        if id_ is not None:
            self._numbers["id", id_] = number
        call = self._calls[number]
        call.update(more)
        if id_ is not None:
            call["id"] = id_
        if name != call["function"]["name"]:  # some repeat it with every piece
            call["function"]["name"] += name
        call["function"]["arguments"] += arguments or ""
        told = {"arguments": arguments or ""} | ({"name": name} if name else {})
        return [Chunk("tool_call_chunk", {"index": number, "id": call["id"], "type": "function", "function": told})]

    def _number(self, key: Any, id_: str | None, name: str) -> int | None:
        """Which call a piece belongs to; `None` for a new one."""
        if id_ is not None and ("id", id_) in self._numbers:
            return self._numbers["id", id_]
        if key is not None:
            number = self._numbers.get(("key", key))
            # Some give every call the same number: a further id with a further name is a further call.
            return None if number is not None and id_ is not None and name and self._calls[number]["function"]["name"] else number
        return len(self._calls) - 1 if self._calls and id_ is None and not name else None
