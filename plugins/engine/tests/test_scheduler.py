"""What the scheduler owes whoever submits, interrupts, and stops the server."""

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from support.engine import REGISTRY, USER, Engine
from tavernkeep import NodeContext, node
from tavernkeep.contracts.events import Event, NodeWaiting
from tavernkeep.contracts.execution import Interrupted, Submission
from tavernkeep.contracts.nodes import NodeRegistry
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep.wire import structure
from tavernkeep_engine.run.results import Results

NESTED = {
    "nodes": [{"id": "in", "fullType": "s:Hold"}],
    "edges": [],
}


@node("s:Hold")
async def hold() -> None:
    """Work until it is stopped."""
    await asyncio.Event().wait()


@node("s:AskTwice")
async def ask_twice(context: NodeContext) -> list[Any]:
    """Put two questions at once."""
    return list(await asyncio.gather(context.ask(question="first"), context.ask(question="second")))


@node("s:Regret")
async def regret(context: NodeContext) -> str:
    """Launch a run and never begin it; then run the same, and once more beside it."""
    subflow = await context.build(structure(NESTED, WorkflowPayload), "nested")
    context.launch(subflow, {})
    first = asyncio.ensure_future(context.call(subflow, {}))
    await asyncio.sleep(0)
    with pytest.raises(ValueError, match="give each of several its own name"):
        await context.call(subflow, {})
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    return "both"


@pytest.fixture
def engine() -> Engine:
    nodes = NodeRegistry()
    for definition in (*REGISTRY, hold.definition, ask_twice.definition, regret.definition):
        nodes.add(definition, "test")
    return Engine(nodes=nodes)


def one(full_type: str) -> dict[str, Any]:
    return {"nodes": [{"id": "a", "fullType": full_type}], "edges": []}


def submission(full_type: str, **more: Any) -> Submission:
    return Submission(structure(one(full_type), WorkflowPayload), USER, **more)


async def test_an_interrupt_right_after_the_start_is_kept(engine: Engine) -> None:
    """Between `running` and the first step there is no run yet; it then starts nothing."""
    detail, seen = await engine.run(one("s:Hold"), interrupt_after=1)
    assert [event.payload.get("status") for event in seen] == ["running", "interrupted"]
    assert detail.node_status["a"].status == "pending"


async def test_an_acceptance_that_fails_takes_nothing(engine: Engine) -> None:
    """Who submits gets the error, no execution is left behind, and the shutdown reaches all others."""
    running = await engine.scheduler.submit(submission("s:Hold"))
    ids: list[str] = []

    def refuse(execution_id: str) -> None:
        ids.append(execution_id)
        raise OSError("nobody is there")

    with pytest.raises(OSError, match="nobody is there"):
        await engine.scheduler.submit(submission("s:Hold", on_accepted=refuse))
    assert [info.prompt_id for info in await engine.scheduler.executions(USER)] == [running]
    assert await engine.scheduler.interrupt(ids[0], USER) is Interrupted.UNKNOWN
    engine.scheduler._config = engine.config.__class__(shutdown_grace_s=0)

    async def grace(work: Collection[asyncio.Task[Any]], seconds: float) -> float:
        await asyncio.wait(work, timeout=seconds)
        return 60

    async with asyncio.timeout(30):
        await engine.scheduler.close(grace)
    assert [info.status for info in await engine.scheduler.recent(USER)] == ["interrupted"]


async def test_a_node_may_put_several_questions_at_once(engine: Engine) -> None:
    """Each answer is that of the first question which has none."""
    asked: list[Event] = []
    both = asyncio.Event()

    def note(event: Event) -> None:
        if isinstance(event, NodeWaiting):
            asked.append(event)
            if len(asked) == 2:
                both.set()

    engine.bus.add_sink(note)
    execution_id = await engine.scheduler.submit(submission("s:AskTwice"))
    async with asyncio.timeout(30):
        await both.wait()
        assert await engine.scheduler.answer(execution_id, "a", 1, USER)
        assert await engine.scheduler.answer(execution_id, "a", 2, USER)
        assert not await engine.scheduler.answer(execution_id, "a", 3, USER)
        while await engine.scheduler.executions(USER):
            await asyncio.sleep(0)
    detail = await engine.scheduler.detail(execution_id, USER)
    assert detail is not None
    assert detail.node_status["a"].output == {"output": [1, 2]}


async def test_a_nested_run_counts_from_when_it_begins(engine: Engine) -> None:
    """One that was launched and never begun is in nobody's way; two of one name at once are refused."""
    detail, _ = await engine.run(one("s:Regret"))
    assert detail.node_status["a"].output == {"output": "both"}, detail.error_info


async def test_an_execution_whose_end_fails_holds_up_nobody(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that wait for its place get it, and it is known as ended."""

    def broken(_: Results) -> None:
        raise RuntimeError("cannot let go")

    ids = [await engine.scheduler.submit(submission("s:Hold")) for _ in range(6)]
    assert (await engine.scheduler.stats()).pending_executions == 1
    with monkeypatch.context() as patch:
        patch.setattr(Results, "forget_live", broken)
        assert await engine.scheduler.interrupt(ids[0], USER) is Interrupted.DONE
        async with asyncio.timeout(30):
            while (await engine.scheduler.stats()).pending_executions:
                await asyncio.sleep(0)
    assert await engine.scheduler.info(ids[0], USER) is not None
    for id_ in ids[1:]:
        assert await engine.scheduler.interrupt(id_, USER) is Interrupted.DONE
