"""What happens, as it is told: a class for each event of an execution, and for each notice to everyone.

These classes are the protocol's own documentation. A message is `{"type": …, "payload": {…}}`: the type is the class's, the payload has its
fields in camelCase, those that are `None` left out, and of an event of an execution also `promptId` and `seq`. An event is made once and
shared by all who see it; its JSON is made once too, for all who see it at the same time.
"""

import enum
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, TypeVar

import attrs

from tavernkeep.wire import as_told, dumps, named, wire_name

E = TypeVar("E", bound="Event")

_LARGE: Final = 64 * 1024  # bytes of a message that are not kept beside the values that it has
INTERFACE_OUTPUTS: Final = "__WORKFLOW_INTERFACE_OUTPUTS__"  # the `nodeId` under which a workflow's own outputs are told


class ExecutionStatus(enum.StrEnum):
    """Where an execution stands."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETE = "complete"
    ERROR = "error"
    INTERRUPTED = "interrupted"

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self not in (ExecutionStatus.QUEUED, ExecutionStatus.RUNNING)


@attrs.define(eq=False)
class Event:
    """One thing that happened. A plugin tells of its own by a class of its own, with a `type` of its own.

    Not frozen only because a frozen class costs twice as much to make and one is made for every message: nobody but who publishes it
    changes it. Its values are plain data that nobody changes any more.

    Attributes:
        execution_id: The execution that it belongs to; empty for a notice to everyone.
        seq: Its number within its execution, from 1.
    """

    type: ClassVar[str]

    execution_id: str = attrs.field(default="", init=False, metadata=named("promptId"))
    seq: int = attrs.field(default=0, init=False, metadata=named("seq"))
    _json: bytes | None = attrs.field(default=None, init=False, repr=False)

    def of(self: E, execution_id: str, seq: int) -> E:
        """Itself, as this event of this execution."""
        self.execution_id, self.seq = execution_id, seq
        return self

    @property
    def payload(self) -> dict[str, Any]:
        """Its fields as they go out; made anew each time."""
        class_: Any = type(self)
        return as_told(class_)(self)

    def json(self) -> bytes:
        """The message as it goes out: `{"type": …, "payload": …}`."""
        self._json = self._json or dumps({"type": self.type, "payload": self.payload})
        return self._json

    def let_go(self) -> None:
        """Keep the message no longer where it is large: its values are held as well, as long as it can be asked for."""
        if self._json is not None and len(self._json) > _LARGE:
            self._json = None


# Events of an execution


@attrs.define(eq=False)
class StatusUpdate(Event):
    """The execution stands elsewhere; the last event of each is a final status.

    Attributes:
        error_info: What it failed of, or why it was interrupted: `{message, type?, nodes?}`.
    """

    type: ClassVar = "EXECUTION_STATUS_UPDATE"
    status: ExecutionStatus = attrs.field(converter=ExecutionStatus)
    error_info: Mapping[str, Any] | None = None


@attrs.define(eq=False)
class NodeExecuting(Event):
    """A node has started."""

    type: ClassVar = "NODE_EXECUTING"
    node_id: str


@attrs.define(eq=False)
class NodeProgress(Event):
    """How far a node is: `value` of `max`."""

    type: ClassVar = "NODE_PROGRESS"
    node_id: str
    value: float
    max: float


@attrs.define(eq=False)
class NodeComplete(Event):
    """A node has completed; last of all, the workflow's own outputs, as those of the node `__WORKFLOW_INTERFACE_OUTPUTS__`.

    Attributes:
        output: Its outputs by slot, without those that are streams.
        not_taken: Of a node that picks a way, the outputs that it did not pick.
        cached: `true` when they were remembered and the node did not run.
        live: The outputs that are no data: of these there is only a description.
    """

    type: ClassVar = "NODE_COMPLETE"
    node_id: str
    output: Mapping[str, Any]
    not_taken: Sequence[str] | None = None
    cached: bool | None = None
    live: Sequence[str] | None = None


@attrs.define(eq=False)
class NodeError(Event):
    """A node has failed.

    Attributes:
        error_details: `{message, type, nodeId, nodeType, slot?, retryable?}`.
    """

    type: ClassVar = "NODE_ERROR"
    node_id: str
    error_details: Mapping[str, Any]


@attrs.define(eq=False)
class NodeSkipped(Event):
    """A node does not run: it depends on a failed one, or on a way that is not taken, or does not run in a preview."""

    type: ClassVar = "NODE_SKIPPED"
    node_id: str
    reason: str


@attrs.define(eq=False)
class NodeRetrying(Event):
    """An attempt failed, and there will be another.

    Attributes:
        attempt: Which one is next, from 2.
        attempts: How many there are at most.
        wait_s: How long until then, in seconds.
        error_details: As of `NODE_ERROR`.
    """

    type: ClassVar = "NODE_RETRYING"
    node_id: str
    attempt: int
    attempts: int
    wait_s: float = attrs.field(metadata=named("waitS"))
    error_details: Mapping[str, Any]


@attrs.define(eq=False)
class NodeWaiting(Event):
    """A node waits for a person, who answers with `NODE_INPUT`.

    Attributes:
        question: What it asks: its fields stand in the payload themselves, mostly `question`, `choices`, `data` and, after an answer that
            it could not use, `refused`.
    """

    type: ClassVar = "NODE_WAITING"
    node_id: str
    question: Mapping[str, Any] = attrs.field(metadata={"flat": True})

    @property
    def payload(self) -> dict[str, Any]:
        """Its fields as they go out, with those of the question; made anew each time."""
        told = super().payload
        return {**told.pop("question"), **told}


@attrs.define(eq=False)
class NodeAnswered(Event):
    """A person has answered a node that waited."""

    type: ClassVar = "NODE_ANSWERED"
    node_id: str
    value: Any = None


@attrs.define(eq=False)
class NodeBypassed(Event):
    """A node is bypassed.

    Attributes:
        pseudo_outputs: What it gives instead of its outputs.
    """

    type: ClassVar = "NODE_BYPASSED"
    node_id: str
    pseudo_outputs: Mapping[str, Any]


@attrs.define(eq=False)
class NodeYield(Event):
    """A node gave a chunk; after `NODE_COMPLETE` of one that streams nothing, that there are none.

    Attributes:
        yielded_content: The chunk: `{type, content, slot?, …}`.
        is_last_chunk: A client closes its view of the stream on it.
    """

    type: ClassVar = "NODE_YIELD"
    source_node_id: str
    yielded_content: Mapping[str, Any]
    is_last_chunk: bool


@attrs.define(eq=False)
class InterfaceYield(Event):
    """A streamed output of the workflow gave a chunk; of the last, `is_last_chunk` is true."""

    type: ClassVar = "WORKFLOW_INTERFACE_YIELD"
    interface_output_key: str
    yielded_content: Mapping[str, Any]
    is_last_chunk: bool
    interface_output_display_name: str | None = None


# Notices to everyone


@attrs.define(eq=False)
class Notice(Event):
    """What happened to no execution."""


@attrs.define(eq=False)
class QueueUpdate(Notice):
    """How many executions run and wait; when either changes."""

    type: ClassVar = "SYSTEM_QUEUE_UPDATE"
    running_executions: int
    pending_executions: int


@attrs.define(eq=False)
class NodesReloaded(Notice):
    """The node types were read anew."""

    type: ClassVar = "NODES_RELOADED"
    success: bool
    message: str | None = None
    count: int | None = None


@attrs.define(eq=False)
class PluginsReloaded(Notice):
    """The plugins were read anew."""

    type: ClassVar = "plugins-reloaded"
    message: str
    reloaded_plugin_count: int


@attrs.define(eq=False)
class PluginEnabled(Notice):
    """A plugin was switched on: as `GET /api/plugins` shows it."""

    type: ClassVar = "plugin-enabled"
    plugin: Mapping[str, Any]


@attrs.define(eq=False)
class PluginDisabled(Notice):
    """A plugin was switched off: as `GET /api/plugins` shows it."""

    type: ClassVar = "plugin-disabled"
    plugin: Mapping[str, Any]
    plugin_name: str


PROTOCOL: Final[Mapping[str, type[Event]]] = {
    class_.type: class_
    for class_ in (
        StatusUpdate,
        NodeExecuting,
        NodeProgress,
        NodeComplete,
        NodeError,
        NodeSkipped,
        NodeRetrying,
        NodeWaiting,
        NodeAnswered,
        NodeBypassed,
        NodeYield,
        InterfaceYield,
        QueueUpdate,
        NodesReloaded,
        PluginsReloaded,
        PluginEnabled,
        PluginDisabled,
    )
}


@attrs.define(eq=False)
class ToldBefore(Event):
    """An event of an execution that has no class here: a plugin's own, as it was told."""

    type: str  # type: ignore[misc] # of all others it is the class's
    fields: Mapping[str, Any]

    @property
    def payload(self) -> dict[str, Any]:
        """As it was; made anew each time."""
        return {**self.fields, "promptId": self.execution_id, "seq": self.seq}


def told_before(type_: str, payload: Mapping[str, Any]) -> Event:
    """The event of an execution that was told with a message; what its class does not know of it is left out.

    Raises:
        KeyError: It is no event of an execution, or lacks a field.
        TypeError: As above.
    """
    fields = dict(payload)
    execution_id, seq = fields.pop("promptId"), fields.pop("seq")
    class_ = PROTOCOL.get(type_)
    if class_ is None:
        return ToldBefore(type_, fields).of(execution_id, seq)
    if class_ is NodeWaiting:
        return NodeWaiting(fields.pop("nodeId"), fields).of(execution_id, seq)
    known = {field.name: fields[wire_name(field)] for field in attrs.fields(class_) if field.init and wire_name(field) in fields}
    return class_(**known).of(execution_id, seq)
