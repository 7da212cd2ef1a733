"""The plugin: the embedded scheduler, the routes and messages of executions, and `tavernkeep run`."""

import click

from tavernkeep import ConfigSection, Route, WebSocketMessage, hookimpl
from tavernkeep.config import ExecutionConfig
from tavernkeep.contracts.app import App
from tavernkeep.contracts.execution import ExecutionArchive, Scheduler
from tavernkeep_engine.command import run
from tavernkeep_engine.scheduler import EmbeddedScheduler, EngineConfig
from tavernkeep_engine.surface import Surface


class EnginePlugin:
    """Runs workflows: compiles, schedules and executes them in the server's process."""

    def __init__(self) -> None:
        self._scheduler: EmbeddedScheduler | None = None

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        return [ConfigSection("engine", EngineConfig)]

    @hookimpl
    def scheduler(self, app: App) -> EmbeddedScheduler:
        concurrent = app.config.section(ExecutionConfig).max_concurrent_workflows
        self._scheduler = EmbeddedScheduler(app.events, app.nodes, app.services, app.config.section(EngineConfig), concurrent)
        return self._scheduler

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        return self._surface(app).routes()

    @hookimpl
    def register_websocket_messages(self, app: App) -> list[WebSocketMessage]:
        return self._surface(app).messages()

    def _surface(self, app: App) -> Surface:
        return Surface(app.services.get(Scheduler), app.nodes, app.events, app.services.find(ExecutionArchive))

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        return [run]

    @hookimpl
    async def drain(self) -> None:
        if self._scheduler is not None:
            await self._scheduler.close()

    @hookimpl
    async def shutdown(self) -> None:
        if self._scheduler is not None:
            await self._scheduler.close()
