"""What an operator does with executions, in the data folder that this process has opened."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, Literal, Protocol

import attrs
import click

from tavernkeep import ApiError, AuthError, Credentials, UserContext
from tavernkeep.contracts.app import App
from tavernkeep.contracts.auth import AuthProvider
from tavernkeep.contracts.execution import ExecutionArchive, Refused, Scheduler
from tavernkeep.contracts.storage import Storage
from tavernkeep_accounts.contracts import Accounts
from tavernkeep_engine.contracts import Foreground
from tavernkeep_history.again import RunningAgain
from tavernkeep_history.archive import Archive
from tavernkeep_history.bodies import EventsQuery, HistoryDetail, HistoryPage, HistoryQuery
from tavernkeep_history.config import HistoryConfig
from tavernkeep_history.routes import HistoryRoutes
from tavernkeep_history.taking_up import TakingUp

Action = Literal["rerun", "resume"]

_OPERATOR: Final = UserContext("", "operator", is_admin=True)  # sees everybody's, owns nothing
_LOOK_S: Final = 0.2  # how often a file that another process writes is looked at again


class Operator(Protocol):
    """Looks at executions, and changes them, wherever they are."""

    async def page(self, query: HistoryQuery) -> HistoryPage:
        """Executions, the latest first."""

    async def one(self, execution_id: str) -> HistoryDetail:
        """An execution with its results, without its events."""

    def events(self, execution_id: str, after: int, *, follow: bool) -> AsyncIterator[list[dict[str, Any]]]:
        """Its messages with a higher number, some at a time; with `follow` until it has ended."""

    async def run_again(self, action: Action, execution_id: str, beginning: str | None, answers: Sequence[str], *, quiet: bool) -> int:
        """Run it again, tell of it, and give the exit code."""

    async def interrupt(self, execution_id: str) -> None:
        """Stop it."""

    async def forget(self, execution_id: str) -> None:
        """Leave nothing of one that has ended."""


@attrs.frozen
class FolderOperator:
    """See `Operator`. Whoever may open the folder sees everybody's; what runs again does so here, as the user whose it is."""

    app: App
    archive: Archive
    running_again: RunningAgain
    routes: HistoryRoutes

    @classmethod
    def of(cls, app: App) -> "FolderOperator":
        """For an app that has been started."""
        get = app.services.get
        archive = get(ExecutionArchive)
        assert isinstance(archive, Archive), "these commands are the archive's own"
        again = RunningAgain(archive, get(AuthProvider))
        return cls(app, archive, again, HistoryRoutes(archive, again, get(Scheduler), app.services.find(Accounts)))

    async def page(self, query: HistoryQuery) -> HistoryPage:
        """See `Operator`."""
        return await self.routes.page(query, _OPERATOR)

    async def one(self, execution_id: str) -> HistoryDetail:
        """See `Operator`."""
        return await self.routes.one(execution_id, EventsQuery(limit=0), _OPERATOR)

    async def events(self, execution_id: str, after: int, *, follow: bool) -> AsyncIterator[list[dict[str, Any]]]:
        """See `Operator`."""
        while (row := await self.archive.find(execution_id, _OPERATOR)) is not None:
            async for messages in self.archive.messages(execution_id, after):
                if messages:
                    after = messages[-1]["payload"]["seq"]
                    yield messages
            if row.stands.is_final or not follow:
                return
            await asyncio.sleep(_LOOK_S)

    async def run_again(self, action: Action, execution_id: str, beginning: str | None, answers: Sequence[str], *, quiet: bool) -> int:
        """See `Operator`."""
        foreground = self.app.services.find(Foreground)
        if foreground is None:
            raise click.ClickException("no active plugin runs workflows at the terminal (engine)")
        row = await self.archive.get(execution_id, _OPERATOR)
        make = self.running_again.rerun if action == "rerun" else self.running_again.resume
        submission = await make(row, await self._caller(), beginning)

        def accepted(execution_id: str) -> None:
            click.echo(f"execution {execution_id}", err=True)

        try:
            return await foreground.run(attrs.evolve(submission, on_accepted=accepted), quiet=quiet, answers=answers)
        except Refused as refused:
            problems = "".join(f"\n  {problem}" for problem in refused.problems)
            raise click.ClickException(f"{refused}{problems}") from None

    async def _caller(self) -> UserContext | None:
        """The person at the terminal, where there is a user for that."""
        try:
            return await self.app.services.get(AuthProvider).authenticate(Credentials({}))
        except AuthError:
            return None

    async def interrupt(self, execution_id: str) -> None:
        """See `Operator`."""
        most = self.app.config.section(HistoryConfig).max_output_bytes
        row = await self.archive.get(execution_id, _OPERATOR)
        if not await TakingUp(self.archive, self.app.services.get(Storage), most).interrupt(row):
            raise ApiError(409, f"Execution {execution_id} had already ended.")

    async def forget(self, execution_id: str) -> None:
        """See `Operator`."""
        await self.routes.forget(execution_id, _OPERATOR)
