"""The plugin: executions, recorded."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog

from tavernkeep import ConfigSection, ModelSet, Route, Services, hookimpl
from tavernkeep.contracts.app import App, Role
from tavernkeep.contracts.auth import AuthProvider
from tavernkeep.contracts.execution import ExecutionArchive, ExecutionJournal, Scheduler
from tavernkeep.contracts.storage import WANTING, Storage, Unavailable
from tavernkeep_accounts.contracts import Accounts
from tavernkeep_engine.contracts import LeftOpen
from tavernkeep_history.command import executions
from tavernkeep_history.config import HistoryConfig
from tavernkeep_history.durability import Durability
from tavernkeep_secrets.contracts import Resealing, Secrets

if TYPE_CHECKING:
    from tavernkeep_history.archive import Archive
    from tavernkeep_history.journal import Journal
    from tavernkeep_history.taking_up import TakingUp


_log = structlog.get_logger(__name__)


class HistoryPlugin:
    """Executions with their results and events, recorded as they happen; running them again, and going on where the server stopped."""

    requires = ("secrets",)

    def __init__(self) -> None:
        self._journal: Journal | None = None
        self._archive: Archive | None = None
        self._taking_up: TakingUp | None = None

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        return [ConfigSection("history", HistoryConfig)]

    @hookimpl
    def register_models(self) -> list[ModelSet]:
        return [ModelSet("history", "tavernkeep_history.models", Path(__file__).parent / "migrations")]

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        return [executions]

    @hookimpl
    def register_services(self, app: App, services: Services, owner: str) -> None:
        from tavernkeep_history.archive import Archive
        from tavernkeep_history.journal import Journal
        from tavernkeep_history.life import Life
        from tavernkeep_history.taking_up import TakingUp

        secrets, config = services.get(Secrets), app.config.section(HistoryConfig)
        self._archive = Archive(secrets)
        services.add(ExecutionArchive, self._archive, owner=owner)
        # Who runs something without taking up what is open, as a command does, leaves it to the server whose life it is.
        life = Life(services.get(Storage)) if Role.WORKER | Role.KEEPER in app.roles else None
        self._taking_up = TakingUp(self._archive, services.get(Storage), config.max_output_bytes, config.resume, life)
        if Role.WORKER in app.roles and config.durability is not Durability.OFF:
            self._journal = Journal(services.get(Storage), secrets, app.events, config, self._taking_up)
            services.add(ExecutionJournal, self._journal, owner=owner)
            services.add(LeftOpen, self._journal, owner=owner)

    @hookimpl
    async def startup(self, app: App) -> None:
        if self._taking_up is None or Role.WORKER not in app.roles:
            return
        if self._journal is not None:
            await self._journal.start()
            app.events.keep(self._journal.note)
        elif Role.KEEPER in app.roles:  # else whoever takes up gives up as well
            try:
                await self._taking_up.give_all_up()
            except (Unavailable, *WANTING) as error:  # no reason not to show what is recorded
                _log.error("what was left open stays so until the next start", error=str(error) or type(error).__name__)

    @hookimpl(optionalhook=True)
    async def hand_over(self, source: str, target: str) -> list[str]:
        from tavernkeep_history.models import ExecutionRow

        await ExecutionRow.filter(user_id=source).update(user_id=target)
        return []

    @hookimpl
    async def reseal(self, again: Resealing) -> int:
        from tavernkeep_history.models import ExecutionRow

        return await again.rows(ExecutionRow.all(), "payload")

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        from tavernkeep_history.again import RunningAgain
        from tavernkeep_history.routes import HistoryRoutes

        assert self._archive is not None, "routes are for servers"
        again = RunningAgain(self._archive, app.services.get(AuthProvider))
        return HistoryRoutes(self._archive, again, app.services.get(Scheduler), app.services.find(Accounts)).routes()

    @hookimpl
    async def health(self) -> None:
        if self._journal is not None and self._journal.problem is not None:
            raise RuntimeError(self._journal.problem)

    @hookimpl
    async def shutdown(self, app: App) -> None:
        if self._journal is not None:
            try:
                await self._journal.close()
            finally:
                app.events.keep(None)
