"""`/api/history`, and running again what is there."""

import re
from typing import Any, Final

import attrs
from tortoise.expressions import Q

from tavernkeep import ApiError, Route, UserContext
from tavernkeep.contracts.execution import EXECUTE, Scheduler
from tavernkeep_accounts.contracts import Accounts
from tavernkeep_history.again import RunningAgain
from tavernkeep_history.archive import Archive
from tavernkeep_history.bodies import (
    SIXTY_FOUR_BITS,
    Again,
    Beginning,
    EventsQuery,
    HistoryDetail,
    HistoryEntry,
    HistoryPage,
    HistoryQuery,
)
from tavernkeep_history.models import ExecutionRow

_CURSOR: Final = re.compile(r"[0-9]{1,19}")  # the number of an execution


@attrs.frozen
class HistoryRoutes:
    """The handlers; each does what its route says."""

    archive: Archive
    running_again: RunningAgain
    scheduler: Scheduler
    accounts: Accounts | None

    def routes(self) -> list[Route]:
        """The routes."""
        gone = {404: "There is no such execution, or it is somebody else's."}
        again = gone | {
            409: "It has not ended, nothing of it is left to do, its user may not run it any more, or what is recorded of it is damaged.",
            422: "`from` is no node of it, or the workflow cannot be run any more.",
            503: "There is no room, or it cannot be recorded.",
        }
        return [
            Route("GET", "/api/history", self.page, EXECUTE, errors={400: "The cursor is none of this server's."}),
            Route("GET", "/api/history/{prompt_id}", self.one, EXECUTE, errors=gone),
            Route("DELETE", "/api/history/{prompt_id}", self.forget, EXECUTE, errors=gone | {409: "It has not ended."}),
            Route("POST", "/api/prompt/{prompt_id}/rerun", self.rerun, EXECUTE, errors=again),
            Route("POST", "/api/prompt/{prompt_id}/resume", self.resume, EXECUTE, errors=again),
        ]

    async def page(self, query: HistoryQuery, user: UserContext) -> HistoryPage:
        """Executions, the latest first; everybody's for an administrator."""
        wanted = Q() if user.is_admin else Q(user_id=user.uid)
        if query.status is not None:
            wanted &= Q(status=query.status.value)
        if query.project_id is not None:
            wanted &= Q(project_id=query.project_id)
        if query.name is not None:
            wanted &= Q(workflow_name__icontains=query.name)
        if query.before is not None:
            wanted &= Q(submitted_at__lt=query.before)
        if query.after is not None:
            wanted &= Q(submitted_at__gte=query.after)
        if query.user is not None:
            account = await self.accounts.find(query.user) if self.accounts is not None else None
            wanted &= Q(user_id__in=[query.user] if account is None else [query.user, account.uid])
        if query.id is not None:  # the range is what an index knows; text that begins alike is found whatever its case
            wanted &= Q(id__gte=query.id, id__lt=f"{query.id}\x7f", id__startswith=query.id)
        if query.cursor is not None:
            if not _CURSOR.fullmatch(query.cursor) or (number := int(query.cursor)) > SIXTY_FOUR_BITS:
                raise ApiError(400, "The cursor is not one that a page ended with.")
            wanted &= Q(number__lt=number)
        rows = await self.archive.page(wanted, query.limit + 1)
        more = str(rows[query.limit - 1].number) if len(rows) > query.limit else None
        return HistoryPage([_entry(row) for row in rows[: query.limit]], more)

    async def one(self, prompt_id: str, query: EventsQuery, user: UserContext) -> HistoryDetail:
        """An execution with its results and its events."""
        while True:
            row = await self.archive.get(prompt_id, user)
            told = await self.archive.told_of(row)
            events: list[dict[str, Any]] = []
            async for messages in self.archive.messages(row.id, query.after):
                events += messages
                if len(events) > query.limit:
                    break
            if row.stands.is_final or not (await self.archive.get(prompt_id, user)).stands.is_final:
                break  # else it ended meanwhile, and would be said to run behind its last event
        return HistoryDetail(
            told.detail(row),
            events[: query.limit],
            more_events=len(events) > query.limit,
            complete=row.complete and not told.damage,
            damaged=bool(told.damage),
            user_id=row.user_id,
            username=row.username,
            attempts=row.attempts,
            retries=told.retries,
        )

    async def forget(self, prompt_id: str, user: UserContext) -> None:
        """Forget an execution that has ended."""
        row = await self.archive.get(prompt_id, user)
        _check_ended(row)
        if not await ExecutionRow.filter(id=row.id, epoch=row.epoch, status=row.status).delete():
            raise ApiError(409, f"Execution {row.id} has just been taken up again.")

    async def rerun(self, prompt_id: str, body: Beginning | None, user: UserContext) -> Again:
        """Run the same workflow with the same inputs once more, whole or from a node on; as whose execution it is, whoever asks.

        With `from`, that node and all that depends on it run anew, and the others give what they gave, where they completed.
        """
        row = await self.archive.get(prompt_id, user)
        submission = await self.running_again.rerun(row, user, body.node if body else None)
        return Again(await self.scheduler.submit(submission))

    async def resume(self, prompt_id: str, body: Beginning | None, user: UserContext) -> Again:
        """Run what failed or was interrupted as a new execution, in which nodes that had completed give what they gave.

        With `from`, that node and all that depends on it run anew all the same, also of an execution that is complete.
        """
        row = await self.archive.get(prompt_id, user)
        submission = await self.running_again.resume(row, user, body.node if body else None)
        return Again(await self.scheduler.submit(submission))


def _check_ended(row: ExecutionRow) -> None:
    if not row.stands.is_final:
        raise ApiError(409, f"Execution {row.id} has not ended.")


def _entry(row: ExecutionRow) -> HistoryEntry:
    return HistoryEntry(
        row.id,
        row.stands,
        row.submitted_at,
        row.user_id,
        row.workflow_name,
        row.project_id,
        row.started_at,
        row.completed_at,
        None if row.completed_at is None else row.duration_ms,
        row.error_info,
        row.username,
    )
