"""The contract of what runs workflows: a scheduler takes submissions, runs them, and tells of them through the event bus."""

import enum
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import attrs

from tavernkeep.contracts.auth import UserContext
from tavernkeep.contracts.events import Event, StatusUpdate
from tavernkeep.contracts.events import ExecutionStatus as ExecutionStatus
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep.wire import Problem

EXECUTE: Final = "workflow:execute"  # the scope of running workflows, and of all that one does with executions

SHUTDOWN: Final = "Shutdown"  # the `type` in `errorInfo` of an execution that was interrupted because the server stops


def is_the_end(event: Event) -> bool:
    """Whether nothing of an execution comes after this; where the server was stopped in the middle of it, it may go on."""
    return isinstance(event, StatusUpdate) and event.status.is_final and (event.error_info or {}).get("type") != SHUTDOWN


@attrs.frozen
class ExecutionInfo:
    """An execution in a list. Times are milliseconds since 1970, UTC."""

    prompt_id: str
    status: ExecutionStatus
    submitted_at: int
    workflow_name: str | None = None
    started_at: int | None = None
    completed_at: int | None = None


@attrs.frozen
class NodeStatus:
    """What became of one node: `pending`, `executing`, `complete`, `error`, `skipped` or `bypassed`."""

    status: str
    output: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


@attrs.frozen
class ExecutionDetail:
    """An execution with its results. Times are milliseconds since 1970, UTC.

    Attributes:
        duration_ms: How long it ran, in milliseconds, without what lay between the end of a server and its next start. It is measured: it
            is not what lies between two times of a clock that may have been set.
    """

    prompt_id: str
    status: ExecutionStatus
    submitted_at: int
    node_status: dict[str, NodeStatus]
    outputs: dict[str, Any]
    warnings: list[str]
    metadata: dict[str, Any]
    workflow_name: str | None = None
    started_at: int | None = None
    completed_at: int | None = None
    duration_ms: int | None = None
    error_info: dict[str, Any] | None = None


@attrs.frozen
class PayloadReport:
    """What checking a payload found: what stops the execution, what will fail a node, what is only worth a warning."""

    valid: bool
    problems: list[Problem]
    node_problems: list[Problem]
    warnings: list[Problem]


@attrs.frozen
class Recorded:
    """What a node gave that completed before, to be given again instead of running it.

    Attributes:
        chunks: Of a streaming node, as they are on the wire, in order.
        not_taken: Of a node that picks a way, the outputs that it did not pick.
    """

    outputs: dict[str, Any]
    chunks: Sequence[Mapping[str, Any]] = ()
    not_taken: Sequence[str] = ()


@attrs.frozen
class Recall:
    """What is recorded of an execution, to be given again.

    Attributes:
        nodes: What nodes gave that need not run again, by their ids (those in groups as `GROUP/INNER`).
        answers: What people answered to nodes that did not complete, by their ids, in the order of the questions.
    """

    nodes: Mapping[str, Recorded] = attrs.field(factory=dict)
    answers: Mapping[str, Sequence[Any]] = attrs.field(factory=dict)


Remember = Callable[[], Awaitable[Recall]]


@attrs.frozen
class Submission:
    """A workflow that somebody wants to run.

    Attributes:
        on_accepted: Called once with the execution's id, before any of its events is delivered; not where the same request was accepted
            before.
        recall: Reads what need not run again, when the run begins; nothing where it is `None`.
    """

    payload: WorkflowPayload
    user: UserContext
    on_accepted: Callable[[str], None] = lambda _: None
    recall: Remember | None = None


@attrs.frozen
class Unfinished:
    """An execution that a process left open, taken up to go on under its own id.

    Attributes:
        epoch: Of its life in this process; whatever is written of it names that, and changes nothing where it is not the last.
        user: Whoever submitted it, as they were then.
        submitted_at: Milliseconds since 1970, UTC.
        started_at: The same; `None` where it had not begun.
        last_seq: The number of its last event.
        attempts: How often a process has ended while nodes of it were at work, without having been told to.
        at_work: The nodes that were, the last time.
        recall: See `Submission`.
        ran_ms: How long it ran before, in milliseconds, as far as that is known.
    """

    execution_id: str
    epoch: int
    payload: WorkflowPayload
    user: UserContext
    submitted_at: int
    started_at: int | None
    last_seq: int
    attempts: int
    at_work: Sequence[str]
    recall: Remember
    ran_ms: int = 0


class RefusalReason(enum.Enum):
    """Why a submission is not taken."""

    INVALID = "invalid"  # its payload cannot be run at all
    USER_LIMIT = "user limit"  # its user has too much waiting already
    FULL = "full"  # there is no room for anybody's
    CLOSING = "closing"  # nothing is taken any more
    UNRECORDED = "unrecorded"  # it cannot be recorded at present
    CONFLICT = "conflict"  # another workflow was accepted under its request id


class Refused(Exception):
    """A submission is not taken.

    Args:
        problems: Of its payload.
    """

    def __init__(self, message: str, reason: RefusalReason, problems: list[Problem] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.problems = problems or []


class Interrupted(enum.Enum):
    """What became of a wish to interrupt."""

    DONE = "done"
    FINISHED = "finished"
    UNKNOWN = "unknown"


@attrs.frozen
class SystemStats:
    """How busy a scheduler is."""

    max_concurrent_workflows: int
    running_executions: int
    pending_executions: int


class Scheduler(Protocol):
    """Runs workflows; one of them is chosen by `execution.provider`.

    Ids of executions that belong to somebody else are unknown ids, except to administrators.
    """

    name: str

    async def submit(self, submission: Submission) -> str:
        """Take a workflow; gives the execution's id when it is kept, where there is a journal.

        The same `request_id` of the same user gives the same execution for a day.

        Raises:
            Refused: With the reason, and every problem of the payload.
        """

    async def check(self, payload: WorkflowPayload, user: UserContext) -> PayloadReport:
        """Find everything that is wrong with a payload, and run nothing."""

    async def interrupt(self, execution_id: str, user: UserContext) -> Interrupted:
        """Stop an execution; returns when it has stopped, and that is kept.

        Raises:
            tavernkeep.contracts.storage.Unavailable: It stops, but that cannot be kept at present.
        """

    async def answer(self, execution_id: str, node_id: str, value: Any, user: UserContext) -> bool | None:
        """Give a node the answer that it waits for; `False` when it waits for none, `None` for an unknown execution.

        Raises:
            tavernkeep.contracts.storage.Unavailable: The node has it, but it cannot be kept at present.
        """

    async def executions(self, user: UserContext) -> list[ExecutionInfo]:
        """The user's executions that run or wait, wherever they do; everybody's for an administrator."""

    async def recent(self, user: UserContext) -> list[ExecutionInfo]:
        """The user's last executions that have ended, the latest first; everybody's for an administrator."""

    async def info(self, execution_id: str, user: UserContext) -> ExecutionInfo | None:
        """An execution without its results."""

    async def detail(self, execution_id: str, user: UserContext) -> ExecutionDetail | None:
        """One execution with its results, for as long as anybody knows of it."""

    async def events_after(self, execution_id: str, user: UserContext, seq: int | None, limit: int | None = None) -> list[Event] | None:
        """The events with a number above `seq`, in order, none for no number; `None` for an unknown execution.

        Who watches the execution before it asks, and leaves out what it has, has every event once.

        Args:
            limit: How many at most; there may be fewer where they are large, but none only where there are none.

        Raises:
            EventsLost: The first of them are remembered nowhere.
        """

    async def stats(self) -> SystemStats:
        """How busy it is."""


class ExecutionArchive(Protocol):
    """Knows executions that a scheduler has forgotten, and asks; a service that a plugin may provide.

    Ids of executions that belong to somebody else are unknown ids, except to administrators.
    """

    async def recent(self, user: UserContext, most: int) -> list[ExecutionInfo]:
        """The user's last executions that have ended, the latest first; everybody's for an administrator."""

    async def info(self, execution_id: str, user: UserContext) -> ExecutionInfo | None:
        """An execution without its results."""

    async def detail(self, execution_id: str, user: UserContext) -> ExecutionDetail | None:
        """One execution with its results."""

    async def events_after(self, execution_id: str, user: UserContext, seq: int, limit: int | None = None) -> list[Event] | None:
        """The recorded events with a number above `seq`; `None` for an unknown execution. The same as `Scheduler.events_after`."""


@attrs.frozen
class Opening:
    """An execution that is to be accepted, for its journal.

    Attributes:
        unfinished: What it goes on with; `None` where it is a new one.
        times: It as it stands now.
        ran_ms: How long it has run until now, in milliseconds, by a clock that nobody sets; `None` where it has not begun.
        accepted: Called once when it is kept, before any of its events is delivered.
        refused: Called instead of that when it cannot be kept: it is stopped, and nobody learns of it.
        broken: Called when what happens to it cannot be kept although everything else can, with the reason: it ends in `error`.
        overtaken: Called when another process has taken it up, or it was forgotten: it is stopped, and nothing more is told of it here.
    """

    execution_id: str
    submission: Submission
    submitted_at: int
    warnings: list[str]
    times: Callable[[], ExecutionInfo]
    accepted: Callable[[], None]
    refused: Callable[[Refused], None]
    broken: Callable[[str], None]
    overtaken: Callable[[], None]
    unfinished: Unfinished | None = None
    ran_ms: Callable[[], int | None] = lambda: None


@attrs.frozen
class JournalStats:
    """How a journal does.

    Attributes:
        waiting: How many events are not kept yet.
        waiting_bytes: What they take, roughly.
        commits: How often something was written since the start.
        failed: How often that was not possible.
    """

    waiting: int
    waiting_bytes: int
    commits: int
    failed: int


class ExecutionJournal(Protocol):
    """Keeps what happens to executions before anybody is told; a service that a plugin may provide, with which it is the bus's keeper.

    The engine never waits for it, only the telling does.

    Attributes:
        problem: Why nothing can be kept at present; `None` where it can. New work is refused meanwhile.
    """

    problem: str | None

    def open(self, opening: Opening) -> None:
        """Keep an execution, and what is published of it from now on. One that goes on is kept already."""

    def unfinished(self) -> AsyncIterator[Unfinished]:
        """Take up what processes before this one left open, in the order in which it was accepted; what they still write is void.

        What cannot be read any more is given up.

        Raises:
            tavernkeep.contracts.storage.Unavailable: That is not possible at present.
        """

    async def give_up(self, unfinished: Unfinished, error_info: Mapping[str, Any]) -> None:
        """Record that an execution that was taken up has ended in `error`, instead of opening it.

        Raises:
            tavernkeep.contracts.storage.Unavailable: That is not possible at present.
        """

    async def earlier(self, user: UserContext, request_id: str) -> tuple[str, WorkflowPayload] | None:
        """The execution, and its workflow, that a user's request was accepted as within the last day."""

    async def written(self, execution_id: str) -> None:
        """Return when all that was published of an execution until now is kept.

        Raises:
            tavernkeep.contracts.storage.Unavailable: That is not possible at present.
        """

    async def confirm(self) -> None:
        """Find out which executions other processes have taken up meanwhile; these are overtaken when it returns.

        Raises:
            tavernkeep.contracts.storage.Unavailable: That is not possible at present.
        """

    async def flush(self) -> None:
        """Return when all that was published until now is kept and delivered, or that has proved impossible."""

    def stats(self) -> JournalStats:
        """How it does."""


class EventsLost(Exception):
    """Events that a viewer asks for again are no longer remembered; it must ask for the execution's state instead.

    Args:
        first: The number of the first that is there again.
    """

    def __init__(self, message: str, first: int) -> None:
        super().__init__(message)
        self.first = first
