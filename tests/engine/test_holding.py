"""What an execution holds of values: whose each copy is, what is given back, and what is forgotten under pressure."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import attrs
import pytest

from support.engine import USER, Engine
from tavernkeep import Chunk, NodeContext, Slot, Stream, node
from tavernkeep.contracts.events import Event, InterfaceYield, NodeComplete, NodeYield
from tavernkeep.contracts.execution import EventsLost
from tavernkeep.contracts.nodes import NodeRegistry
from tavernkeep.contracts.slots import DataFlowType
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep.wire import structure
from tavernkeep_engine.config import EngineConfig

KIB = 1024
INNER = {
    "nodes": [{"id": "fill", "fullType": "h:Fill", "inputs": {"size": 200 * KIB}}],
    "edges": [],
    "interfaceOutputs": {"out": {"key": "out", "dataFlowType": "STRING"}},
    "outputInterfaceMappings": {"out": {"sourceNodeId": "fill", "sourceSlotKey": "output"}},
}


@node("h:Fill", inline=True)
def fill(size: int) -> str:
    """So much text."""
    return "x" * size


@node("h:Call")
async def call(context: NodeContext, times: int) -> int:
    """Run a workflow again and again."""
    for number in range(times):
        subflow = await context.build(structure(INNER, WorkflowPayload), "inner")
        found = await context.call(subflow, {}, str(number))
        assert len(found["out"]) == 200 * KIB
    return times


@node("h:List", inline=True, deterministic=True)
def list_(after: Any = None) -> list[int]:
    """A list."""
    return [3, 1, 2]


@node("h:Default", inline=True, outputs={"items": Slot(DataFlowType.ARRAY)})
def default(items: list[Any] = [0]) -> dict[str, Any]:  # noqa: B006 # that it is changed is what is tested
    """Change what it was given."""
    items.append("changed")
    return {"items": items}


@node("h:Chunks")
async def chunks() -> AsyncIterator[Any]:
    """Chunks of something that can be changed, and a great many."""
    for _ in range(3):
        yield Chunk("custom", {"items": [1]})


@node("h:Texts")
async def texts(count: int, size: int) -> AsyncIterator[str]:
    """Chunks of so much text each."""
    for _ in range(count):
        yield "x" * size


@node("h:Read")
async def read(stream: Stream) -> list[Any]:
    """Change each chunk that it reads."""
    found = []
    async for chunk in stream:
        chunk.content["items"].append("changed")
        found.append(chunk.content)
    return found


class Client:
    """Something that is open."""


@node("h:Open", outputs={"client": Slot(live=True), "key": Slot(secret=True)})
def open_() -> dict[str, Any]:
    """Open it."""
    return {"client": Client(), "key": "planted"}


@node("h:Use", inline=True)
def use(client: Annotated[Any, Slot(live=True)], other: Any = None) -> bool:
    """Whether it is one."""
    return isinstance(client, Client)


@attrs.define
class Account:
    """Somebody's, which only its private part tells."""

    url: str
    _token: str


@node("h:Login", outputs={"account": Slot(live=True)})
def login(token: str) -> dict[str, Any]:
    """Somebody's account."""
    return {"account": Account("https://llm.example", token)}


@node("h:Token", inline=True, deterministic=True)
def token_of(account: Annotated[Any, Slot(live=True)]) -> str:
    """Whose it is."""
    return str(account._token)


@node("h:Blobs")
async def blobs(count: int, size: int) -> AsyncIterator[Any]:
    """Chunks of so many bytes each."""
    for _ in range(count):
        yield Chunk("custom", bytes(size))


@node("h:InTurn")
async def in_turn(first: Stream, second: Stream) -> int:
    """Read one stream to its end and then the other."""
    return len([chunk async for chunk in first]) + len([chunk async for chunk in second])


@pytest.fixture
def nodes() -> NodeRegistry:
    registry = NodeRegistry()
    for defined in (fill, call, list_, default, chunks, texts, read, open_, use, login, token_of, blobs, in_turn):
        registry.add(defined.definition, "test")
    return registry


def graph(*ids: tuple[str, str, dict[str, Any]], edges: tuple[tuple[str, str, str, str], ...] = ()) -> dict[str, Any]:
    return {
        "nodes": [{"id": id_, "fullType": f"h:{type_}", "inputs": inputs} for id_, type_, inputs in ids],
        "edges": [
            {"sourceNodeId": source, "sourceHandle": out, "targetNodeId": target, "targetHandle": slot}
            for source, out, target, slot in edges
        ],
    }


def outputs(seen: list[Event]) -> dict[str, Any]:
    return {event.node_id: event.output for event in seen if isinstance(event, NodeComplete)}


async def test_several_consumers_of_one_output_are_given_their_own(nodes: NodeRegistry) -> None:
    """Each may change it; the outputs stay as they were told, and as they are remembered for another execution."""
    payload = graph(
        ("list", "List", {}),
        ("one", "Default", {}),
        ("two", "Default", {}),
        edges=(("list", "output", "one", "items"), ("list", "output", "two", "items")),
    )
    engine = Engine(EngineConfig(), nodes)
    for _ in range(2):
        detail, seen = await engine.run(payload)
        told = outputs(seen)
        assert told == {"list": {"output": [3, 1, 2]}, "one": {"items": [3, 1, 2, "changed"]}, "two": {"items": [3, 1, 2, "changed"]}}
        assert detail.node_status["list"].output == {"output": [3, 1, 2]}


async def test_what_is_typed_in_and_defaults_stay_as_they_are(nodes: NodeRegistry) -> None:
    """A node that changes a list that it was given by either changes no other's, in this execution or the next."""
    payload = graph(("a", "Default", {}), ("b", "Default", {}), ("c", "Default", {"items": [1]}))
    engine = Engine(EngineConfig(), nodes)
    for _ in range(2):
        _, seen = await engine.run(payload)
        assert outputs(seen) == {"a": {"items": [0, "changed"]}, "b": {"items": [0, "changed"]}, "c": {"items": [1, "changed"]}}


async def test_chunks_are_each_readers_own(nodes: NodeRegistry) -> None:
    """Two nodes read a stream and change its chunks; viewers are told them as they were."""
    payload = graph(
        ("chunks", "Chunks", {}),
        ("one", "Read", {}),
        ("two", "Read", {}),
        edges=(("chunks", "output", "one", "stream"), ("chunks", "output", "two", "stream")),
    )
    _, seen = await Engine(EngineConfig(), nodes).run(payload)
    told = [event.yielded_content["content"] for event in seen if isinstance(event, NodeYield) and event.source_node_id == "chunks"]
    assert told == [{"items": [1]}] * 3
    assert outputs(seen)["one"] == {"output": [{"items": [1, "changed"]}] * 3} == outputs(seen)["two"]


async def test_what_a_nested_run_held_is_given_back(nodes: NodeRegistry) -> None:
    """Far more goes through an execution than it may hold at once; of the events the last are kept."""
    engine = Engine(EngineConfig(max_execution_bytes=KIB * KIB), nodes)
    detail, seen = await engine.run(graph(("call", "Call", {"times": 20})))
    assert detail.node_status["call"].output == {"output": 20}
    (execution_id,) = {event.execution_id for event in seen}
    await engine.settled()
    with pytest.raises(EventsLost, match=r"before number \d+ are") as lost:
        await engine.scheduler.events_after(execution_id, USER, 0)
    first = int(str(lost.value).split()[4])
    kept = await engine.scheduler.events_after(execution_id, USER, first - 1)
    assert kept is not None
    assert [event.seq for event in kept] == list(range(first, seen[-1].seq + 1))
    assert engine.scheduler._retained.used <= KIB * KIB


async def test_chunks_of_more_than_may_be_held_are_told_all_the_same(nodes: NodeRegistry) -> None:
    """Only the last are kept for viewers who come late, and all that was held is given back with the execution."""
    engine = Engine(EngineConfig(max_execution_bytes=KIB * KIB, remembered_executions=1), nodes)
    detail, seen = await engine.run(graph(("texts", "Texts", {"count": 30, "size": 100 * KIB})))
    assert detail.status.value == "complete"
    assert sum(event.yielded_content["content"] == "x" * 100 * KIB for event in seen if isinstance(event, NodeYield)) == 30
    await engine.run(graph())
    await engine.settled()
    assert engine.scheduler._retained.used < KIB * KIB / 2


async def test_a_text_that_is_joined_is_held(nodes: NodeRegistry) -> None:
    """A stream whose text somebody needs whole fails where that is more than the execution may hold."""
    payload = graph(
        ("texts", "Texts", {"count": 30, "size": 100 * KIB}),
        ("list", "List", {}),
        edges=(("texts", "output", "list", "after"),),
    )
    detail, _ = await Engine(EngineConfig(max_execution_bytes=KIB * KIB), nodes).run(payload)
    error = detail.node_status["texts"].error
    assert error is not None
    assert "engine.maxExecutionBytes" in error["message"]


async def test_live_values_stay_with_those_who_expect_them(nodes: NodeRegistry) -> None:
    """Where one input is not live its node fails; a bypassed node passes none on where its output is not live; nobody is told of any."""
    payload = graph(
        ("open", "Open", {}),
        ("use", "Use", {}),
        ("both", "Use", {}),
        ("bypassed", "Use", {}),
        edges=(
            ("open", "client", "use", "client"),
            ("open", "client", "both", "client"),
            ("open", "client", "both", "other"),
            ("open", "client", "bypassed", "other"),
        ),
    )
    payload["nodes"][3]["bypassed"] = True
    payload["interfaceOutputs"] = {key: {"key": key, "dataFlowType": "WILDCARD", "isStream": True} for key in ("client", "key")}
    payload["outputInterfaceMappings"] = {key: {"sourceNodeId": "open", "sourceSlotKey": key} for key in ("client", "key")}
    detail, seen = await Engine(EngineConfig(), nodes).run(payload)
    assert detail.node_status["open"].output == {"client": "<Client>", "key": "***"}
    assert detail.node_status["use"].output == {"output": True}
    assert detail.node_status["both"].error is not None
    assert "Input 'other' of node both takes no live value" in detail.node_status["both"].error["message"]
    assert detail.node_status["bypassed"].status == "error"
    assert b"planted" not in b"".join(event.json() for event in seen)
    assert [event.yielded_content["content"] for event in seen if isinstance(event, InterfaceYield) and not event.is_last_chunk] == [
        "<Client>",
        "***",
    ]


async def test_what_came_of_a_live_value_is_remembered_for_no_other(nodes: NodeRegistry) -> None:
    """Two that look the same are not: a node that promises the same for the same is asked again."""
    engine = Engine(EngineConfig(), nodes)
    for token in ("hers", "his"):
        payload = graph(("login", "Login", {"token": token}), ("token", "Token", {}), edges=(("login", "account", "token", "account"),))
        detail, _ = await engine.run(payload)
        assert detail.node_status["token"].output == {"output": token}


@pytest.mark.parametrize(("count", "ends"), [(5, "complete"), (1000, "error")])
async def test_chunks_that_nobody_has_read_are_held(nodes: NodeRegistry, count: int, ends: str) -> None:
    """Who reads one end of a stream before the other needs all of it to wait; that is as much as the execution may hold."""
    payload = graph(
        ("blobs", "Blobs", {"count": count, "size": 100 * KIB}),
        ("read", "InTurn", {}),
        edges=(("blobs", "output", "read", "first"), ("blobs", "output", "read", "second")),
    )
    detail, seen = await Engine(EngineConfig(max_execution_bytes=KIB * KIB), nodes).run(payload)
    assert detail.status.value == ends
    assert sum(isinstance(event, NodeYield) for event in seen) < 20
    if error := detail.node_status["blobs"].error:
        assert "engine.maxExecutionBytes" in error["message"]


async def test_an_execution_that_has_ended_holds_outputs_alone(nodes: NodeRegistry) -> None:
    """No text of a stream that was joined, and no chunk that nobody read."""
    payload = graph(
        ("texts", "Texts", {"count": 3, "size": KIB}),
        ("list", "List", {}),
        ("read", "Read", {}),  # fails at the first chunk
        edges=(("texts", "output", "list", "after"), ("texts", "output", "read", "stream")),
    )
    engine = Engine(EngineConfig(remembered_events=1), nodes)
    await engine.run(payload)
    await engine.settled()
    assert engine.scheduler._retained.used < 3 * KIB
