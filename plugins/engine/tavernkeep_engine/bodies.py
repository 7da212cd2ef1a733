"""What the routes and messages of executions take and give."""

from typing import Any

import attrs

from tavernkeep.contracts.execution import ExecutionInfo


@attrs.frozen
class Accepted:
    """A workflow was taken and will run."""

    prompt_id: str
    request_id: str | None = None


@attrs.frozen
class Executions:
    """The caller's executions that have not ended, and the last that have; everybody's for an administrator."""

    running: list[ExecutionInfo]
    pending: list[ExecutionInfo]
    recent: list[ExecutionInfo]


@attrs.frozen
class InterruptAnswer:
    """What became of an interrupt."""

    success: bool
    message: str


@attrs.frozen
class InterruptRequest:
    """Stop an execution."""

    prompt_id: str


@attrs.frozen
class NodeInput:
    """The answer to what a node asked with `NODE_WAITING`."""

    prompt_id: str
    node_id: str
    value: Any = None


@attrs.frozen
class NodeAnswer:
    """What a node asked for."""

    value: Any = None


@attrs.frozen
class Subscription:
    """Watch an execution.

    Attributes:
        after: Also send the events with a higher number than this that were published before.
    """

    prompt_id: str
    after: int | None = None


@attrs.frozen
class Hello:
    """What a client can do beyond the least."""

    batch: bool = False


@attrs.frozen
class ButtonClick:
    """A person pressed a button of a node in the editor."""

    node_id: str
    button_name: str
    workflow_id: str | None = None
    node_type: str | None = None
    node_display_name: str | None = None
