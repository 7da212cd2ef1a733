"""What the runs of one execution share: the submitted one, and all that are nested in it."""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import attrs

from tavernkeep.contracts.auth import UserContext
from tavernkeep.contracts.execution import Recorded
from tavernkeep.contracts.running import ExecutionContext, Host
from tavernkeep.contracts.services import Services
from tavernkeep_engine.plan.prepare import Preparer
from tavernkeep_engine.run.allowance import Allowance
from tavernkeep_engine.run.cache import OutputCache
from tavernkeep_engine.run.pulse import Pulse
from tavernkeep_engine.run.resting import Rest


@attrs.frozen
class Limits:
    """What bounds a run.

    Attributes:
        nodes: How many nodes of one run may be at work at once, apart from those in line.
        room: How many chunks a stream holds unread before its producer waits.
        by_type: Shared by all executions: how many of a type may run at once.
        processes: Shared by all executions: how many may compute in processes of their own at once.
    """

    nodes: int = 64
    room: int = 64
    by_type: Mapping[str, asyncio.Semaphore] = attrs.field(factory=dict)
    processes: anyio.CapacityLimiter = attrs.field(factory=lambda: anyio.CapacityLimiter(2))


@attrs.frozen(eq=False)
class Setting:
    """What an execution is given from outside.

    Attributes:
        metadata: What the client sent along.
        clock: Seconds, monotonic; only for taking turns on the event loop.
        preview: What must not run in a preview is skipped.
        allowance: What its values may take.
        most: How many bytes one value may take.
        pulse: That of the process; where it was missed, no node begins before it has come to.
        rest: Whether all of it waits for people.
        recorded: What nodes gave that need not run again, by id, with that of the groups around them.
        answers: What people answered to nodes that ask again, by id as above.
        announced: Returns when it is kept which nodes are at work, for which each waits; `None` where nobody needs to know.
        secrets: Strings that must not leave the engine in any message.
        cancelled: Set when the execution is to end.
    """

    execution_id: str
    user: UserContext
    services: Services
    metadata: Mapping[str, Any]
    clock: Callable[[], float]
    limits: Limits
    preparer: Preparer
    cache: OutputCache
    allowance: Allowance
    most: int
    pulse: Pulse
    rest: Rest
    preview: bool = False
    recorded: Mapping[str, Recorded] = attrs.field(factory=dict)
    answers: Mapping[str, deque[Any]] = attrs.field(factory=dict)
    announced: Callable[[], Awaitable[None]] | None = None
    secrets: set[str] = attrs.field(factory=set, repr=False)
    cancelled: threading.Event = attrs.field(factory=threading.Event, repr=False)

    def context(self, interface_inputs: Mapping[str, Any], host: Host) -> ExecutionContext:
        """What the nodes of one run are handed."""
        return ExecutionContext(
            self.execution_id, self.user, self.services, self.metadata, interface_inputs, host, self.secrets, self.cancelled
        )
