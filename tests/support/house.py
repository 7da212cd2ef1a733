"""The installed plugins in one event loop, as a server has them, with what everybody is told."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from tavernkeep import NodeContext, UserContext, node
from tavernkeep.app import Application
from tavernkeep.config import ConfigSource
from tavernkeep.contracts.app import Role
from tavernkeep.contracts.auth import AuthProvider, Credentials
from tavernkeep.contracts.events import Event, StatusUpdate
from tavernkeep.contracts.execution import ExecutionJournal, Scheduler, Submission
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep.testing import PATIENCE_S
from tavernkeep.wire import structure

GATES: dict[str, asyncio.Event] = {}


@node("j:Gate", output="passed")
async def gate(name: str) -> str:
    """Wait until a test lets it pass."""
    await GATES.setdefault(name, asyncio.Event()).wait()
    return name


@node("j:Ask", output="said")
async def ask(context: NodeContext) -> str:
    """Ask twice."""
    return f"{await context.ask(question='first')} {await context.ask(question='second')}"


@attrs.define(eq=False)
class House:
    """The installed plugins in this event loop, as a server has them, with what everybody is told."""

    app: Application
    user: UserContext
    outside: set["asyncio.Task[Any]"]
    told: list[Event] = attrs.field(factory=list)
    _news: asyncio.Event = attrs.field(factory=asyncio.Event)

    def note(self, event: Event) -> None:
        self.told.append(event)
        self._news.set()

    @property
    def scheduler(self) -> Scheduler:
        return self.app.services.get(Scheduler)

    @property
    def journal(self) -> ExecutionJournal:
        return self.app.services.get(ExecutionJournal)

    async def until(self, wanted: Callable[[Event], bool]) -> Event:
        """The first that was told and is wanted."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for event in self.told:
                    if wanted(event):
                        return event
                self._news.clear()
                await self._news.wait()

    async def ended(self, execution_id: str) -> Event:
        return await self.until(lambda event: event.execution_id == execution_id and is_final(event))

    async def kill(self) -> None:
        """End it as a process ends that is killed: what is not written now never is, and nobody is told anything more."""
        inside = asyncio.all_tasks() - self.outside - {asyncio.current_task()}
        for task in inside:
            task.cancel()
        await asyncio.gather(*inside, return_exceptions=True)
        self.app.events.keep(None)
        assert self.app.storage is not None
        assert self.app._lock is not None
        await self.app.storage.close()
        self.app._lock.release()

    async def submit(self, *names: str, type_: str = "j:Gate", **more: Any) -> str:
        return await self.scheduler.submit(Submission(workflow(*names, type_=type_, **more), self.user))

    def of(self, execution_id: str) -> list[Event]:
        return [event for event in self.told if event.execution_id == execution_id]


def workflow(*names: str, type_: str = "j:Gate", **more: Any) -> WorkflowPayload:
    nodes = [{"id": name, "fullType": type_, "inputs": {"name": name} if type_ == "j:Gate" else {}} for name in names]
    return structure({"nodes": nodes, "edges": [], **more}, WorkflowPayload)


def is_final(event: Event) -> bool:
    return isinstance(event, StatusUpdate) and event.status.is_final


def recording(wanted: bool) -> Callable[[Event], bool]:
    return lambda event: event.type == "SYSTEM_RECORDING_UPDATE" and event.payload["recording"] is wanted


async def started(folder: Path, config: str = "{}") -> House:
    (folder / "config.json").write_text(config)
    app = Application.load(ConfigSource.read(folder / "config.json", {}))
    for definition in (gate.definition, ask.definition):
        app.nodes.add(definition, "test")
    outside = asyncio.all_tasks()
    await app.start(Role.ALL)
    user = await app.services.get(AuthProvider).authenticate(Credentials({}))
    assert user is not None
    house = House(app, user, outside)
    app.events.add_sink(house.note)
    return house
