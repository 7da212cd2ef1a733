"""What a node is: its slots, its modes, how it runs, and what it is handed when it does.

Most authors need only the `node` decorator of `tavernkeep.authoring`; it makes the `NodeDefinition` described here.
"""

import enum
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final, Protocol, TypeVar

import attrs
import structlog

from tavernkeep.auth import UserContext
from tavernkeep.services import Services
from tavernkeep.wire import unstructure

T = TypeVar("T")


class DataFlowType(enum.StrEnum):
    """What kind of value flows through a slot."""

    STRING = "STRING"
    INTEGER = "INTEGER"
    FLOAT = "FLOAT"
    BOOLEAN = "BOOLEAN"
    OBJECT = "OBJECT"
    ARRAY = "ARRAY"
    BINARY = "BINARY"
    WILDCARD = "WILDCARD"
    CONVERTIBLE_ANY = "CONVERTIBLE_ANY"

    @property
    def empty(self) -> Any:
        """The value that stands for nothing of this type; a new one each time."""
        return _EMPTY.get(self, lambda: None)()


_EMPTY: Final[Mapping[str, Callable[[], Any]]] = {
    "STRING": str,
    "INTEGER": int,
    "FLOAT": int,  # 0, not 0.0: that is how the protocol writes it
    "BOOLEAN": bool,
    "ARRAY": list,
    "OBJECT": dict,
}
_ANY: Final = (DataFlowType.WILDCARD, DataFlowType.CONVERTIBLE_ANY)
_TO_STRING: Final = (DataFlowType.INTEGER, DataFlowType.FLOAT, DataFlowType.BOOLEAN)

ConfigValues = Mapping[str, Any]


@attrs.frozen
class Slot:
    """An input, an output or a configuration value of a node.

    Attributes:
        config: What an editor needs to show it (`multiline`, `min`, `max`, `suggestions`, …); `default` is the value it has when
            nothing else gives one.
        required: Whether the node can run without a value; or a function of the node's configuration values that says so.
        multi: Takes several edges, and hands the node a list.
        is_stream: Carries chunks while its source is still running.
        secret: The value never appears in a message, a log line, a history row or an error.
    """

    data_flow_type: DataFlowType = DataFlowType.WILDCARD
    display_name: str | None = None
    description: str | None = None
    required: bool | Callable[[ConfigValues], bool] = False
    config: Mapping[str, Any] = attrs.field(factory=dict)
    match_categories: tuple[str, ...] = ()
    multi: bool = False
    is_stream: bool = False
    secret: bool = False
    allow_dynamic_type: bool = False
    hide_handle: bool = False
    min: float | None = None
    max: float | None = None
    actions: tuple[Mapping[str, Any], ...] = ()

    def is_required(self, config_values: ConfigValues) -> bool:
        """Whether a node with these configuration values needs a value here."""
        return self.required(config_values) if callable(self.required) else self.required

    def to_wire(self, key: str, config_values: ConfigValues) -> dict[str, Any]:
        """The slot as `GET /api/nodes` shows it."""
        wire: dict[str, Any] = {
            "key": key,
            "dataFlowType": self.data_flow_type.value,
            "displayName": self.display_name or humanized(key),
            "required": self.is_required(config_values),
        }
        optional = {
            "description": self.description,
            "config": dict(self.config),
            "matchCategories": list(self.match_categories),
            "multi": self.multi,
            "isStream": self.is_stream,
            "secret": self.secret,
            "allowDynamicType": self.allow_dynamic_type,
            "hideHandle": self.hide_handle,
            "min": self.min,
            "max": self.max,
            "actions": list(self.actions),
        }
        wire.update((name, value) for name, value in optional.items() if value not in (None, False, {}, []))
        return wire


Slots = Mapping[str, Slot]


def compatible(source: Slot, target: Slot) -> bool:
    """Whether an output of this kind may feed an input of that kind (the rule of the protocol's section on types)."""
    if source.is_stream != target.is_stream:
        return False
    given, wanted = source.data_flow_type, target.data_flow_type
    if given == wanted or given in _ANY or wanted in _ANY:
        return True
    if given is DataFlowType.INTEGER and wanted is DataFlowType.FLOAT:
        return True
    if given in _TO_STRING and wanted is DataFlowType.STRING:
        return True
    ours, theirs = source.match_categories, target.match_categories
    return "BehaviorWildcard" in ours or "BehaviorWildcard" in theirs or not set(ours).isdisjoint(theirs)


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


class Stream(Protocol):
    """What a stream input hands the node: an iterator of chunks that waits for its source.

    Iterating raises `StreamFailed` when the source fails half way.
    """

    def __aiter__(self) -> AsyncIterator[Chunk]: ...


class StreamFailed(Exception):
    """The node that feeds a stream failed before it ended."""


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


Progress = Callable[[str, float, float], None]


@attrs.define
class ExecutionContext:
    """What all nodes of one execution share.

    Attributes:
        metadata: What the client sent along: `workflowName`, `projectId` and whatever else.
        interface_inputs: The values of the workflow's own inputs for this run.
        secrets: Strings that must not leave the engine in any message; nodes add to it with `NodeContext.hide`.
    """

    execution_id: str
    user: UserContext
    services: Services
    metadata: Mapping[str, Any]
    interface_inputs: Mapping[str, Any]
    report_progress: Progress = lambda node_id, value, max_: None
    secrets: set[str] = attrs.field(factory=set, repr=False)
    cancelled: threading.Event = attrs.field(factory=threading.Event, repr=False)


@attrs.define
class NodeContext:
    """What a running node may know of the world, and do to it."""

    execution: ExecutionContext
    node_id: str
    node_type: str
    config: ConfigValues

    @property
    def user(self) -> UserContext:
        """Who runs the workflow."""
        return self.execution.user

    @property
    def cancelled(self) -> bool:
        """Whether the execution is being stopped. A node that blocks in a thread looks at it now and then and returns."""
        return self.execution.cancelled.is_set()

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
        self.execution.report_progress(self.node_id, value, max_)

    def hide(self, secret: str) -> None:
        """Keep a string out of every message of this execution from now on."""
        if secret:
            self.execution.secrets.add(secret)


Execute = Callable[[dict[str, Any], NodeContext], Any]


class Kind(enum.Enum):
    """How the engine runs a node's function."""

    INLINE = "inline"  # a cheap function, called on the event loop
    THREAD = "thread"  # any other plain function: it may block
    ASYNC = "async"  # a coroutine function
    STREAM = "stream"  # an async generator function: yields chunks

    @classmethod
    def of(cls, execute: Execute, inline: bool) -> "Kind":
        """The kind of a function, by what it is."""
        if inspect.isasyncgenfunction(execute):
            return cls.STREAM
        if inspect.iscoroutinefunction(execute):
            return cls.ASYNC
        return cls.INLINE if inline else cls.THREAD


@attrs.frozen
class NodeMode:
    """One of the ways a node with modes can work: its own slots and function."""

    id: str
    inputs: Slots
    outputs: Slots
    execute: Execute | None = None
    display_name: str | None = None


@attrs.frozen
class PassThrough:
    """What a bypassed node gives instead of its outputs: named inputs, named values."""

    pass_through: Mapping[str, str] = attrs.field(factory=dict)
    defaults: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class NodeDefinition:
    """A node type: what editors show of it and what the engine runs.

    Attributes:
        type: Its name within `namespace`; `namespace:type` is what workflows hold.
        execute: `f(inputs, context)`: returns a mapping of outputs, or is a coroutine that does, or an async generator of chunks
            (and `Outputs`).
        inline: A plain function that promises to return in well under a millisecond; it then runs without a thread of its own.
        mode_config_key: The configuration key whose value picks an entry of `modes`.
        bypass_behavior: `"mute"`, a `PassThrough`, or `None` for matching by type.
        max_concurrent: How many of its kind may run at once on the server; no limit when `None`.
        on_click: Called with the button's name and the user when a person presses a button of the node in the editor.
    """

    type: str
    namespace: str = "core"
    category: str = ""
    display_name: str = ""
    description: str = ""
    inputs: Slots = attrs.field(factory=dict)
    outputs: Slots = attrs.field(factory=dict)
    execute: Execute | None = None
    inline: bool = False
    config_schema: Slots | None = None
    config_values: ConfigValues = attrs.field(factory=dict)
    modes: Mapping[str, NodeMode] = attrs.field(factory=dict)
    default_mode_id: str | None = None
    mode_config_key: str | None = None
    dynamic_slots: bool = False
    bypass_behavior: str | PassThrough | None = None
    max_concurrent: int | None = None
    width: int | None = None
    client_script_url: str | None = None
    is_ui_node: bool = False
    deprecated: bool = False
    experimental: bool = False
    is_preview_unsafe: bool = False
    on_click: Callable[[str, UserContext], None] | None = None

    @property
    def full_type(self) -> str:
        """The type with its namespace, as workflows hold it."""
        return f"{self.namespace}:{self.type}"

    def mode_for(self, config_values: ConfigValues) -> NodeMode:
        """The slots and the function that a node with these configuration values has."""
        wanted = config_values.get(self.mode_config_key) if self.mode_config_key else None
        mode = self.modes.get(wanted) if isinstance(wanted, str) else None
        if mode is None and self.default_mode_id is not None:
            mode = self.modes.get(self.default_mode_id)
        if mode is None:
            return NodeMode("", self.inputs, self.outputs, self.execute)
        return mode if mode.execute else attrs.evolve(mode, execute=self.execute)

    def to_wire(self) -> dict[str, Any]:
        """The definition as `GET /api/nodes` shows it: no function, no path of the server."""

        def slots(of: Slots) -> dict[str, Any]:
            return {key: slot.to_wire(key, self.config_values) for key, slot in of.items()}

        wire: dict[str, Any] = {
            "type": self.type,
            "namespace": self.namespace,
            "category": self.category,
            "displayName": self.display_name or humanized(self.type),
            "description": self.description,
            "inputs": slots(self.inputs),
            "outputs": slots(self.outputs),
        }
        optional: dict[str, Any] = {
            "width": self.width,
            "configSchema": None if self.config_schema is None else slots(self.config_schema),
            "configValues": dict(self.config_values) or None,
            "modes": {key: _mode_to_wire(mode, slots) for key, mode in self.modes.items()} or None,
            "defaultModeId": self.default_mode_id,
            "modeConfigKey": self.mode_config_key,
            "dynamicSlots": self.dynamic_slots or None,
            "bypassBehavior": unstructure(self.bypass_behavior),
            "clientScriptUrl": self.client_script_url,
            "isUiNode": self.is_ui_node or None,
            "deprecated": self.deprecated or None,
            "experimental": self.experimental or None,
            "isPreviewUnsafe": self.is_preview_unsafe or None,
        }
        wire.update((name, value) for name, value in optional.items() if value is not None)
        return wire


def _mode_to_wire(mode: NodeMode, slots: Callable[[Slots], dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": mode.id,
        "displayName": mode.display_name or humanized(mode.id),
        "inputs": slots(mode.inputs),
        "outputs": slots(mode.outputs),
    }


class DuplicateNodeType(ValueError):
    """Two plugins define the same node type."""


@attrs.frozen
class _Registered:
    definition: NodeDefinition
    owner: str


@attrs.define
class NodeRegistry:
    """Every node type that is there, and whose it is."""

    _by_type: dict[str, _Registered] = attrs.field(factory=dict)

    def add(self, definition: NodeDefinition, owner: str) -> None:
        """Add a definition for a plugin.

        Args:
            owner: The plugin and its distribution, as shown to people.

        Raises:
            DuplicateNodeType: Naming both owners.
        """
        there = self._by_type.get(definition.full_type)
        if there is not None:
            raise DuplicateNodeType(
                f"node type {definition.full_type!r} is defined by both {there.owner} and {owner}; uninstall or disable one of them"
            )
        self._by_type[definition.full_type] = _Registered(definition, owner)

    def remove_all_of(self, owner: str) -> None:
        """Forget what a plugin defined."""
        self._by_type = {key: entry for key, entry in self._by_type.items() if entry.owner != owner}

    def get(self, full_type: str) -> NodeDefinition | None:
        """The definition of `namespace:type`, or `None`."""
        entry = self._by_type.get(full_type)
        return entry.definition if entry else None

    def owner_of(self, full_type: str) -> str:
        """Who defined a type that is there."""
        return self._by_type[full_type].owner

    def __iter__(self) -> Iterator[NodeDefinition]:
        return (entry.definition for entry in self._by_type.values())

    def __len__(self) -> int:
        return len(self._by_type)


def humanized(name: str) -> str:
    """A name for people, made of an identifier.

    >>> humanized("text_inputs"), humanized("GenericLlmRequest")
    ('Text inputs', 'Generic Llm Request')
    """
    words = "".join(f" {char}" if char.isupper() and name[index - 1 : index].islower() else char for index, char in enumerate(name))
    text = words.replace("_", " ").strip()
    return text[:1].upper() + text[1:]
