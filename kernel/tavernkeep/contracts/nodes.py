"""What a node is: its slots, its modes, and how it runs. What it has to do with while it runs is in `tavernkeep.contracts.running`.

Most authors need only the `node` decorator of `tavernkeep.contracts.authoring`; it makes the `NodeDefinition` described here.
"""

import enum
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, Protocol, Self

import attrs

from tavernkeep.contracts.auth import UserContext
from tavernkeep.contracts.running import NodeContext, Subflow
from tavernkeep.contracts.slots import ConfigValues, Slots, all_slots
from tavernkeep.contracts.workflow import InterfaceSlot
from tavernkeep.wire import named

Execute = Callable[[dict[str, Any], NodeContext], Any]


class Kind(enum.Enum):
    """How the engine runs a node's function."""

    INLINE = "inline"  # a cheap function, called on the event loop
    THREAD = "thread"  # any other plain function: it may block
    ASYNC = "async"  # a coroutine function
    STREAM = "stream"  # an async generator function: yields chunks
    PROCESS = "process"  # a function that computes for long, in a process of its own

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
    inputs: Slots = attrs.field(validator=all_slots)
    outputs: Slots = attrs.field(validator=all_slots)
    execute: Execute | None = None
    display_name: str | None = None


class Resolution(Protocol):
    """What a definition with dynamic slots may ask about the workflow that a node stands in."""

    @property
    def config(self) -> ConfigValues:
        """The node's configuration values."""

    @property
    def interface_inputs(self) -> Mapping[str, InterfaceSlot]:
        """The inputs of the workflow itself."""

    async def workflow(self, reference: str) -> Subflow:
        """Another workflow, ready to run.

        Raises:
            NodeFailure: There is none, or it contains this one.
        """


@attrs.frozen
class Policy:
    """How long a node may take, and how often it is tried.

    A node's own `configValues.executionPolicy` wins over its definition's. What fails with `NodeFailure` is tried again only when that is
    retryable; any other exception and a time-out are. A node that has streamed something, or reads a stream, is not tried again.

    Attributes:
        timeout_s: For one attempt, in seconds; no limit when `None`.
        attempts: How often it is tried at most.
        wait_s: Before the second attempt, in seconds; each further wait is twice as long.
        longest_wait_s: No wait is longer, in seconds.
    """

    timeout_s: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.gt(0)), metadata=named("timeoutS")
    )
    attempts: int = attrs.field(default=1, validator=[attrs.validators.ge(1), attrs.validators.le(100)])
    wait_s: float = attrs.field(default=0.5, validator=attrs.validators.ge(0), metadata=named("waitS"))
    longest_wait_s: float = attrs.field(default=60.0, validator=attrs.validators.ge(0), metadata=named("longestWaitS"))


POLICY_KEY: Final = "executionPolicy"  # in a node's configuration values


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
        max_concurrent: How many of its kind may be at work at once on the server; no limit when `None`. One that waits for other nodes or
            for a person is not at work.
        resolve: Gives a node the slots and the function that follow from the workflow it stands in, once, before the run.
        deterministic: The same inputs and configuration give the same outputs, and nothing else happens; so the outputs may be remembered.
        process: The importable name (`package.module:name`) of a `Node`, or of an execute function, that computes for long: it runs in a
            process of its own, without a context but for its configuration.
        policy: How long a node of this type may take, and how often it is tried.
        on_click: Called with the button's name and the user when a person presses a button of the node in the editor.
    """

    type: str
    namespace: str = "core"
    category: str = ""
    display_name: str = ""
    description: str = ""
    inputs: Slots = attrs.field(factory=dict, validator=all_slots)
    outputs: Slots = attrs.field(factory=dict, validator=all_slots)
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
    resolve: Callable[[Resolution], Awaitable[NodeMode]] | None = None
    deterministic: bool = False
    process: str | None = None
    policy: Policy | None = None
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

    def config_of(self, config_values: ConfigValues) -> ConfigValues:
        """A node's configuration values over those of the definition."""
        return {**self.config_values, **config_values} if self.config_values else config_values

    def kind_of(self, mode: NodeMode) -> Kind | None:
        """How a node in a mode runs; `None` when there is nothing to run."""
        if self.process is not None:
            return Kind.PROCESS
        return Kind.of(mode.execute, self.inline) if mode.execute else None

    def mode_for(self, config_values: ConfigValues) -> NodeMode:
        """The slots and the function that a node with these configuration values has."""
        wanted = config_values.get(self.mode_config_key) if self.mode_config_key else None
        mode = self.modes.get(wanted) if isinstance(wanted, str) else None
        if mode is None and self.default_mode_id is not None:
            mode = self.modes.get(self.default_mode_id)
        if mode is None:
            return NodeMode("", self.inputs, self.outputs, self.execute)
        return mode if mode.execute else attrs.evolve(mode, execute=self.execute)


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
    _snapshot: Self | None = attrs.field(default=None, init=False, repr=False)

    def add(self, definition: NodeDefinition, owner: str) -> Callable[[], None]:
        """Add a definition for a plugin; the returned function takes it away again.

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
        self._change({**self._by_type, definition.full_type: _Registered(definition, owner)})
        return lambda: self._remove(definition.full_type)

    def replace(self, definition: NodeDefinition) -> None:
        """Put another definition in the place of the one of its type, where there is one."""
        if (there := self._by_type.get(definition.full_type)) is not None:
            self._change({**self._by_type, definition.full_type: _Registered(definition, there.owner)})

    def _remove(self, full_type: str) -> None:
        self._change({key: entry for key, entry in self._by_type.items() if key != full_type})

    def snapshot(self) -> Self:
        """The node types as they are now, whatever is added and taken away later; the same object until they change."""
        if self._snapshot is None:
            self._snapshot = type(self)(self._by_type)
        return self._snapshot

    def _change(self, by_type: dict[str, _Registered]) -> None:
        # A new dictionary each time: a snapshot keeps what was there.
        self._by_type, self._snapshot = by_type, None

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
