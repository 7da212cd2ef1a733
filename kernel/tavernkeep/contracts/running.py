"""What a running node has to do with: chunks, outputs, failures, the context that it is handed."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

import attrs
import structlog

from tavernkeep.contracts.auth import UserContext
from tavernkeep.contracts.services import Services
from tavernkeep.contracts.slots import ConfigValues
from tavernkeep.contracts.workflow import InterfaceSlot, WorkflowPayload

T = TypeVar("T")


@attrs.frozen
class Chunk:
    """A piece of a stream.

    Attributes:
        type: `text_chunk`, `tool_call_chunk`, `finish_reason_chunk`, `usage_chunk`, `error_chunk` or `custom`.
        slot: The one stream output it goes to; all of them when `None`.
        extra: Further fields, sent as they are.
    """

    type: str
    content: Any
    slot: str | None = None
    extra: Mapping[str, Any] | None = None

    @property
    def is_last(self) -> bool:
        """Whether a client closes its view of the stream on it."""
        return self.type in ("finish_reason_chunk", "error_chunk")

    def to_wire(self) -> dict[str, Any]:
        """The chunk as the messages carry it."""
        wire = {"type": self.type, "content": self.content}
        if self.slot is not None:
            wire["slot"] = self.slot
        if self.extra:
            wire.update(self.extra)
        return wire

    @classmethod
    def of(cls, value: object) -> "Chunk":
        """A chunk made of any value: itself, a mapping with a `type` and a `content`, a string, or anything else as `custom`."""
        if isinstance(value, Chunk):
            return value
        if isinstance(value, str):
            return cls("text_chunk", value)
        if isinstance(value, Mapping) and isinstance(value.get("type"), str) and "content" in value:
            extra = {key: item for key, item in value.items() if key not in ("type", "content", "slot")}
            return cls(value["type"], value["content"], value.get("slot"), extra or None)
        return cls("custom", value)


class Outputs(dict[str, Any]):
    """What a streaming node yields, besides its chunks, to set its batch outputs: `yield Outputs(text="…")`."""


class Routed(dict[str, Any]):
    """The outputs of a node that picks a way: `Routed({"yes": value}, not_taken=["no"])`.

    What only depends on a way that is not taken is skipped, which is no failure; an input that takes several edges goes on without it.
    """

    def __init__(self, outputs: Mapping[str, Any], not_taken: Iterable[str]) -> None:
        super().__init__(outputs)
        self.not_taken = frozenset(not_taken)


class Stream(Protocol):
    """What a stream input hands the node: an iterator of chunks that waits for its source.

    Iterating raises `StreamFailed` when the source fails half way.
    """

    def __aiter__(self) -> AsyncIterator[Chunk]: ...


class StreamFailed(Exception):
    """The node that feeds a stream failed before it ended."""


async def merged(streams: Mapping[str, Stream]) -> AsyncGenerator[tuple[str, Chunk], None]:
    """The chunks of several streams as they come, each with its stream's key; none is read ahead by more than one.

    Raises:
        StreamFailed: One of them did.
    """
    pieces: asyncio.Queue[tuple[str, Chunk] | Exception | None] = asyncio.Queue(1)

    async def pump(key: str, stream: Stream) -> None:
        end: Exception | None = None
        try:
            async for chunk in stream:
                await pieces.put((key, chunk))
        except Exception as error:
            end = error
        await pieces.put(end)
        del end  # its trace leads here

    tasks = [asyncio.get_running_loop().create_task(pump(key, stream)) for key, stream in streams.items()]
    try:
        left = len(tasks)
        while left:
            piece = await pieces.get()
            if isinstance(piece, Exception):
                try:
                    raise piece
                finally:
                    del piece  # its trace leads here
            if piece is None:
                left -= 1
            else:
                yield piece
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class NodeFailure(Exception):
    """A failure that a node reports on purpose: its message is meant for the person who runs the workflow.

    Args:
        retryable: Whether trying again may help.
        slot: The input that is at fault.
    """

    def __init__(self, message: str, *, retryable: bool = False, slot: str | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.slot = slot


@attrs.frozen(eq=False)
class Subflow:
    """A workflow that nodes of another one run.

    Attributes:
        reference: What the other workflow calls it.
        plan: What the engine has made of it.
    """

    reference: str
    name: str
    inputs: Mapping[str, InterfaceSlot]
    outputs: Mapping[str, InterfaceSlot]
    plan: Any = attrs.field(repr=False)


class SubRun(Protocol):
    """A subflow while it runs. Iterating gives the chunks of its streamed outputs, each with its output's key, and runs it to its end."""

    @property
    def outputs(self) -> Mapping[str, Any]:
        """Its batch outputs, when it has ended."""

    def __aiter__(self) -> AsyncIterator[tuple[str, Chunk]]: ...


class Host(Protocol):
    """What the engine does for the nodes that it runs; they reach it through their `NodeContext`."""

    def progress(self, node_id: str, value: float, max_: float) -> None:
        """Tell the viewers how far a node is. May be called from any thread."""

    def ask(self, node_id: str, question: Mapping[str, Any]) -> Awaitable[Any]:
        """Put a question to the people who watch; gives the answer of the first."""

    async def load(self, reference: str) -> Subflow:
        """A workflow, ready to run.

        Raises:
            NodeFailure: There is none of that name, or it contains the workflow that asks.
        """

    async def build(self, payload: WorkflowPayload, name: str) -> Subflow:
        """A workflow that is given as it is, ready to run.

        Raises:
            NodeFailure: It cannot be run at all.
        """

    def launch(self, node_id: str, subflow: Subflow, inputs: Mapping[str, Any], name: str) -> SubRun:
        """Run a subflow on behalf of a node."""


@attrs.define
class ExecutionContext:
    """What all nodes of one execution share.

    Attributes:
        metadata: What the client sent along: `workflowName`, `projectId` and whatever else.
        interface_inputs: The values of the workflow's own inputs for this run.
        host: What the engine does for them.
        secrets: Strings that must not leave the engine in any message; nodes add to it with `NodeContext.hide`.
    """

    execution_id: str
    user: UserContext
    services: Services
    metadata: Mapping[str, Any]
    interface_inputs: Mapping[str, Any]
    host: Host = attrs.field(repr=False)
    secrets: set[str] = attrs.field(factory=set, repr=False)
    cancelled: threading.Event = attrs.field(factory=threading.Event, repr=False)


@attrs.define
class NodeContext:
    """What a running node may know of the world, and do to it."""

    execution: ExecutionContext
    node_id: str
    node_type: str
    config: ConfigValues
    _stop: threading.Event | None = attrs.field(default=None, repr=False)

    @property
    def user(self) -> UserContext:
        """Who runs the workflow."""
        return self.execution.user

    @property
    def cancelled(self) -> bool:
        """Whether the node is no longer wanted. A node that blocks in a thread looks at it now and then and returns."""
        return self.execution.cancelled.is_set() or (self._stop is not None and self._stop.is_set())

    @property
    def log(self) -> Any:
        """A structlog logger bound to this node."""
        return structlog.get_logger("tavernkeep.node").bind(
            execution=self.execution.execution_id, node=self.node_id, node_type=self.node_type
        )

    def service(self, contract: type[T]) -> T:
        """The service that a plugin registered for a contract.

        Raises:
            ServiceNotFound: No active plugin provides it.
        """
        return self.execution.services.get(contract)

    def progress(self, value: float, max_: float = 1) -> None:
        """Tell the viewers how far the node is."""
        self.execution.host.progress(self.node_id, value, max_)

    def hide(self, secret: str) -> None:
        """Keep a string out of every message of this execution from now on.

        Raises:
            TypeError: It is none.
        """
        if plain := str.__str__(secret):  # of a subclass as well: whatever becomes of it later asks nothing of the node
            self.execution.secrets.add(plain)

    async def ask(self, **question: Any) -> Any:
        """Put a question to the people who watch, as a `NODE_WAITING` message with these fields; gives the first answer."""
        return await self.execution.host.ask(self.node_id, question)

    async def workflow(self, reference: str) -> Subflow:
        """Another workflow, by its id in the same project or in the library.

        Raises:
            NodeFailure: There is none, or it contains this one.
        """
        return await self.execution.host.load(reference)

    async def build(self, payload: WorkflowPayload, name: str) -> Subflow:
        """A workflow of the node's own making, ready to run.

        Raises:
            NodeFailure: It cannot be run at all.
        """
        return await self.execution.host.build(payload, name)

    def launch(self, subflow: Subflow, inputs: Mapping[str, Any], name: str = "") -> SubRun:
        """Run another workflow; iterate over what this gives. Its nodes report as `NODE/INNER`, or `NODE/NAME/INNER` with a name."""
        return self.execution.host.launch(self.node_id, subflow, inputs, name)

    async def call(self, subflow: Subflow, inputs: Mapping[str, Any], name: str = "") -> Mapping[str, Any]:
        """Run another workflow to its end; gives its outputs, streamed ones as their text.

        Raises:
            NodeFailure: One of its nodes failed.
        """
        run = self.launch(subflow, inputs, name)
        texts: dict[str, list[str]] = {}
        async for key, chunk in run:
            pieces = texts.setdefault(key, [])
            if chunk.type == "text_chunk":
                pieces.append(str(chunk.content))
        return {**run.outputs, **{key: "".join(pieces) for key, pieces in texts.items()}}
