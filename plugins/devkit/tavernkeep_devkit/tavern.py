"""The installed plugins, started in this process: what runs in it, and how it is reached."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import httpx2

from tavernkeep.app import Application
from tavernkeep.config import ConfigSource
from tavernkeep.contracts.app import Role
from tavernkeep.contracts.auth import AuthProvider, Credentials
from tavernkeep.contracts.events import Event, NodeComplete, NodeWaiting, NodeYield, StatusUpdate
from tavernkeep.contracts.execution import ExecutionStatus, Scheduler, Submission
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep_devkit.processes import PATIENCE_S
from tavernkeep_devkit.serving import serving
from tavernkeep_devkit.sockets import Socket, viewer

ONE_NODE: Final = "node"
# What makes a test wait for nothing; a test's own configuration goes before it.
_QUICK: Final[Mapping[str, Mapping[str, Any]]] = {"llm": {"demoDelayS": 0}, "engine": {"shutdownGraceS": 0}}

T = TypeVar("T")


class WorkflowFailed(AssertionError):
    """A run did not complete; the message has what failed."""


@attrs.frozen
class Ran:
    """What came of a run.

    Attributes:
        outputs: Of a node, its outputs; of a workflow, its own.
        events: Everything that viewers were told, in order.
        nodes: What each node gave.
    """

    status: ExecutionStatus
    outputs: Mapping[str, Any]
    errors: list[Mapping[str, Any]]
    events: list[Event] = attrs.field(repr=False)

    @property
    def nodes(self) -> dict[str, Mapping[str, Any]]:
        """The outputs of each node that completed, by its id."""
        return {event.node_id: event.output for event in self.events if isinstance(event, NodeComplete)}

    def text(self, node_id: str = ONE_NODE) -> str:
        """The text that a node streamed."""
        chunks = [event.yielded_content for event in self.events if isinstance(event, NodeYield) and event.source_node_id == node_id]
        return "".join(chunk["content"] for chunk in chunks if chunk["type"] == "text_chunk")


@attrs.define(eq=False)
class Tavern:
    """The installed plugins, started, and served on a real port, with an event loop of their own in a thread.

    Attributes:
        app: What hooks are handed as `app`: its configuration, services, nodes, plugins.
        url: Where the server is, without a slash at the end.
        loop: In which everything of the app happens.
        thread: In which the loop runs.
    """

    app: Application
    url: str
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread

    @classmethod
    @contextmanager
    def open(cls, folder: Path, config: Mapping[str, Any] | None = None) -> "Iterator[Tavern]":
        """Start everything in a folder, and take it down at the end. One at a time: the ORM has one place for its models.

        Args:
            folder: For the configuration file and everything else that is kept; the next tavern in it finds what this one left.
            config: What the configuration file has, instead of every key at its default.

        Raises:
            StartError: What stands in the way.
        """
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="tavern", daemon=True)
        thread.start()

        def wait(coroutine: Coroutine[Any, Any, T]) -> T:
            return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

        try:
            file = folder / "config.json"
            file.write_text(json.dumps(_quickened(config or {})), encoding="utf-8")
            running = _served(Application.load(ConfigSource.read(file, {})))
            app, url = wait(running.__aenter__())
            try:
                yield cls(app, url, loop, thread)
            finally:
                wait(running.__aexit__(None, None, None))
        finally:
            wait(_end_tasks())
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Do something where the app is, as its services want it: `tavern.wait(app.services.get(Contract).method())`."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def client(self, **options: Any) -> httpx2.Client:
        """A new HTTP client of the server, to be closed; `options` are further ones of `httpx2.Client`."""
        return httpx2.Client(base_url=self.url, timeout=PATIENCE_S, trust_env=False, **options)

    @contextmanager
    def socket(self, **options: Any) -> Iterator[Socket]:
        """A new WebSocket at `/ws`; `options` are those of `websockets.connect`."""
        opened = viewer(self.url.replace("http", "ws", 1) + "/ws", **options)
        socket = Socket(self.wait(opened.__aenter__()), self.wait)
        try:
            yield socket
        finally:
            self.wait(opened.__aexit__(None, None, None))

    def run(self, payload: WorkflowPayload, answers: Mapping[str, Any] | None = None, *, check: bool = True) -> Ran:
        """Run a workflow.

        Args:
            answers: By node, what a person answers when it asks.
            check: Raise for anything but completion.

        Raises:
            WorkflowFailed: It did not complete.
        """
        ran = self.wait(self._run(payload, answers or {}))
        if check and ran.status is not ExecutionStatus.COMPLETE:
            raise WorkflowFailed("; ".join(f"{error.get('nodeId')}: {error['message']}" for error in ran.errors) or ran.status.value)
        return ran

    async def _run(self, payload: WorkflowPayload, answers: Mapping[str, Any]) -> Ran:
        user = await self.app.services.get(AuthProvider).authenticate(Credentials({}))
        assert user is not None, "the default user is there"
        seen: list[Event] = []
        ended = asyncio.Event()
        answering: set[asyncio.Task[bool | None]] = set()

        def watch(event: Event) -> None:
            seen.append(event)
            if isinstance(event, StatusUpdate) and event.status.is_final:
                ended.set()
            elif isinstance(event, NodeWaiting) and event.node_id in answers:
                node_id = event.node_id
                # Not at once: the question is told before the node waits for the answer.
                given = self.app.services.get(Scheduler).answer(event.execution_id, node_id, answers[node_id], user)
                answering.add(self.loop.create_task(given))

        accepted: Callable[[str], object] = lambda execution_id: self.app.events.watch(execution_id, watch)  # noqa: E731
        execution_id = await self.app.services.get(Scheduler).submit(Submission(payload, user, accepted))  # type: ignore[arg-type]
        await ended.wait()
        await asyncio.gather(*answering)
        detail = await self.app.services.get(Scheduler).detail(execution_id, user)
        assert detail is not None, "an execution that has just ended is remembered"
        failed = (detail.error_info or {}).get("nodes") or ([detail.error_info] if detail.error_info else [])
        return Ran(detail.status, detail.outputs, failed, seen)


def _quickened(config: Mapping[str, Any]) -> dict[str, Any]:
    return {**config, **{section: {**keys, **config.get(section, {})} for section, keys in _QUICK.items()}}


@asynccontextmanager
async def _served(app: Application) -> AsyncIterator[tuple[Application, str]]:
    await app.start(Role.ALL)
    try:
        async with serving(app.asgi) as url:
            yield app, url
            await app.drain()
    finally:
        await app.stop()


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
    await asyncio.get_running_loop().shutdown_default_executor()
