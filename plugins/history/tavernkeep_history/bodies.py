"""What the routes take and give."""

from typing import Any, Final

import attrs

from tavernkeep.contracts.execution import ExecutionDetail, ExecutionStatus

SIXTY_FOUR_BITS: Final = 2**63 - 1
_LONGEST: Final = attrs.validators.optional(attrs.validators.max_len(300))  # characters of a name or an id
_MOMENT: Final = attrs.validators.optional([attrs.validators.ge(0), attrs.validators.le(SIXTY_FOUR_BITS)])


@attrs.frozen
class HistoryQuery:
    """Which executions. Times are milliseconds since 1970, UTC.

    Attributes:
        name: What the workflow's name contains.
        before: Submitted before this.
        after: Submitted at this or later.
        cursor: `next` of the page before.
    """

    status: ExecutionStatus | None = None
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
        complete: None was left out for want of room.
    """

    execution: ExecutionDetail
    events: list[dict[str, Any]]
    more_events: bool
    complete: bool


@attrs.frozen
class Again:
    """It runs."""

    prompt_id: str
