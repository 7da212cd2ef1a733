"""The engine in process, events to one sink: what a trivial node costs, beside a bare asyncio task in the same run."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

from tavernkeep.contracts.auth import UserContext
from tavernkeep.contracts.bus import EventBus
from tavernkeep.contracts.events import Event, StatusUpdate
from tavernkeep.contracts.execution import ExecutionStatus, Submission
from tavernkeep.contracts.nodes import NodeDefinition, NodeRegistry
from tavernkeep.contracts.services import Services
from tavernkeep.contracts.slots import DataFlowType, Slot
from tavernkeep.contracts.workflow import Edge, PayloadNode, WorkflowPayload
from tavernkeep_engine.config import EngineConfig
from tavernkeep_engine.schedule.garbage import GarbageCollector
from tavernkeep_engine.schedule.scheduler import EmbeddedScheduler

TRIVIAL = NodeDefinition(
    type="Trivial",
    namespace="bench",
    inputs={"value": Slot(DataFlowType.INTEGER, config={"default": 0})},
    outputs={"value": Slot(DataFlowType.INTEGER)},
    execute=lambda inputs, context: {"value": inputs["value"]},
    inline=True,
)
USER = UserContext("bench", "bench", is_admin=True)


def chain(length: int) -> WorkflowPayload:
    nodes = [PayloadNode(f"n{i}", "bench:Trivial") for i in range(length)]
    return WorkflowPayload(nodes, [Edge(f"n{i}", "value", f"n{i + 1}", "value") for i in range(length - 1)])


def fan(width: int) -> WorkflowPayload:
    nodes = [PayloadNode(f"n{i}", "bench:Trivial") for i in range(width)]
    return WorkflowPayload(nodes, [Edge("n0", "value", f"n{i}", "value") for i in range(1, width)])


async def bare_tasks(count: int) -> float:
    """Seconds for so many tasks that do nothing, one after the other."""

    async def nothing() -> None:
        pass

    began = time.perf_counter()
    for _ in range(count):
        await asyncio.create_task(nothing())
    return time.perf_counter() - began


async def execution(payload: WorkflowPayload) -> float:
    """Seconds from submitting a compiled-on-the-spot workflow to its last event."""
    registry, bus = NodeRegistry(), EventBus()
    registry.add(TRIVIAL, "bench")
    ended = asyncio.Event()

    def sink(event: Event) -> None:
        if isinstance(event, StatusUpdate) and event.status is ExecutionStatus.COMPLETE:
            ended.set()

    bus.add_sink(sink)
    scheduler = EmbeddedScheduler(bus, registry, Services(), EngineConfig(), 1)
    began = time.perf_counter()
    await scheduler.submit(Submission(payload, USER))
    await ended.wait()
    return time.perf_counter() - began


async def median(measure: Callable[[], Awaitable[float]], rounds: int = 5) -> float:
    return statistics.median([await measure() for _ in range(rounds)])


async def main() -> None:
    GarbageCollector().settle()  # as the server does when it has started
    task = await median(lambda: bare_tasks(10_000)) / 10_000
    print(f"{'a bare asyncio task':34} {task * 1e6:7.2f} µs")
    for name, shape in (("chain", chain), ("fan", fan)):
        for size in (1_000, 10_000, 100_000):
            payload = shape(size)
            node = await median(lambda payload=payload: execution(payload), 5 if size < 100_000 else 3) / size
            print(f"{f'a node in a {name} of {size:,}':34} {node * 1e6:7.2f} µs   {node / task:5.2f} × a task (at most 3)")


if __name__ == "__main__":
    asyncio.run(main())
