"""What waits for a person, which may take weeks, has no place among what runs."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from typing import Any

import pytest
import pytest_asyncio

from support.engine import REGISTRY, USER, Engine
from tavernkeep import NodeContext, Stream, UserContext, node
from tavernkeep.contracts.events import Event, NodeAnswered, NodeExecuting, NodeWaiting, StatusUpdate
from tavernkeep.contracts.execution import ExecutionStatus, Interrupted, RefusalReason, Refused, Submission
from tavernkeep.contracts.nodes import NodeRegistry
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep.wire import structure
from tavernkeep_engine.config import EngineConfig

WORK: dict[str, Any] = {}


@node("r:Ask")
async def ask(context: NodeContext, times: int = 1) -> list[Any]:
    """Ask, one question after the other."""
    return [await context.ask(question=str(number)) for number in range(times)]


@node("r:AskTwo")
async def ask_two(context: NodeContext) -> list[Any]:
    """Ask two at once."""
    return list(await asyncio.gather(context.ask(question="a"), context.ask(question="b")))


@node("r:Agent")
async def agent(context: NodeContext) -> AsyncIterator[str]:
    """Speak, ask, and go on speaking."""
    yield "may I? "
    yield str(await context.ask(question="may I?"))


@node("r:Listen")
async def listen(text: Stream) -> str:
    """Read all of it."""
    return "".join([str(chunk.content) async for chunk in text])


@node("r:Work")
async def work(after: Any = None) -> str:
    """Count who is at work at the same time."""
    WORK["working"] += 1
    WORK["most"] = max(WORK["most"], WORK["working"])
    for _ in range(20):
        await asyncio.sleep(0)
    WORK["working"] -= 1
    return "done"


@node("r:Hold")
async def hold() -> None:
    """Work until it is stopped."""
    await asyncio.Event().wait()


@node("r:Impatient")
async def impatient(context: NodeContext, alone: bool = False) -> str:
    """Ask, and go on without an answer: in the same attempt, or (where its policy ends that) in the next."""
    if alone:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await context.ask(question="at once?")
    elif not WORK["asked"]:
        WORK["asked"] += 1
        await context.ask(question="at once?")
    return await count()


@node("r:Busy")
async def busy() -> str:
    """Be at work until a test has seen it."""
    return await count()


async def count() -> str:
    WORK["working"] += 1
    WORK["most"] = max(WORK["most"], WORK["working"])
    await WORK["go"].wait()
    WORK["working"] -= 1
    return "done"


@node("r:One", max_concurrent=1)
async def one(context: NodeContext, asks: bool = False, after: Any = None) -> str:
    """Be the only one of its type that works; or ask."""
    return str(await context.ask(question="?")) if asks else "done"


@node("r:Inside")
async def inside(context: NodeContext) -> Any:
    """Run a workflow in which a node asks."""
    subflow = await context.build(structure(made({"in": "r:Ask"}), WorkflowPayload), "inner")
    return await context.call(subflow, {})


def made(types: dict[str, str], *edges: str, **inputs: dict[str, Any]) -> dict[str, Any]:
    """A workflow; edges as `source.slot target.slot`."""
    nodes = [{"id": id_, "fullType": type_, "inputs": inputs.get(id_, {})} for id_, type_ in types.items()]
    ends = [[end.split(".") for end in edge.split()] for edge in edges]
    keys = ("sourceNodeId", "sourceHandle", "targetNodeId", "targetHandle")
    return {"nodes": nodes, "edges": [dict(zip(keys, (*a, *b), strict=True)) for a, b in ends]}


@pytest_asyncio.fixture
async def engine() -> AsyncIterator[Engine]:
    nodes = NodeRegistry()
    for function in (ask, ask_two, agent, listen, work, hold, impatient, busy, one, inside):
        nodes.add(function.definition, "test")
    for definition in REGISTRY:
        nodes.add(definition, "test")
    WORK.update(working=0, most=0, asked=0, go=asyncio.Event())
    engine = Engine(nodes=nodes, max_concurrent=1, config=EngineConfig(max_queued=3, max_queued_per_user=3))
    yield engine
    # What still waits when its event loop is gone ends in whichever test the garbage collector comes by, and is logged for seconds.
    await engine.scheduler.close(without_grace)


async def without_grace(work: Collection[asyncio.Task[Any]], seconds: float) -> float:
    return seconds


class Told:
    """What has happened, to wait for."""

    def __init__(self, engine: Engine) -> None:
        self.events: list[Event] = []
        self._news = asyncio.Event()
        engine.bus.add_sink(self._note)

    def _note(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    async def until(self, done: Callable[[list[Event]], bool]) -> None:
        async with asyncio.timeout(60):
            while not done(self.events):
                self._news.clear()
                await self._news.wait()

    async def asked(self, *ids: str, times: int = 1) -> None:
        def by_all(events: list[Event]) -> bool:
            asked = Counter(event.execution_id for event in events if isinstance(event, NodeWaiting))
            return all(asked[id_] >= times for id_ in ids)

        await self.until(by_all)

    async def ended(self, *ids: str) -> list[ExecutionStatus]:
        def last(events: list[Event]) -> list[ExecutionStatus]:
            final = {e.execution_id: e.status for e in events if isinstance(e, StatusUpdate) and e.status.is_final}
            return [final[id_] for id_ in ids if id_ in final]

        await self.until(lambda events: len(last(events)) == len(ids))
        return last(self.events)


async def submitted(engine: Engine, payload: dict[str, Any]) -> str:
    return await engine.scheduler.submit(Submission(structure(payload, WorkflowPayload), USER))


ASKING = {
    "one node": (made({"a": "r:Ask"}), "a"),
    "one after the other": (made({"a": "r:Ask"}, a={"times": 2}), "a"),
    "two at once": (made({"a": "r:AskTwo"}), "a"),
    "in a stream that is read": (made({"a": "r:Agent", "b": "r:Listen"}, "a.output b.text"), "a"),
    "in a workflow inside": (made({"a": "r:Inside"}), "a/in"),
    "with others that wait for it": (made({"a": "r:Ask", "b": "r:Work"}, "a.output b.after"), "a"),
}


@pytest.mark.parametrize("name", ASKING)
async def test_who_waits_for_a_person_leaves_its_place(engine: Engine, name: str) -> None:
    """Others run to their end meanwhile, though one at a time may; an answer is heard all the same."""
    payload, asker = ASKING[name]
    told = Told(engine)
    waiting = await submitted(engine, payload)
    await told.asked(waiting)
    for _ in range(2):
        assert await told.ended(await submitted(engine, made({"w": "r:Work"}))) == ["complete"]
    assert (await engine.scheduler.stats()).running_executions == 0
    questions = 2 if name in ("one after the other", "two at once") else 1
    for number in range(1, questions + 1):
        await told.asked(waiting, times=number)
        assert await engine.scheduler.answer(waiting, asker, number, USER)
        if number < questions:
            await told.asked(waiting, times=number + 1)
            assert await told.ended(await submitted(engine, made({"w": "r:Work"}))) == ["complete"]
    assert await told.ended(waiting) == ["complete"]


async def test_many_that_are_answered_at_once_run_one_after_the_other(engine: Engine) -> None:
    """No more of them are at work than may run."""
    told = Told(engine)
    payload = made({"a": "r:Ask", "b": "r:Work", "c": "r:Work"}, "a.output b.after", "b.output c.after")
    ids = [await submitted(engine, payload) for _ in range(3)]
    await told.asked(*ids)
    for id_ in ids:
        assert await engine.scheduler.answer(id_, "a", "go", USER)
    assert await told.ended(*ids) == ["complete"] * 3
    assert WORK["most"] == 1
    stats = await engine.scheduler.stats()
    assert (stats.running_executions, stats.pending_executions) == (0, 0)


async def test_a_next_attempt_waits_for_its_place(engine: Engine) -> None:
    """What an attempt asked it may ask no longer: the next does not begin beside others that have the place by then."""
    told = Told(engine)
    policy = {"attempts": 2, "timeoutS": 0.2, "waitS": 0.001}
    payload = made({"a": "r:Impatient"})
    payload["nodes"][0]["configValues"] = {"executionPolicy": policy}
    asker = await submitted(engine, payload)
    await told.asked(asker)
    other = await submitted(engine, made({"b": "r:Busy"}))
    async with asyncio.timeout(60):
        while not WORK["working"] or not (await engine.scheduler.stats()).pending_executions:
            await asyncio.sleep(0)
    WORK["go"].set()
    assert await told.ended(asker, other) == ["complete"] * 2
    assert WORK["most"] == 1


async def test_who_goes_on_without_an_answer_wants_its_place(engine: Engine) -> None:
    """It does not wait for it, but counts from then on: those that come after it are not let in before."""
    told = Told(engine)
    asker = await submitted(engine, made({"a": "r:Impatient"}, a={"alone": True}))
    await told.asked(asker)
    async with asyncio.timeout(60):
        while not WORK["working"]:
            await asyncio.sleep(0)
    assert (await engine.scheduler.stats()).running_executions == 1
    WORK["go"].set()
    assert await told.ended(asker) == ["complete"]
    stats = await engine.scheduler.stats()
    assert (stats.running_executions, stats.pending_executions) == (0, 0)


async def test_who_waits_for_its_place_holds_none_of_its_type(engine: Engine) -> None:
    """Of a type of which one may work at a time, too: else it would wait for an execution that waits for it."""
    told = Told(engine)
    asker = await submitted(engine, made({"a": "r:One"}, a={"asks": True}))
    await told.asked(asker)
    other = await submitted(engine, made({"b": "r:Busy", "c": "r:One"}, "b.output c.after"))
    async with asyncio.timeout(60):
        while not WORK["working"]:
            await asyncio.sleep(0)
        assert await engine.scheduler.answer(asker, "a", "yes", USER)
        while not (await engine.scheduler.stats()).pending_executions:
            await asyncio.sleep(0)
    WORK["go"].set()
    assert await told.ended(asker, other) == ["complete"] * 2


async def test_only_so_many_may_wait_for_people(engine: Engine) -> None:
    """They hold memory: beyond `engine.maxQueued` new work is refused, with the reason, until one is answered or stopped."""
    told = Told(engine)
    ids = [await submitted(engine, made({"a": "r:Ask"})) for _ in range(3)]
    await told.asked(*ids)
    async with asyncio.timeout(60):
        while (await engine.scheduler.stats()).running_executions:
            await asyncio.sleep(0)
    with pytest.raises(Refused, match="wait for people"):
        await submitted(engine, made({"w": "r:Work"}))
    assert await engine.scheduler.interrupt(ids[0], USER) is Interrupted.DONE
    assert await told.ended(await submitted(engine, made({"w": "r:Work"}))) == ["complete"]


@pytest.mark.parametrize("type_", ["r:Ask", "r:Hold"])
async def test_who_fills_the_line_closes_it_for_themselves(engine: Engine, type_: str) -> None:
    """Others have their part of it, and no more than that, whether executions wait for places or for people."""
    told = Told(engine)
    other, third = (UserContext(uid, uid, False, USER.scopes) for uid in ("other", "third"))

    async def fill(user: UserContext) -> int:
        for count in range(10):
            try:
                id_ = await engine.scheduler.submit(Submission(structure(made({"a": type_}), WorkflowPayload), user))
            except Refused as refused:
                assert refused.reason in (RefusalReason.FULL, RefusalReason.USER_LIMIT)
                return count
            if type_ == "r:Ask":
                await told.asked(id_)
                async with asyncio.timeout(60):
                    while (await engine.scheduler.stats()).running_executions:
                        await asyncio.sleep(0)
        raise AssertionError("nothing is refused")

    runs = type_ == "r:Hold"
    assert [await fill(user) for user in (USER, other, third)] == [3 + runs, 2, 1]
    assert [await fill(user) for user in (USER, other, third)] == [0, 0, 0]


async def test_who_is_stopped_while_it_rests_or_comes_back_leaves_nothing(engine: Engine) -> None:
    """Its place, or its turn in the line, is nobody's any more."""
    told = Told(engine)
    resting, other = await submitted(engine, made({"a": "r:Ask"})), await submitted(engine, made({"a": "r:Ask"}))
    await told.asked(resting, other)
    assert await engine.scheduler.interrupt(resting, USER) is Interrupted.DONE
    busy = await submitted(engine, made({"h": "r:Hold"}))
    await told.until(lambda events: any(isinstance(event, NodeExecuting) and event.execution_id == busy for event in events))
    assert await engine.scheduler.answer(other, "a", 1, USER)
    async with asyncio.timeout(60):
        while not (await engine.scheduler.stats()).pending_executions:
            await asyncio.sleep(0)
    assert await engine.scheduler.interrupt(other, USER) is Interrupted.DONE
    assert await engine.scheduler.interrupt(busy, USER) is Interrupted.DONE
    stats = await engine.scheduler.stats()
    assert (stats.running_executions, stats.pending_executions) == (0, 0)
    assert await told.ended(await submitted(engine, made({"w": "r:Work"}))) == ["complete"]


async def test_a_server_that_stops_waits_for_nobodys_answer(engine: Engine) -> None:
    """What rests is interrupted at once: the grace is for what works."""
    told = Told(engine)
    resting = await submitted(engine, made({"a": "r:Ask"}))
    await told.asked(resting)

    async def grace(work: Collection[asyncio.Task[Any]], seconds: float) -> float:
        await asyncio.wait(work)  # however long they take
        return seconds

    async with asyncio.timeout(60):
        await engine.scheduler.close(grace)
    assert await told.ended(resting) == ["interrupted"]
    assert not any(isinstance(event, NodeAnswered) for event in told.events)
