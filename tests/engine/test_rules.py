"""Policies, processes, remembered outputs, previews, nested workflows, and sizes."""

import asyncio
import resource
from typing import Any

import attrs
import pytest

from support.engine import REGISTRY, USER, Engine
from tavernkeep import DataFlowType, NodeContext, NodeFailure, Outputs, Policy, Slot, Stream, node
from tavernkeep.contracts.events import Event
from tavernkeep.contracts.execution import ExecutionDetail, Submission
from tavernkeep.contracts.nodes import NodeRegistry
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep.wire import structure
from tavernkeep_engine.config import EngineConfig
from tavernkeep_engine.run.attempts import wait_before

CALLS: dict[str, int] = {}


def _count(key: str) -> int:
    CALLS[key] = CALLS.get(key, 0) + 1
    return CALLS[key]


@node("r:Flaky")
async def flaky(key: str, fails: int = 2, retryable: bool = True) -> int:
    """Fail so many times."""
    tried = _count(key)
    if tried <= fails:
        raise NodeFailure(f"attempt {tried}", retryable=retryable)
    return tried


@node("r:FlakyStream")
async def flaky_stream(key: str, after: int = 0) -> Any:
    """Fail once, after so many chunks."""
    first = _count(key) == 1
    for number in range(3):
        if first and number == after:
            raise ValueError("once")
        yield f"{number}"


@node("r:Forever", inline=True, policy=Policy(timeout_s=0.01))
async def forever() -> None:
    """Take too long, by its definition."""
    await asyncio.Event().wait()


@node("r:ThreadForever")
def thread_forever(context: NodeContext) -> str:
    """Wait in a thread until it is not wanted any more."""
    while not context.cancelled:
        pass
    return ""


@node("r:Expensive", inline=True, deterministic=True)
def expensive(key: str, data: dict[str, Any]) -> dict[str, Any]:
    """Count how often it really runs, and give something that can be changed."""
    return {"runs": _count(key), "data": data}


@node("r:Change", inline=True)
def change(value: dict[str, Any]) -> dict[str, Any]:
    """Change what it was given."""
    value["changed"] = True
    return value


@node("r:Costly", is_preview_unsafe=True, inline=True)
def costly(x: str = "") -> str:
    """Cost something."""
    _count("costly")
    return x


@node("r:Square", process=True)
def square(number: int) -> int:
    """Square, in a process of its own."""
    return number * number


@node("r:Pid", process=True)
def pid() -> int:
    """Name the process."""
    import os

    return os.getpid()


@node("r:Spin", process=True, policy=Policy(timeout_s=1.0))
def spin() -> int:
    """Never end, in a process."""
    while True:
        pass


@node("r:Burst")
async def burst(count: int) -> Any:
    """Many chunks."""
    for _ in range(count):
        yield "x"
    yield Outputs(done=True)


@node("r:Tally")
async def tally(stream: Stream) -> int:
    """Count chunks."""
    seen = 0
    async for _ in stream:
        seen += 1
    return seen


@node("r:Pass", inline=True)
def pass_(value: int = 0, more: list[int] | None = None) -> int:
    """Pass a value on."""
    return value


@pytest.fixture
def engine() -> Engine:
    registry = NodeRegistry()
    for definition in REGISTRY:
        registry.add(definition, "test")
    for entry in (flaky, flaky_stream, forever, thread_forever, expensive, change, costly, square, pid, spin, burst, tally, pass_):
        registry.add(entry.definition, "test")
    many = attrs.evolve(
        pass_.definition, type="Many", inputs={"more": Slot(DataFlowType.ARRAY, multi=True)}, execute=lambda inputs, context: {}
    )
    registry.add(many, "test")
    CALLS.clear()
    return Engine(EngineConfig(), registry)


def one(type_: str, config: dict[str, Any] | None = None, **inputs: Any) -> dict[str, Any]:
    return {"nodes": [{"id": "n", "fullType": type_, "inputs": inputs, "configValues": config or {}}], "edges": []}


def edge(source: str, target: str, handle: str = "output", slot: str = "value") -> dict[str, str]:
    return {"sourceNodeId": source, "sourceHandle": handle, "targetNodeId": target, "targetHandle": slot}


def events_of(seen: list[Event], type_: str) -> list[dict[str, Any]]:
    return [event.payload for event in seen if event.type == type_]


def error_of(detail: ExecutionDetail, id_: str = "n") -> str:
    error = detail.node_status[id_].error
    assert error is not None
    message: str = error["message"]
    return message


async def test_a_node_is_tried_again_by_its_policy(engine: Engine) -> None:
    """Up to its attempts; viewers are told of each failed one."""
    detail, seen = await engine.run(one("r:Flaky", {"executionPolicy": {"attempts": 3, "waitS": 0}}, key="a"))
    assert detail.node_status["n"].output == {"output": 3}
    told = events_of(seen, "NODE_RETRYING")
    assert [(retry["attempt"], retry["attempts"], retry["errorDetails"]["message"]) for retry in told] == [
        (2, 3, "attempt 1"),
        (3, 3, "attempt 2"),
    ]


@pytest.mark.parametrize(("attempts", "retryable", "tried"), [(1, True, 1), (2, True, 2), (9, False, 1)])
async def test_it_is_not_tried_for_ever(engine: Engine, attempts: int, retryable: bool, tried: int) -> None:
    """Nor at all when trying again would not help."""
    detail, _ = await engine.run(one("r:Flaky", {"executionPolicy": {"attempts": attempts, "waitS": 0}}, key="a", retryable=retryable))
    assert error_of(detail) == f"attempt {tried}"
    assert CALLS["a"] == tried


async def test_a_stream_is_tried_again_only_before_its_first_chunk(engine: Engine) -> None:
    """Afterwards viewers and readers have seen it."""
    policy = {"executionPolicy": {"attempts": 2, "waitS": 0}}
    detail, seen = await engine.run(one("r:FlakyStream", policy, key="a"))
    assert detail.status.value == "complete"
    assert [chunk["yieldedContent"]["content"] for chunk in events_of(seen, "NODE_YIELD")][:3] == ["0", "1", "2"]
    detail, _ = await engine.run(one("r:FlakyStream", policy, key="b", after=1))
    assert error_of(detail) == "once"
    assert CALLS["b"] == 1


@pytest.mark.parametrize("type_", ["r:Forever", "r:ThreadForever"])
async def test_a_node_has_its_time(engine: Engine, type_: str) -> None:
    """By its definition or its configuration; a thread is told that it is not wanted, and the execution's other nodes are not."""
    config = {} if type_ == "r:Forever" else {"executionPolicy": {"timeoutS": 0.02}}
    payload = one(type_, config)
    payload["nodes"].append({"id": "other", "fullType": "r:Pass", "inputs": {"value": 1}})
    detail, _ = await engine.run(payload)
    assert "took longer than" in error_of(detail)
    assert detail.node_status["other"].output == {"output": 1}


@pytest.mark.parametrize("policy", [{"attempts": 0}, {"attempts": "3"}, {"timeoutS": -1}, {"waitS": None}, 5])
async def test_a_wrong_policy_is_said(engine: Engine, policy: Any) -> None:
    """The failure names the place."""
    detail, _ = await engine.run(one("r:Pass", {"executionPolicy": policy}))
    assert error_of(detail).startswith("configValues.executionPolicy")


def test_waits_double_up_to_the_longest() -> None:
    """Less up to a quarter by chance."""
    policy = Policy(wait_s=1, longest_wait_s=5)
    assert [wait_before(policy, attempt, lambda: 0.0) for attempt in (1, 2, 3, 4, 500)] == [1, 2, 4, 5, 5]
    assert wait_before(policy, 1, lambda: 1.0) == 0.75


async def test_a_deterministic_node_runs_once_for_the_same_inputs(engine: Engine) -> None:
    """Its message says so; other inputs or configuration run it again; what is given out is a copy."""
    payload = one("r:Expensive", key="a", data={"list": [1]})
    payload["nodes"].append({"id": "c", "fullType": "r:Change"})
    payload["edges"].append(edge("n", "c", "output"))
    first, seen_first = await engine.run(payload)
    again, seen_again = await engine.run(payload)
    assert CALLS["a"] == 1
    complete = [next(e for e in events_of(seen, "NODE_COMPLETE") if e["nodeId"] == "n") for seen in (seen_first, seen_again)]
    assert [entry.get("cached", False) for entry in complete] == [False, True]
    assert first.node_status["c"].output == again.node_status["c"].output
    await engine.run(one("r:Expensive", key="a", data={"list": [2]}))
    await engine.run(one("r:Expensive", {"x": 1}, key="a", data={"list": [2]}))
    assert CALLS["a"] == 3


async def test_the_cache_is_bounded(engine: Engine) -> None:
    """What was used longest ago goes; what is large is not kept at all."""
    small = Engine(EngineConfig(cache_bytes=5200), engine.nodes)
    for number in (1, 2, 3, 1):
        await small.run(one("r:Expensive", key="a", data={"n": number, "fill": "x" * 800}))
    assert CALLS["a"] == 3
    for number in range(10):
        await small.run(one("r:Expensive", key="b", data={"n": number, "fill": "x" * 800}))
    await small.run(one("r:Expensive", key="a", data={"n": 1, "fill": "x" * 800}))
    assert CALLS["a"] == 4
    for _ in range(2):
        await small.run(one("r:Expensive", key="c", data={"fill": "x" * 2000}))
    assert CALLS["c"] == 2
    none = Engine(EngineConfig(cache_bytes=0), engine.nodes)
    for _ in range(2):
        await none.run(one("r:Expensive", key="d", data={}))
    assert CALLS["d"] == 2


async def test_a_preview_runs_what_is_safe(engine: Engine) -> None:
    """What must not run in a preview is skipped, and what depends on it; the execution completes."""
    payload = {
        "nodes": [
            {"id": "a", "fullType": "r:Pass", "inputs": {"value": 1}},
            {"id": "b", "fullType": "r:Costly"},
            {"id": "c", "fullType": "r:Pass"},
            {"id": "d", "fullType": "r:Pass"},
        ],
        "edges": [edge("b", "c"), edge("a", "d")],
        "preview": True,
    }
    detail, _ = await engine.run(payload)
    assert {key: status.status for key, status in detail.node_status.items()} == {
        "a": "complete",
        "b": "skipped",
        "c": "skipped",
        "d": "complete",
    }
    assert detail.status.value == "complete"
    assert "costly" not in CALLS


async def test_a_node_in_a_process_of_its_own(engine: Engine) -> None:
    """It runs there; one that never ends is killed at its time limit, and the next runs."""
    import os

    assert (await engine.run(one("r:Square", number=7)))[0].node_status["n"].output == {"output": 49}
    assert (await engine.run(one("r:Pid")))[0].node_status["n"].output != {"output": os.getpid()}
    assert "took longer than 1 s" in error_of((await engine.run(one("r:Spin")))[0])
    assert (await engine.run(one("r:Square", number=3)))[0].node_status["n"].output == {"output": 9}


def group(reference: str) -> dict[str, Any]:
    return {"id": "g", "type": "core:NodeGroup", "configValues": {"referencedWorkflowId": reference}}


def workflow(*nodes: dict[str, Any]) -> dict[str, Any]:
    return {"nodes": list(nodes), "edges": []}


@pytest.mark.parametrize(
    ("workflows", "circle"),
    [
        ({"a": workflow(group("a"))}, "a → a"),
        ({"a": workflow(group("b")), "b": workflow(group("c")), "c": workflow(group("a"))}, "a → b → c → a"),
        ({"a": workflow(group("b")), "b": workflow(group("b"))}, "b → b"),
        ({"a": workflow(group("root"))}, "root → a → root"),
    ],
)
async def test_a_workflow_that_contains_itself_is_refused_with_the_loop(engine: Engine, workflows: Any, circle: str) -> None:
    """At the outermost group, before anything of it runs; a dry run says it too."""
    payload = {
        **one("core:NodeGroup", {"referencedWorkflowId": "a"}),
        "workflows": workflows,
        "workflowId": "root",
    }
    detail, seen = await engine.run(payload)
    assert circle in error_of(detail)
    assert "contains itself" in error_of(detail)
    assert not events_of(seen, "NODE_EXECUTING")
    report = await engine.scheduler.check(structure(payload, WorkflowPayload), USER)
    assert circle in report.node_problems[0].message


async def test_the_same_group_twice_is_no_loop(engine: Engine) -> None:
    """Side by side, and one within another that also stands beside it."""
    payload = {
        "nodes": [
            {"id": "x", "fullType": "core:NodeGroup", "configValues": {"referencedWorkflowId": "outer"}},
            {"id": "y", "fullType": "core:NodeGroup", "configValues": {"referencedWorkflowId": "inner"}},
        ],
        "edges": [],
        "workflows": {"outer": workflow(group("inner")), "inner": workflow({"id": "p", "type": "r:Pass", "inputValues": {"value": 5}})},
    }
    detail, seen = await engine.run(payload)
    assert detail.status.value == "complete"
    completed = {payload["nodeId"] for payload in events_of(seen, "NODE_COMPLETE")}
    assert {"x/g/p", "y/p", "x", "y", "x/g"} == completed


async def test_a_group_that_fails_says_which_node_did(engine: Engine) -> None:
    """The inner node reports under the group's id, and the group with its message."""
    payload = {
        **one("core:NodeGroup", {"referencedWorkflowId": "a"}),
        "workflows": {"a": {**workflow({"id": "bad", "type": "t:FailIfOdd", "inputValues": {"x": 3}}), "name": "Odd one"}},
    }
    detail, seen = await engine.run(payload)
    assert error_of(detail) == "node 'bad' of workflow 'Odd one' failed: odd"
    inner, outer = events_of(seen, "NODE_ERROR")
    assert (inner["nodeId"], inner["errorDetails"]["nodeId"], outer["nodeId"]) == ("n/bad", "n/bad", "n")


@pytest.mark.parametrize(
    ("reference", "mention"), [("none", "there is no workflow 'none'"), ("", "no workflow is chosen"), ("cycle", "contains a cycle")]
)
async def test_a_group_without_its_workflow(engine: Engine, reference: str, mention: str) -> None:
    """Fails its node alone."""
    cycle = {
        "nodes": [{"id": "a", "type": "r:Pass"}, {"id": "b", "type": "r:Pass"}],
        "edges": [
            {"id": "1", "source": "a", "sourceHandle": "output", "target": "b", "targetHandle": "value"},
            {"id": "2", "source": "b", "sourceHandle": "output", "target": "a", "targetHandle": "value"},
        ],
    }
    payload = {**one("core:NodeGroup", {"referencedWorkflowId": reference}), "workflows": {"cycle": cycle}}
    payload["nodes"].append({"id": "other", "fullType": "r:Pass", "inputs": {"value": 1}})
    detail, _ = await engine.run(payload)
    assert mention in error_of(detail)
    assert detail.node_status["other"].output == {"output": 1}


async def test_an_interrupt_reaches_what_is_nested(engine: Engine) -> None:
    """All of it has stopped when the interrupt is answered."""
    waiting = {"id": "w", "type": "r:ThreadForever"}
    payload = {**one("core:NodeGroup", {"referencedWorkflowId": "a"}), "workflows": {"a": workflow(group("b")), "b": workflow(waiting)}}
    detail, _ = await engine.run(payload, interrupt_after=4)
    assert detail.status.value == "interrupted"
    assert not {task for task in asyncio.all_tasks() if "workflow" in task.get_name() or "node" in task.get_name()}


@pytest.mark.parametrize("shape", ["chain", "fan"])
async def test_ten_thousand_nodes(engine: Engine, shape: str) -> None:
    """In a chain and in a fan."""
    count = 10_000
    nodes = [{"id": f"n{i}", "fullType": "r:Pass", "inputs": {"value": 1} if i == 0 else {}} for i in range(count)]
    edges = [edge(f"n{i - 1}" if shape == "chain" else "n0", f"n{i}") for i in range(1, count)]
    detail, _ = await engine.run({"nodes": nodes, "edges": edges})
    assert detail.node_status[f"n{count - 1}"].output == {"output": 1}


async def test_a_hundred_thousand_edges(engine: Engine) -> None:
    """From 1,000 nodes to 100."""
    nodes = [{"id": f"a{i}", "fullType": "r:Pass", "inputs": {"value": i}} for i in range(1000)]
    nodes += [{"id": f"b{i}", "fullType": "r:Many"} for i in range(100)]
    edges = [edge(f"a{i}", f"b{j}", slot=f"more__{i}") for i in range(1000) for j in range(100)]
    detail, _ = await engine.run({"nodes": nodes, "edges": edges})
    assert detail.status.value == "complete"


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_million_chunks_with_flat_memory(engine: Engine) -> None:
    """Through one stream, with a reader and a viewer: the process does not grow by more than 64 MiB."""
    payload = {
        "nodes": [{"id": "p", "fullType": "r:Burst", "inputs": {"count": 1_000_000}}, {"id": "t", "fullType": "r:Tally"}],
        "edges": [edge("p", "t", slot="stream")],
    }
    await engine.run(payload | {"nodes": [{**payload["nodes"][0], "inputs": {"count": 1000}}, payload["nodes"][1]]})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ended = asyncio.Event()

    def watch(event: Event) -> None:
        if event.type == "EXECUTION_STATUS_UPDATE" and event.payload["status"] != "running":
            ended.set()

    def accepted(execution_id: str) -> None:
        engine.bus.watch(execution_id, watch)

    execution_id = await engine.scheduler.submit(Submission(structure(payload, WorkflowPayload), USER, accepted))
    await ended.wait()
    detail = await engine.scheduler.detail(execution_id, USER)
    assert detail is not None
    assert detail.node_status["t"].output == {"output": 1_000_000}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_a_definition_for_processes_must_be_plain() -> None:
    """No coroutine, no context."""
    with pytest.raises(TypeError, match="plain function"):

        @node("r:Bad", process=True)
        async def bad() -> str:
            return ""
