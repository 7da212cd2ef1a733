"""Puts an answer together from its pieces, the same for every protocol: text, reasoning, tool calls, usage, and why it ended."""

import uuid
from collections.abc import Mapping
from typing import Any, Final

from tavernkeep import Chunk
from tavernkeep.wire import dumps
from tavernkeep_nodes_llm.contracts import LlmResponse

Event = Mapping[str, Any]
_OPEN, _CLOSE = "<think>", "</think>"
_MOST_BLANKS: Final = 1000  # characters before a block of thoughts
_REASONING_PARTS: Final = ("thinking", "reasoning", "reasoning_content", "thought")


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
        self._texts: list[str] = []
        self._reasons: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._numbers: dict[Any, int] = {}  # of calls, by what the service calls them
        self._waiting = ""  # what may be the beginning of a tag
        self._inside: bool | None = None  # of a block of thoughts; `None` while that cannot be said

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
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._texts), **self.message}
        if self._reasons:
            message["reasoning_content"] = "".join(self._reasons)
        if self._calls:
            message["tool_calls"] = self._calls
            for call in self._calls:
                call["function"]["arguments"] = call["function"]["arguments"] or "{}"
        reason = "tool_calls" if self._calls and self.finish_reason in (None, "stop") else self.finish_reason or "stop"
        choices = [{"index": 0, "message": message, "finish_reason": reason}]
        text, thoughts = message["content"], message.get("reasoning_content")
        return LlmResponse(text, self.model, reason, self.usage, choices, self.id, raw, thoughts)

    # What events are made of

    def content(self, given: Any) -> list[Chunk]:
        """A text, or parts of one; parts of reasoning go where they belong."""
        if given is None:
            return []
        if isinstance(given, str):
            return self._text(given)
        chunks: list[Chunk] = []
        for part in given if isinstance(given, list) else [given]:
            if isinstance(part, str):
                chunks += self._text(part)
            elif part.get("type") in _REASONING_PARTS:
                chunks += self.thought(next((part[key] for key in (*_REASONING_PARTS, "text") if part.get(key)), None))
            else:
                chunks += self.content(next((part[key] for key in ("text", "content", "refusal") if part.get(key)), None))
        return chunks

    def thought(self, given: Any) -> list[Chunk]:
        """A piece of reasoning."""
        if isinstance(given, list):
            return [chunk for part in given for chunk in self.thought(part.get("text") if isinstance(part, Mapping) else part)]
        if not isinstance(given, str) or not given:
            return []
        self._reasons.append(given)
        return [Chunk("custom", {"reasoning": given})]

    def end(self) -> list[Chunk]:
        """What was held back, as it might have been the beginning of a tag."""
        rest, self._waiting = self._waiting, ""
        return self.thought(rest) if self._inside else self._say(rest)

    def _text(self, piece: str) -> list[Chunk]:
        """A piece of text; a block of thoughts that it begins with is reasoning."""
        if self._inside is False:
            return self._say(piece)
        self._waiting += piece
        if self._inside is None:
            begun = self._waiting.lstrip()
            if self._reasons:  # blank lines between the thoughts and the answer
                self._waiting = begun
            if len(begun) < len(_OPEN) and _OPEN.startswith(begun.lower()) and len(self._waiting) <= _MOST_BLANKS:
                return []
            self._inside = begun[: len(_OPEN)].lower() == _OPEN
            if not self._inside:
                return self.end()
            self._waiting = begun[len(_OPEN) :].lstrip("\n")
        before, tag, after = self._waiting.partition(_CLOSE)
        if not tag:
            held = next((size for size in range(len(_CLOSE) - 1, 0, -1) if before.endswith(_CLOSE[:size])), 0)
            cut = len(before) - held
            self._waiting = before[cut:]
            return self.thought(before[:cut])
        chunks = self.thought(before)
        # The next block of thoughts, or the blank lines before the answer, come the same way.
        self._waiting, self._inside = "", None
        return chunks + self._text(after.lstrip())

    def _say(self, text: str) -> list[Chunk]:
        if not text:
            return []
        self._texts.append(text)
        return [Chunk("text_chunk", text)]

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
