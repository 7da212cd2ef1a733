"""Nothing of an execution that has ended waits for the garbage collector: Python's counting of references frees it."""

import asyncio
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from support.engine import REGISTRY, USER, Engine
from tavernkeep import NodeContext, Slot, node
from tavernkeep.contracts.events import Event, NodeWaiting, StatusUpdate
from tavernkeep.contracts.execution import ExecutionJournal, Opening, RefusalReason, Refused, Submission
from tavernkeep.contracts.nodes import NodeRegistry
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep.testing import PATIENCE_S
from tavernkeep.wire import Invalid, structure
from tavernkeep_engine.config import EngineConfig
from tavernkeep_nodes_flow.repeat import MAP

SEEN: list["weakref.ref[Any]"] = []  # what nodes had, for as long as it is there


def alive() -> list[Any]:
    found = [seen() for seen in SEEN]
    SEEN.clear()
    return [item for item in found if item is not None]


class Handle:
    """Something that is open."""


@node("g:Hold")
async def hold(context: NodeContext) -> None:
    """Work until it is stopped."""
    SEEN.append(weakref.ref(context))
    await asyncio.Event().wait()


@node("g:Open", outputs={"handle": Slot(live=True)})
async def open_(context: NodeContext) -> dict[str, Any]:
    """Give something live."""
    SEEN.append(weakref.ref(context))
    handle = Handle()
    SEEN.append(weakref.ref(handle))
    return {"handle": handle}


@node("g:Boom")
async def boom(x: Any = 0) -> int:
    """Fail."""
    failure = ValueError("boom")
    raise failure


@node("g:ThreadBoom")
def thread_boom(x: Any = 0) -> int:
    """Fail in a thread."""
    failure = ValueError("boom")
    raise failure


@node("g:ThreadHold")
def thread_hold(context: NodeContext) -> None:
    """Block in a thread until it is stopped."""
    while not context.cancelled:
        time.sleep(0.001)


@node("g:Ask")
async def ask(context: NodeContext) -> Any:
    """Wait for a person."""
    return await context.ask(question="?")


def one(full_type: str, **config: Any) -> dict[str, Any]:
    return {"id": "a", "fullType": full_type, "configValues": config}


def edge(source: str, output: str, target: str, slot: str) -> dict[str, Any]:
    return {"sourceNodeId": source, "sourceHandle": output, "targetNodeId": target, "targetHandle": slot}


def inner(*types: str) -> dict[str, Any]:
    """A workflow to refer to: what the first of its nodes gives is its output."""
    nodes = [{"id": str(number), "type": type_, "data": {}} for number, type_ in enumerate(types)]
    outlet = {"id": "out", "type": "core:GroupOutput", "data": {}}
    slot = {"t:Produce": "live", "t:Word": "out"}.get(types[0], "output")
    stored = {"id": "e", "source": "0", "sourceHandle": slot, "target": "out", "targetHandle": "out"}
    item, output = {"key": "item", "dataFlowType": "INTEGER"}, {"key": "out", "dataFlowType": "STRING", "isStream": slot == "live"}
    return {"nodes": [*nodes, outlet], "edges": [stored], "interfaceInputs": {"item": item}, "interfaceOutputs": {"out": output}}


def referring(full_type: str, *types: str) -> dict[str, Any]:
    chosen = {"id": "a", "fullType": full_type, "configValues": {"referencedWorkflowId": "inner"}, "inputs": {"items": [1, 2, 3]}}
    return {"nodes": [chosen], "edges": [], "workflows": {"inner": inner(*types)}}


CHAIN = {
    "nodes": [{"id": "n0", "fullType": "t:Const"}, *({"id": f"n{number}", "fullType": "t:AddInline"} for number in range(1, 6))],
    "edges": [edge(f"n{number}", "sum" if number else "out", f"n{number + 1}", "a") for number in range(5)],
}
FAN = {
    "nodes": [
        {"id": "n", "fullType": "t:Const"},
        *({"id": kind, "fullType": f"t:Add{kind}"} for kind in ("Inline", "Async", "Thread")),
    ],
    "edges": [edge("n", "out", kind, "a") for kind in ("Inline", "Async", "Thread")],
}


def streamed(**more: Any) -> dict[str, Any]:
    """A producer, a relay and a consumer, with something else about the first two."""
    nodes = [
        {"id": "p", "fullType": "t:Produce", "configValues": more.get("produce", {})},
        {"id": "r", "fullType": "t:Relay", "bypassed": more.get("bypassed", False)},
        {"id": "c", "fullType": "t:Collect"},
    ]
    return {"nodes": nodes, "edges": [edge("p", "live", "r", "stream"), edge("r", "live", "c", "stream")]}


def alone(full_type: str, **config: Any) -> dict[str, Any]:
    return {"nodes": [one(full_type, **config)], "edges": []}


ENDED: Mapping[str, dict[str, Any]] = {
    "a chain": CHAIN,
    "a fan": FAN,
    "a stream": streamed(),
    "a stream that breaks": streamed(produce={"failAt": 2}),
    "a bypassed stream": streamed(bypassed=True),
    "a bypassed stream that breaks": streamed(bypassed=True, produce={"failAt": 2}),
    "a live value": alone("g:Open"),
    "a group": referring("core:NodeGroup", "t:Word"),
    "a group that streams": referring("core:NodeGroup", "t:Produce", "t:Word"),
    "a group in which a node fails": referring("core:NodeGroup", "g:Boom"),
    "a map": referring("flow:Map", "t:Word"),
    "a map in which all fail": referring("flow:Map", "g:Boom"),
    "a failure": alone("g:Boom"),
    "a failure in a thread": alone("g:ThreadBoom"),
    "a failure in line": {"nodes": [{"id": "a", "fullType": "t:FailIfOdd", "inputs": {"x": 1}}], "edges": []},
    "another attempt": alone("g:Boom", executionPolicy={"attempts": 2, "waitS": 0}),
    "a node that is too slow": alone("g:Hold", executionPolicy={"timeoutS": 0.01}),
    "an execution that is too slow": alone("g:Hold") | {"timeoutS": 0.01},
    "a circle": {"nodes": [one("t:AddInline")], "edges": [edge("a", "sum", "a", "a")]},
    "an unknown node": alone("t:Nothing there"),
}
INTERRUPTED: Mapping[str, tuple[dict[str, Any], int]] = {
    "a node": (alone("g:Hold"), 2),
    "a node with a time-out": (alone("g:Hold", executionPolicy={"timeoutS": 100}), 2),
    "a thread": (alone("g:ThreadHold"), 2),
    "a stream": (streamed(produce={"count": 100_000}), 8),
    "a group": (referring("core:NodeGroup", "g:Hold"), 3),
    "a map": (referring("flow:Map", "g:Hold"), 4),
    "a question": (alone("g:Ask"), 3),
}


@pytest.fixture
def engine() -> Engine:
    nodes = NodeRegistry()
    mine = (hold, open_, boom, thread_boom, thread_hold, ask)
    for definition in (*REGISTRY, MAP, *(found.definition for found in mine)):
        nodes.add(definition, "test")
    return Engine(EngineConfig(stream_buffer=2, max_concurrent_nodes=3, remembered_executions=1), nodes)


async def forget(engine: Engine) -> None:
    """Let another execution take the place of the one before, and let what has ended go."""
    await engine.run(alone("t:Const"))
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize("name", ENDED)
async def test_what_ended_is_freed(engine: Engine, circles: Callable[[], list[str]], name: str) -> None:
    """With whatever an execution ended, all of it is freed when it is forgotten."""
    detail, _ = await engine.run(ENDED[name])
    expected = "error" if any(word in name for word in ("fail", "break", "slow", "circle", "unknown", "attempt")) else "complete"
    assert detail.status == expected, detail
    del detail
    assert alive() == [], "contexts and live values are freed at its end"
    await forget(engine)
    assert circles() == []


@pytest.mark.parametrize("name", INTERRUPTED)
async def test_what_was_interrupted_is_freed(engine: Engine, circles: Callable[[], list[str]], name: str) -> None:
    """Whatever it was doing, all of an execution that was interrupted is freed when it is forgotten."""
    payload, after = INTERRUPTED[name]
    detail, _ = await engine.run(payload, interrupt_after=after)
    assert detail.status == "interrupted"
    del detail
    assert alive() == []
    await forget(engine)
    assert circles() == []


async def test_what_was_answered_is_freed(engine: Engine, circles: Callable[[], list[str]]) -> None:
    """A person's answer leaves nothing behind."""
    waiting, ended = asyncio.Event(), asyncio.Event()

    def watch(event: Event) -> None:
        if isinstance(event, NodeWaiting):
            waiting.set()
        elif isinstance(event, StatusUpdate) and event.status.is_final:
            ended.set()

    def accepted(execution_id: str) -> None:
        engine.bus.watch(execution_id, watch)

    async with asyncio.timeout(PATIENCE_S):
        submission = Submission(structure(alone("g:Ask"), WorkflowPayload), USER, accepted)
        execution_id = await engine.scheduler.submit(submission)
        await waiting.wait()
        await asyncio.sleep(0)  # the question is told before the node waits
        assert await engine.scheduler.answer(execution_id, "a", "yes", USER)
        await ended.wait()
    engine.bus.unwatch(execution_id, watch)
    del submission
    await forget(engine)
    assert circles() == []


async def test_what_is_not_accepted_is_freed(engine: Engine, circles: Callable[[], list[str]]) -> None:
    """A submission that cannot be recorded leaves nothing of the run that it had begun."""

    class Full:
        """A journal that has no room."""

        problem = None

        def open(self, opening: Opening) -> None:
            """Refuse it when it runs."""
            asyncio.get_running_loop().call_soon(opening.refused, Refused("no room", RefusalReason.UNRECORDED))

    journal: Any = Full()
    services = engine.scheduler._services
    services.add(ExecutionJournal, journal, owner="test")
    with pytest.raises(Refused, match="no room"):
        await engine.scheduler.submit(Submission(structure(alone("g:Hold"), WorkflowPayload), USER))
    for _ in range(10):
        await asyncio.sleep(0)
    assert alive() == []
    assert circles() == []


def test_a_value_that_does_not_fit_is_freed(circles: Callable[[], list[str]]) -> None:
    """The errors that say what is wrong with a body do not hold it."""
    with pytest.raises(Invalid):
        structure({"nodes": [{"id": 1}, "no node"], "edges": {"no": "list"}}, WorkflowPayload)
    assert circles() == []
