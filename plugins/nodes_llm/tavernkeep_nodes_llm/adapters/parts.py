"""Messages in OpenAI's notation, which nodes use, taken apart for the other protocols."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from tavernkeep.wire import Invalid, Problem, describe, dumps, loads
from tavernkeep_nodes_llm.adapters.questions import said_messages
from tavernkeep_nodes_llm.contracts import LlmError

_OPENING: Final = "Begin."  # what a person says before a greeting, where one must
_DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.DOTALL)


@attrs.frozen
class Text:
    """A piece of text."""

    text: str


@attrs.frozen
class Picture:
    """A picture: its data in base64 with its media type, or else its address."""

    url: str
    media_type: str | None = None
    data: str | None = None

    def needs_data(self, service: str) -> tuple[str, str]:
        """The media type and the data.

        Raises:
            LlmError: There is only an address.
        """
        if self.media_type is None or self.data is None:
            raise LlmError(f"{service} takes pictures only as data: URLs, not by their address")
        return self.media_type, self.data


def parts_of(content: Any) -> Iterator[Text | Picture]:
    """The parts of a message's content.

    Raises:
        LlmError: A part is neither text nor a picture.
    """
    if content is None:
        return
    if isinstance(content, str):
        if content.strip():
            yield Text(content)
        return
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            part = {"type": "text", "text": part}
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text" and isinstance(part.get("text"), str):
            if part["text"].strip():
                yield Text(part["text"])
        elif kind == "image_url":
            yield picture_of(part.get("image_url"))
        else:
            raise LlmError(f"a message has a part that is neither text nor a picture: {kind or type(part).__name__}")


def picture_of(image: Any) -> Picture:
    """A picture of an `image_url` part.

    Raises:
        LlmError: It is none.
    """
    url = image.get("url") if isinstance(image, dict) else image
    if not isinstance(url, str):
        raise LlmError("a picture has no url")
    if not url.startswith("data:"):
        return Picture(url)
    match = _DATA_URL.fullmatch(url)
    try:
        if match is None:
            raise ValueError
        base64.b64decode(match[2], validate=True)
    except (ValueError, binascii.Error):
        raise LlmError("a picture's data: URL is not of the form data:image/…;base64,…") from None
    return Picture(url, match[1], match[2])


def text_of(content: Any) -> str:
    """The text of a message's content; pictures are left out."""
    return "\n".join(part.text for part in parts_of(content) if isinstance(part, Text))


def split_system(messages: Sequence[Mapping[str, Any]]) -> tuple[str, list[Mapping[str, Any]]]:
    """The texts of the system messages, and the other messages: for protocols in which they go different ways."""
    system = [text_of(message.get("content")) for message in messages if message["role"] in ("system", "developer")]
    return "\n\n".join(filter(None, system)), [message for message in messages if message["role"] not in ("system", "developer")]


def conversation_of(messages: Sequence[Mapping[str, Any]]) -> tuple[str, list[Mapping[str, Any]]]:
    """The text of the system messages and the other messages, for protocols in which a person must speak, and speak first."""
    system, others = split_system(messages)
    others = said_messages(others)
    if not others and system:
        return "", [{"role": "user", "content": system}]
    if others and others[0]["role"] == "assistant":
        others.insert(0, {"role": "user", "content": _OPENING})
    return system, others


def arguments_of(call: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a tool call; an object in any case."""
    try:
        return read_arguments(call)
    except Invalid:
        return {}


def read_arguments(call: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a tool call, which OpenAI writes as JSON in a string; some services write the JSON of that once more.

    Raises:
        Invalid: They are no JSON object.
    """
    arguments = (call.get("function") or {}).get("arguments")
    for _ in range(2):
        if isinstance(arguments, str):
            arguments = loads(arguments) if arguments.strip() else {}
    if arguments is None:
        return {}
    if not isinstance(arguments, dict):
        raise Invalid([Problem("", f"expected a JSON object, got {describe(arguments)}")])
    return arguments


def tool_call(id_: str, name: str, arguments: Any) -> dict[str, Any]:
    """A tool call as OpenAI writes it."""
    text = arguments if isinstance(arguments, str) else dumps(arguments).decode()
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": text}}


def renamed(parameters: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Those of the parameters that have another name in a protocol, under that name."""
    return {theirs: parameters[ours] for ours, theirs in names.items() if parameters.get(ours) is not None}


def functions_of(parameters: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The functions among the tools of a request."""
    return [tool["function"] for tool in parameters.get("tools") or () if isinstance(tool, dict) and isinstance(tool.get("function"), dict)]
