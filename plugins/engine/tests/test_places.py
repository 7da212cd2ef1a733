"""`max_concurrent`: a place is for work, and is given back while a node waits for others."""

import asyncio
from typing import Annotated, Any

import attrs
import pytest

from support.engine import REGISTRY, USER, Engine
from tavernkeep import DataFlowType, NodeContext, NodeDefinition, Outputs, Slot, Stream, node
from tavernkeep.contracts.events import Event, NodeExecuting, NodeWaiting
from tavernkeep.contracts.execution import ExecutionDetail, Submission
from tavernkeep.contracts.nodes import NodeRegistry
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep.wire import structure

STREAM = {"live": Slot(DataFlowType.STRING, is_stream=True), "text": Slot(DataFlowType.STRING)}


@attrs.define
class Work:
    """How many nodes are at work, and how many ever were at once."""

    now: int = 0
    most: int = 0

    async def __aenter__(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    async def __aexit__(self, *_: object) -> None:
        self.now -= 1


WORK = Work()


@node("p:Both", max_concurrent=1, outputs=STREAM)
async def both(live: Annotated[Any, Slot(is_stream=True)] = None, word: str = "", count: int = 20) -> Any:
    """Give so many chunks, or those that come in."""
    text = ""
    if live is None:
        for number in range(count):
            text += f"{number}"
            yield f"{number}"
    else:
        async for chunk in live:
            text += chunk.content
            yield chunk.content
    yield Outputs(text=text + word)


@node("p:Join")
async def join(live: Stream, word: str) -> str:
    """Read a stream, with a word that is there before."""
    return "".join([chunk.content async for chunk in live]) + word


@node("p:Say", max_concurrent=1)
async def say(word: str = "said") -> str:
    """Say a word."""
    async with WORK:
        await asyncio.sleep(0)
    return word


def say_inline(inputs: dict[str, Any], context: NodeContext) -> Any:
    async def later() -> dict[str, Any]:
        async with WORK:
            await asyncio.sleep(0)
        return {}

    return later()


SAY_INLINE = NodeDefinition(type="SayInline", namespace="p", execute=say_inline, inline=True, max_concurrent=1)


@node("p:Nest", max_concurrent=1)
async def nest(context: NodeContext, depth: int = 1) -> str:
    """Run a node of its own type inside itself."""
    async with WORK:
        pass
    if not depth:
        return "bottom"
    inner = {"id": "in", "fullType": "p:Nest", "inputs": {"depth": depth - 1}}
    payload = {
        "nodes": [inner],
        "edges": [],
        "interfaceOutputs": {"out": {"key": "out", "dataFlowType": "STRING"}},
        "outputInterfaceMappings": {"out": {"sourceNodeId": "in", "sourceSlotKey": "output"}},
    }
    found = await context.call(await context.build(structure(payload, WorkflowPayload), f"depth {depth}"), {})
    return f"{depth} {found['out']}"


@node("p:Ask", max_concurrent=1)
async def ask(context: NodeContext) -> Any:
    """Ask a person."""
    return await context.ask(question="?")


@node("p:Hold", max_concurrent=1)
async def hold() -> None:
    """Work for ever."""
    await asyncio.Event().wait()


@pytest.fixture
def engine() -> Engine:
    nodes = NodeRegistry()
    for definition in REGISTRY:
        nodes.add(definition, "test")
    for definition in (SAY_INLINE, *(entry.definition for entry in (both, join, say, nest, ask, hold))):
        nodes.add(definition, "test")
    WORK.now = WORK.most = 0
    return Engine(nodes=nodes)


def made(nodes: dict[str, str], *edges: str, **inputs: dict[str, Any]) -> dict[str, Any]:
    """Nodes by id with their type, edges as `a.slot b.slot`."""
    ends = [[part for end in edge.split() for part in end.split(".")] for edge in edges]
    return {
        "nodes": [{"id": id_, "fullType": type_, "inputs": inputs.get(id_, {})} for id_, type_ in nodes.items()],
        "edges": [{"sourceNodeId": a, "sourceHandle": b, "targetNodeId": c, "targetHandle": d} for a, b, c, d in ends],
    }


def output(detail: ExecutionDetail, node_id: str) -> dict[str, Any]:
    assert detail.status == "complete", detail
    found = detail.node_status[node_id].output
    assert found is not None
    return found


async def test_a_producer_and_its_consumer_may_be_of_one_type(engine: Engine) -> None:
    """The stream is longer than every buffer, there is one place, and both come to their end."""
    detail, _ = await engine.run(made({"a": "p:Both", "b": "p:Both", "c": "p:Both"}, "a.live b.live", "b.live c.live"))
    assert output(detail, "c") == {"text": "".join(map(str, range(20)))}


async def test_a_producer_that_waits_for_room_holds_no_place(engine: Engine) -> None:
    """Its consumer cannot start before another node of the producer's type has run."""
    payload = made({"a": "p:Both", "last": "p:Both", "b": "p:Join"}, "a.live b.live", "last.text b.word", last={"count": 0, "word": "!"})
    detail, _ = await engine.run(payload)
    assert output(detail, "b") == {"output": "".join(map(str, range(20))) + "!"}


async def test_a_node_may_hold_nodes_of_its_own_type(engine: Engine) -> None:
    """Each gives its place back while it waits for the run inside it; several side by side as well."""
    payload = made(dict.fromkeys("abc", "p:Nest"), a={"depth": 3}, b={"depth": 2}, c={"depth": 3})
    detail, _ = await engine.run(payload)
    assert [output(detail, id_)["output"] for id_ in "abc"] == ["3 2 1 bottom", "2 1 bottom", "3 2 1 bottom"]


async def test_runs_are_nested_only_so_deep(engine: Engine) -> None:
    """A node that makes its own workflow inside itself, for ever, fails: with a reason, and without filling the memory."""
    detail, _ = await engine.run(made({"a": "p:Nest"}, a={"depth": 1000}))
    assert detail.error_info is not None
    assert "nested more than 50 deep" in detail.error_info["nodes"][0]["message"]


async def test_who_waits_for_a_person_holds_no_place(engine: Engine) -> None:
    """A second node asks while the first still waits for its answer, in another execution too."""
    asked: dict[str, asyncio.Event] = {}

    def note(event: Event) -> None:
        if isinstance(event, NodeWaiting):
            asked.setdefault(event.execution_id, asyncio.Event()).set()

    engine.bus.add_sink(note)
    payload = structure(made({"a": "p:Ask"}), WorkflowPayload)
    ids = [await engine.scheduler.submit(Submission(payload, USER)) for _ in range(3)]
    async with asyncio.timeout(30):
        while not all(id_ in asked for id_ in ids):
            await asyncio.sleep(0)
    for id_ in ids:
        assert await engine.scheduler.answer(id_, "a", id_, USER)
    async with asyncio.timeout(30):
        while await engine.scheduler.executions(USER):
            await asyncio.sleep(0)
    details = [await engine.scheduler.detail(id_, USER) for id_ in ids]
    assert [detail and output(detail, "a") for detail in details] == [{"output": id_} for id_ in ids]


@pytest.mark.parametrize("type_", ["p:Say", "p:SayInline"])
async def test_no_more_are_at_work_than_there_are_places(engine: Engine, type_: str) -> None:
    """Of one execution and of several together, whether the function is a coroutine or gives one."""
    payload = made({str(number): type_ for number in range(10)})
    details = await asyncio.gather(*(engine.run(payload) for _ in range(3)))
    assert [detail.status for detail, _ in details] == ["complete"] * 3
    assert WORK.most == 1


async def test_who_is_stopped_leaves_its_place_to_others(engine: Engine) -> None:
    """Whether it worked, waited for a place, or for another node: the next execution finds every place free."""
    for type_, seen in (("p:Hold", 2), ("p:Ask", 5)):  # running, and what each of two nodes tells that comes so far
        detail, _ = await engine.run(made({"a": type_, "b": type_}), interrupt_after=seen)
        assert detail.status == "interrupted"
    started: list[str] = []
    engine.bus.add_sink(lambda event: started.append(event.execution_id) if isinstance(event, NodeExecuting) else None)
    again, _ = await engine.run(made({"a": "p:Hold"}), interrupt_after=2)
    assert (again.status, len(started)) == ("interrupted", 1)
    waiting = made({"a": "p:Both", "b": "p:Both"}, "a.live b.live")
    for after in range(2, 30, 3):
        await engine.run(waiting, interrupt_after=after)
    detail, _ = await engine.run(waiting)
    assert output(detail, "b") == {"text": "".join(map(str, range(20)))}
