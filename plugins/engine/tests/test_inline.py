"""Nodes in line: whatever goes wrong with one is its own failure, and never a success without outputs."""

from typing import Any

import pytest

from support.engine import Engine
from tavernkeep import NodeContext, PassThrough, node
from tavernkeep.contracts.execution import ExecutionStatus, Recorded
from tavernkeep.contracts.nodes import NodeRegistry
from tavernkeep_engine.config import EngineConfig

MIB = 1024 * 1024


@node("l:Report", inline=True)
def report(context: NodeContext) -> int:
    """Tell of a progress that is far too long."""
    context.progress("x" * 2000)  # type: ignore[arg-type]
    return 1


@node("l:Pass", inline=True, bypass_behavior=PassThrough({"output": "value"}))
def pass_(value: Any = None) -> Any:
    """Give what it is given."""
    return value


@node("l:Large", inline=True, deterministic=True)
def large(size: int) -> str:
    """More than is read at once."""
    return "x" * size


@pytest.fixture
def nodes() -> NodeRegistry:
    registry = NodeRegistry()
    for defined in (report, pass_, large):
        registry.add(defined.definition, "test")
    return registry


def one(full_type: str, inputs: dict[str, Any]) -> dict[str, Any]:
    return {"nodes": [{"id": "a", "fullType": full_type, "inputs": inputs}], "edges": []}


async def test_what_is_too_large_on_the_way_is_the_nodes_failure(nodes: NodeRegistry) -> None:
    """It has not returned anything yet that could be read in a thread."""
    detail, _ = await Engine(EngineConfig(), nodes).run(one("l:Report", {}))
    assert detail.node_status["a"].status == "error"


async def test_what_was_recorded_and_is_too_large_now_is_the_nodes_failure(nodes: NodeRegistry) -> None:
    """The bound may be lower than it was when it was given."""
    engine = Engine(EngineConfig(max_value_bytes=2 * MIB), nodes)
    detail, _ = await engine.run(one("l:Pass", {}), recorded={"a": Recorded({"output": "x" * 3 * MIB})})
    error = detail.node_status["a"].error
    assert error is not None
    assert "engine.maxValueBytes" in error["message"]


async def test_what_is_read_in_a_thread_is_remembered_too(nodes: NodeRegistry) -> None:
    """A deterministic node that gives much is not run again for the same inputs either."""
    engine = Engine(EngineConfig(), nodes)
    for cached in (None, True):
        detail, seen = await engine.run(one("l:Large", {"size": 2 * MIB}))
        assert detail.status is ExecutionStatus.COMPLETE
        assert [event.payload.get("cached") for event in seen if event.type == "NODE_COMPLETE"] == [cached]


@pytest.mark.parametrize("bypassed", [False, True])
async def test_what_is_typed_in_too_deeply_is_the_nodes_failure(nodes: NodeRegistry, bypassed: bool) -> None:
    """JSON may be nested more deeply than values may."""
    value: Any = 1
    for _ in range(900):
        value = [value]
    payload = one("l:Pass", {"value": value})
    payload["nodes"][0]["bypassed"] = bypassed
    detail, _ = await Engine(EngineConfig(), nodes).run(payload)
    error = detail.node_status["a"].error
    assert error is not None, detail.error_info
    assert "is nested" in error["message"]
