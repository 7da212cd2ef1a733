"""The plugin: the embedded scheduler, the routes and messages of executions, and `tavernkeep run`."""

import asyncio
from functools import partial

import click
import structlog

from tavernkeep import ConfigSection, Route, Services, WebSocketMessage, hookimpl
from tavernkeep.contracts.app import App, Role
from tavernkeep.contracts.execution import Scheduler
from tavernkeep.contracts.storage import WANTING, Unavailable
from tavernkeep_engine.command import convert, run
from tavernkeep_engine.config import EngineConfig, WorkflowsConfig
from tavernkeep_engine.contracts import Foreground, WorkflowForms
from tavernkeep_engine.following import Following
from tavernkeep_engine.foreground import AtTerminal
from tavernkeep_engine.forms.reading import WorkflowReader
from tavernkeep_engine.messages import ExecutionMessages
from tavernkeep_engine.recording import why_unrecorded
from tavernkeep_engine.routes import ExecutionRoutes
from tavernkeep_engine.schedule.allocator import settle_allocator
from tavernkeep_engine.schedule.garbage import GarbageCollector
from tavernkeep_engine.schedule.scheduler import EmbeddedScheduler

_log = structlog.get_logger(__name__)


class EnginePlugin:
    """Runs workflows: compiles, schedules and executes them in the server's process."""

    def __init__(self) -> None:
        self._scheduler: EmbeddedScheduler | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        return [ConfigSection("engine", EngineConfig), ConfigSection("execution", WorkflowsConfig)]

    @hookimpl
    def register_services(self, app: App, services: Services, owner: str) -> None:
        services.add(Foreground, AtTerminal(app), owner=owner)
        services.add(WorkflowForms, WorkflowReader(), owner=owner)

    @hookimpl
    def scheduler(self, app: App) -> EmbeddedScheduler:
        concurrent = app.config.section(WorkflowsConfig).max_concurrent_workflows
        config, unrecorded = app.config.section(EngineConfig), partial(why_unrecorded, app)
        self._scheduler = EmbeddedScheduler(app.events, app.nodes, app.services, config, concurrent, unrecorded)
        return self._scheduler

    @hookimpl(trylast=True)
    async def startup(self, app: App) -> None:
        settle_allocator()
        collector = GarbageCollector()
        collector.settle()
        self._tasks.append(asyncio.create_task(collector.collect_always(), name="engine collects garbage"))
        if self._scheduler is not app.services.get(Scheduler) or Role.WORKER not in app.roles:
            return
        self._tasks.append(asyncio.create_task(self._scheduler.pulse.beat_always(), name="engine has a pulse"))
        if Role.KEEPER in app.roles:
            try:
                await self._scheduler.take_up()
            except (Unavailable, *WANTING) as error:  # no reason not to serve what can be served
                _log.error("what was left open cannot be taken up at present", error=str(error))
                self._tasks.append(asyncio.create_task(self._scheduler.take_up_later(), name="engine takes up"))

    @hookimpl
    async def health(self, app: App) -> None:
        if self._scheduler is app.services.get(Scheduler) and (reason := why_unrecorded(app)) is not None:
            raise RuntimeError(reason)

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        following = Following(app.services.get(Scheduler), app.events)
        return ExecutionRoutes(app.services.get(Scheduler), following).routes()

    @hookimpl
    def register_websocket_messages(self, app: App) -> list[WebSocketMessage]:
        following = Following(app.services.get(Scheduler), app.events)
        return ExecutionMessages(app.services.get(Scheduler), app.nodes, following).messages()

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        return [run, convert]

    @hookimpl
    async def drain(self, app: App) -> None:
        if self._scheduler is not None:
            await self._scheduler.close(app.grace)

    @hookimpl
    async def shutdown(self, app: App) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._scheduler is not None:
            await self._scheduler.close(app.grace)
