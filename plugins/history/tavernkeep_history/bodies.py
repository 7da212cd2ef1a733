"""What the routes take and give."""

from typing import Any, Final

import attrs

from tavernkeep.contracts.execution import ExecutionDetail, ExecutionStatus
from tavernkeep.wire import named

SIXTY_FOUR_BITS: Final = 2**63 - 1
_LONGEST: Final = attrs.validators.optional(attrs.validators.max_len(300))  # characters of a name or an id
_MOMENT: Final = attrs.validators.optional([attrs.validators.ge(0), attrs.validators.le(SIXTY_FOUR_BITS)])


@attrs.frozen
class HistoryQuery:
    """Which executions. Times are milliseconds since 1970, UTC.

    Attributes:
        id: What their ids begin with.
        user: The name or the id of whose they are.
        name: What the workflow's name contains.
        before: Submitted before this.
        after: Submitted at this or later.
        cursor: `next` of the page before.
    """

    status: ExecutionStatus | None = None
    id: str | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.matches_re(r"[A-Za-z0-9_-]{1,64}")))
    user: str | None = attrs.field(default=None, validator=_LONGEST)
    project_id: str | None = attrs.field(default=None, validator=_LONGEST)
    name: str | None = attrs.field(default=None, validator=_LONGEST)
    before: int | None = attrs.field(default=None, validator=_MOMENT)
    after: int | None = attrs.field(default=None, validator=_MOMENT)
    cursor: str | None = attrs.field(default=None, validator=_LONGEST)
    limit: int = attrs.field(default=50, validator=[attrs.validators.ge(1), attrs.validators.le(200)])


@attrs.frozen
class EventsQuery:
    """Which events come with an execution: those with a number above `after`."""

    after: int = attrs.field(default=0, validator=[attrs.validators.ge(0), attrs.validators.le(SIXTY_FOUR_BITS)])
    limit: int = attrs.field(default=1000, validator=[attrs.validators.ge(0), attrs.validators.le(10_000)])


@attrs.frozen
class HistoryEntry:
    """An execution in a list. Times are milliseconds since 1970, UTC; the duration is in milliseconds."""

    prompt_id: str
    status: ExecutionStatus
    submitted_at: int
    user_id: str
    workflow_name: str | None = None
    project_id: str | None = None
    started_at: int | None = None
    completed_at: int | None = None
    duration_ms: int | None = None
    error_info: dict[str, Any] | None = None
    username: str | None = None


@attrs.frozen
class HistoryPage:
    """Some executions, the latest first.

    Attributes:
        next: The `cursor` of the next page, where there is one.
    """

    executions: list[HistoryEntry]
    next: str | None = None


@attrs.frozen
class HistoryDetail:
    """An execution with its events.

    Attributes:
        events: The messages that viewers got, in order.
        more_events: There are more of them: ask with `after`.
        complete: None was left out for want of room, and none is damaged.
        damaged: Something of it cannot be read any more; the execution's warnings say what.
        user_id: Whose it is.
        attempts: How often a server has ended, without having been told to, while nodes of it were at work.
        retries: How often nodes were tried again, by their ids (those in groups as `GROUP/INNER`).
    """

    execution: ExecutionDetail
    events: list[dict[str, Any]]
    more_events: bool
    complete: bool
    damaged: bool
    user_id: str
    username: str
    attempts: int
    retries: dict[str, int]


@attrs.frozen
class Beginning:
    """Where to begin.

    Attributes:
        node: A node of the workflow itself, by its id: for one in a group, the group.
    """

    node: str | None = attrs.field(default=None, metadata=named("from"))


@attrs.frozen
class Again:
    """It runs."""

    prompt_id: str
