"""A pytest plugin for authors of nodes: run a node or a workflow in a line.

```python
pytest_plugins = ["tavernkeep.testing"]  # in conftest.py


def test_shout(run_node):
    assert run_node("shout:Shout", text="hi").outputs == {"loud": "HI!"}
```

The plugins that are installed are loaded once for each module of tests, with a data folder of their own and the demo model without its
delay.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import attrs
import pytest

from tavernkeep.app import Application
from tavernkeep.config import ConfigSource
from tavernkeep.contracts import events
from tavernkeep.contracts.auth import AuthProvider, Credentials
from tavernkeep.contracts.events import Event
from tavernkeep.contracts.execution import ExecutionStatus, Scheduler, Submission
from tavernkeep.contracts.workflow import PayloadNode, WorkflowPayload, payload_from
from tavernkeep.wire import loads

_NODE = "node"


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
        return {event.payload["nodeId"]: event.payload["output"] for event in self.events if event.type == events.NODE_COMPLETE}

    def text(self, node_id: str = _NODE) -> str:
        """The text that a node streamed."""
        chunks = [
            event.payload["yieldedContent"]
            for event in self.events
            if event.type == events.NODE_YIELD and event.payload["sourceNodeId"] == node_id
        ]
        return "".join(chunk["content"] for chunk in chunks if chunk["type"] == "text_chunk")


@attrs.define(eq=False)
class Tavern:
    """The installed plugins, started, with an event loop of their own in a thread."""

    app: Application
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread

    def run(self, payload: WorkflowPayload, answers: Mapping[str, Any] | None = None, *, check: bool = True) -> Ran:
        """Run a workflow.

        Args:
            answers: By node, what a person answers when it asks.
            check: Raise for anything but completion.

        Raises:
            WorkflowFailed: It did not complete.
        """
        ran: Ran = asyncio.run_coroutine_threadsafe(self._run(payload, answers or {}), self.loop).result()
        if check and ran.status is not ExecutionStatus.COMPLETE:
            raise WorkflowFailed("; ".join(f"{error.get('nodeId')}: {error['message']}" for error in ran.errors) or ran.status.value)
        return ran

    async def _run(self, payload: WorkflowPayload, answers: Mapping[str, Any]) -> Ran:
        user = await self.app.services.get(AuthProvider).authenticate(Credentials({}))
        assert user is not None, "the default user is there"
        seen: list[Event] = []
        ended = asyncio.Event()

        def watch(event: Event) -> None:
            seen.append(event)
            if event.type == events.STATUS_UPDATE and ExecutionStatus(event.payload["status"]).is_final:
                ended.set()
            elif event.type == events.NODE_WAITING and event.payload["nodeId"] in answers:
                node_id = event.payload["nodeId"]
                # Not at once: the question is told before the node waits for the answer.
                self.loop.call_soon(lambda: self.app.services.get(Scheduler).answer(event.execution_id, node_id, answers[node_id], user))

        accepted: Callable[[str], object] = lambda execution_id: self.app.events.watch(execution_id, watch)  # noqa: E731
        execution_id = await self.app.services.get(Scheduler).submit(Submission(payload, user, accepted))  # type: ignore[arg-type]
        await ended.wait()
        detail = self.app.services.get(Scheduler).detail(execution_id, user)
        assert detail is not None, "an execution that has just ended is remembered"
        failed = (detail.error_info or {}).get("nodes") or ([detail.error_info] if detail.error_info else [])
        return Ran(detail.status, detail.outputs, failed, seen)


@pytest.fixture(scope="module")
def tavern(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tavern]:
    """The installed plugins, started."""
    folder = tmp_path_factory.mktemp("tavern")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="tavern", daemon=True)
    thread.start()

    def wait(coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    (folder / "config.json").write_text(json.dumps({"llm": {"demoDelayS": 0}, "engine": {"shutdownGraceS": 0}}))
    app = Application.load(ConfigSource.read(folder / "config.json", {}))
    wait(app.start(serving=False))
    try:
        yield Tavern(app, loop, thread)
    finally:
        wait(app.drain())
        wait(app.stop())
        wait(_end_tasks())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
    await asyncio.get_running_loop().shutdown_default_executor()


class RunNode(Protocol):
    """What the fixture `run_node` is."""

    def __call__(
        self, type_: str, /, *, config: Mapping[str, Any] | None = None, answer: Any = None, check: bool = True, **inputs: Any
    ) -> Ran: ...


class RunWorkflow(Protocol):
    """What the fixture `run_workflow` is."""

    def __call__(
        self,
        workflow: Mapping[str, Any] | Path | str,
        /,
        *,
        answers: Mapping[str, Any] | None = None,
        check: bool = True,
        **inputs: Any,
    ) -> Ran: ...


@pytest.fixture
def run_node(tavern: Tavern) -> RunNode:
    """`run_node("namespace:Type", config={…}, **inputs)`: run one node."""

    def run(type_: str, /, *, config: Mapping[str, Any] | None = None, answer: Any = None, check: bool = True, **inputs: Any) -> Ran:
        payload = WorkflowPayload([PayloadNode(_NODE, type_, inputs, dict(config or {}))], [])
        ran = tavern.run(payload, {_NODE: answer} if answer is not None else None, check=check)
        return attrs.evolve(ran, outputs=ran.nodes.get(_NODE, {}))

    return run


@pytest.fixture
def run_workflow(tavern: Tavern) -> RunWorkflow:
    """`run_workflow(FILE_OR_WORKFLOW, **inputs)`: run a workflow, a stored one or an execution payload."""

    def run(
        workflow: Mapping[str, Any] | Path | str,
        /,
        *,
        answers: Mapping[str, Any] | None = None,
        check: bool = True,
        **inputs: Any,
    ) -> Ran:
        data = workflow if isinstance(workflow, Mapping) else loads(Path(workflow).read_bytes())
        return tavern.run(payload_from(data).with_inputs(inputs), answers, check=check)

    return run
