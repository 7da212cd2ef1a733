"""A real WebSocket client that speaks the protocol, for tests that are coroutines (`Viewer`) and for those that are not (`Socket`)."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
from websockets.asyncio.client import ClientConnection, connect

from tavernkeep_devkit.processes import PATIENCE_S

Message = dict[str, Any]
FINAL: Final = ("complete", "error", "interrupted")


@attrs.define
class Viewer:
    """One socket."""

    socket: ClientConnection

    async def send(self, type_: str, payload: Any = None) -> None:
        """Send a message."""
        await self.socket.send(json.dumps({"type": type_, "payload": payload}))

    async def receive(self) -> Message:
        """The next message."""
        async with asyncio.timeout(PATIENCE_S):
            message: Message = json.loads(await self.socket.recv())
        return message

    async def receive_any(self) -> Any:
        """The next frame: a message, or a list of them where several may come at once."""
        async with asyncio.timeout(PATIENCE_S):
            return json.loads(await self.socket.recv())

    async def until(self, wanted: Callable[[Message], bool]) -> list[Message]:
        """All messages up to the first that is wanted; notices to everyone are left out."""
        messages: list[Message] = []
        while not messages or not wanted(messages[-1]):
            message = await self.receive()
            if message["type"] != "SYSTEM_QUEUE_UPDATE" or wanted(message):
                messages.append(message)
        return messages

    async def run(self, payload: Mapping[str, Any]) -> list[Message]:
        """Submit a workflow; gives all its messages, or the one error."""
        await self.send("PROMPT_REQUEST", payload)
        return await self.until(lambda m: m["type"] == "error" or is_final(m))

    async def error(self) -> Message:
        """The next message, which must be an error."""
        (message,) = await self.until(lambda m: m["type"] != "SYSTEM_QUEUE_UPDATE")
        assert message["type"] == "error", message
        return message


@attrs.frozen
class Socket:
    """A `Viewer` for tests that are no coroutines.

    Attributes:
        wait: Does what the viewer does in the event loop that it lives in.
    """

    viewer: Viewer
    wait: Callable[[Any], Any] = attrs.field(repr=False)

    def send(self, type_: str, payload: Any = None) -> None:
        """Send a message."""
        self.wait(self.viewer.send(type_, payload))

    def receive(self) -> Message:
        """The next message."""
        message: Message = self.wait(self.viewer.receive())
        return message

    def until(self, wanted: Callable[[Message], bool]) -> list[Message]:
        """All messages up to the first that is wanted; notices to everyone are left out."""
        messages: list[Message] = self.wait(self.viewer.until(wanted))
        return messages

    def run(self, payload: Mapping[str, Any]) -> list[Message]:
        """Submit a workflow; gives all its messages, or the one error."""
        messages: list[Message] = self.wait(self.viewer.run(payload))
        return messages


def is_final(message: Message) -> bool:
    """Whether an execution has ended with it."""
    return message["type"] == "EXECUTION_STATUS_UPDATE" and message["payload"]["status"] in FINAL


@asynccontextmanager
async def viewer(url: str, **options: Any) -> AsyncIterator[Viewer]:
    """Open a socket."""
    async with connect(url, max_size=None, proxy=None, **options) as socket:
        yield Viewer(socket)


def of_node(messages: list[Message], node: str) -> list[Message]:
    """The messages of one node, in order."""
    return [m for m in messages if node in (m["payload"].get("nodeId"), m["payload"].get("sourceNodeId"))]


def types(messages: list[Message]) -> list[str]:
    """The type of each message."""
    return [message["type"] for message in messages]


def output_of(messages: list[Message], node: str) -> Any:
    """What a node gave."""
    (complete,) = [m for m in of_node(messages, node) if m["type"] == "NODE_COMPLETE"]
    return complete["payload"]["output"]


def text_of(messages: list[Message], node: str) -> str:
    """The text that a node streamed."""
    chunks = [m["payload"]["yieldedContent"] for m in of_node(messages, node) if m["type"] == "NODE_YIELD"]
    return "".join(chunk["content"] for chunk in chunks if chunk["type"] == "text_chunk")


def statuses(messages: list[Message]) -> list[str]:
    """What became of the execution, in order."""
    return [m["payload"]["status"] for m in messages if m["type"] == "EXECUTION_STATUS_UPDATE"]
