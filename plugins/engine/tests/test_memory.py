"""What is remembered of executions that have ended: as much as there are bytes for, and no more than an archive does not have."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest

from support.engine import REGISTRY, USER, Engine
from tavernkeep import NodeContext, Slot, node
from tavernkeep.contracts.auth import UserContext
from tavernkeep.contracts.events import Event, StatusUpdate
from tavernkeep.contracts.execution import (
    EventsLost,
    ExecutionArchive,
    ExecutionDetail,
    ExecutionInfo,
    ExecutionJournal,
    Interrupted,
    Opening,
    Submission,
)
from tavernkeep.contracts.nodes import NodeRegistry
from tavernkeep.contracts.storage import Unavailable
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep.testing import PATIENCE_S
from tavernkeep.wire import structure
from tavernkeep_engine.config import EngineConfig
from tavernkeep_engine.schedule import settling
from tavernkeep_engine.schedule.execution import Execution
from tavernkeep_engine.schedule.settling import Settling

KIB = 1024
STRANGER = UserContext("stranger", "stranger")


@node("m:Odd", outputs={"values": Slot(), "live": Slot(live=True), "key": Slot(secret=True)})
async def odd(context: NodeContext) -> AsyncIterator[Any]:
    """All that JSON cannot say, something live, and a secret; and a stream of it."""
    context.hide("planted")
    yield "a chunk"
    yield {"values": [b"\x00\xff", 10**500, {"deep": [None, True, 0.1, "planted\n\r\u2028"]}], "live": object(), "key": "planted"}


@node("m:Fill", inline=True)
def fill(size: int) -> str:
    """So much text."""
    return "x" * size


@pytest.fixture
def nodes() -> NodeRegistry:
    found = NodeRegistry()
    for definition in (*REGISTRY, odd.definition, fill.definition):
        found.add(definition, "test")
    return found


def alone(full_type: str, **inputs: Any) -> dict[str, Any]:
    return {"nodes": [{"id": "a", "fullType": full_type, "inputs": inputs}], "edges": [], "metadata": {"workflowName": "odd"}}


def chain(length: int) -> dict[str, Any]:
    nodes = [{"id": "0", "fullType": "t:Const"}, *({"id": str(number), "fullType": "t:AddInline"} for number in range(1, length))]
    edges = [
        {
            "sourceNodeId": str(number),
            "sourceHandle": "sum" if number else "out",
            "targetNodeId": str(number + 1),
            "targetHandle": "a",
        }
        for number in range(length - 1)
    ]
    return {"nodes": nodes, "edges": edges}


async def run(engine: Engine, payload: dict[str, Any]) -> str:
    """Run to its end, and keep nothing of it; gives the execution's id."""
    ended = asyncio.Event()

    def watch(event: Event) -> None:
        if isinstance(event, StatusUpdate) and event.status.is_final:
            engine.bus.unwatch(event.execution_id, watch)
            ended.set()

    def accepted(execution_id: str) -> None:
        engine.bus.watch(execution_id, watch)

    execution_id = await engine.scheduler.submit(Submission(structure(payload, WorkflowPayload), USER, accepted))
    info = await engine.scheduler.info(execution_id, USER)
    if info is None or not info.status.is_final:
        await ended.wait()
    return execution_id


@pytest.mark.parametrize("payload", [alone("m:Odd"), alone("t:FailIfOdd", x=1), alone("t:Nothing of the kind"), chain(50)])
async def test_what_is_packed_is_as_it_was(nodes: NodeRegistry, payload: dict[str, Any]) -> None:
    """Its results are the same to the last byte, and so is what viewers who come late are told."""
    engine = Engine(EngineConfig(), nodes)
    before, seen = await engine.run(payload)
    await engine.settled()
    assert not isinstance(engine.scheduler._memory.get(before.prompt_id), Execution)
    assert await engine.scheduler.detail(before.prompt_id, USER) == before
    for after in (0, 1, len(seen) - 1, len(seen), 10**18):
        told = await engine.scheduler.events_after(before.prompt_id, USER, after)
        assert told is not None
        assert [event.json() for event in told] == [event.json() for event in seen if event.seq > after]
    assert await engine.scheduler.events_after(before.prompt_id, USER, None) == []
    assert await engine.scheduler.detail(before.prompt_id, STRANGER) is None
    (listed,) = await engine.scheduler.recent(USER)
    assert (listed.prompt_id, listed.status) == (before.prompt_id, before.status)


@pytest.mark.parametrize(("payload", "most"), [(alone("m:Fill", size=50 * KIB), 20), (chain(300), 20), (alone("t:Const"), 900)])
async def test_what_is_remembered_is_bounded_in_bytes(nodes: NodeRegistry, payload: dict[str, Any], most: int) -> None:
    """Of large values, of many nodes and of many executions there are no more than so many bytes; the oldest are forgotten first."""
    engine = Engine(EngineConfig(max_retained_bytes=KIB * KIB, remembered_executions=10_000), nodes)
    ids = []
    for _ in range(most * 3):
        detail, _ = await engine.run(payload)
        ids.append(detail.prompt_id)
        await engine.settled()
        assert engine.scheduler._retained.used <= KIB * KIB
    known = [await engine.scheduler.detail(id_, USER) is not None for id_ in ids]
    assert 0 < sum(known) < len(ids)
    assert known == sorted(known)


async def test_what_is_remembered_is_nothing_to_the_garbage_collector(nodes: NodeRegistry) -> None:
    """However many nodes had their results: it has as little to look through as without them."""
    engine = Engine(EngineConfig(), nodes)
    await run(engine, chain(500))
    await engine.settled()
    before = collected()
    for _ in range(20):
        await run(engine, chain(500))
    await engine.settled()
    async with asyncio.timeout(PATIENCE_S):  # the thread that packed the last of them may hold it a moment longer
        while collected() - before >= 2000:
            await asyncio.sleep(0.01)
    assert len(gc.get_objects()) - before < 2000


def collected() -> int:
    """How many objects there are that the garbage collector looks through, and leaves."""
    gc.collect()
    return len(gc.get_objects())


@attrs.define(eq=False)
class Recorder:
    """A journal that has written as soon as it may, and an archive that knows one execution."""

    problem: str | None = None
    may_write: asyncio.Event = attrs.field(factory=asyncio.Event)
    unavailable: int = 0
    known: ExecutionDetail | None = None

    def open(self, opening: Opening) -> None:
        """Accept it."""
        asyncio.get_running_loop().call_soon(opening.accepted)

    async def written(self, execution_id: str) -> None:
        """Wait, or fail."""
        if self.unavailable:
            self.unavailable -= 1
            raise Unavailable("locked", "not now")
        await self.may_write.wait()

    async def flush(self) -> None:
        """Nothing waits."""

    async def detail(self, execution_id: str, user: UserContext) -> ExecutionDetail | None:
        """That of the one."""
        return self.known if self.known and self.known.prompt_id == execution_id else None

    async def info(self, execution_id: str, user: UserContext) -> ExecutionInfo | None:
        """That of the one."""
        found = await self.detail(execution_id, user)
        return found and ExecutionInfo(found.prompt_id, found.status, found.submitted_at)

    async def recent(self, user: UserContext, limit: int) -> list[ExecutionInfo]:
        """None."""
        return []

    async def events_after(self, execution_id: str, user: UserContext, seq: int) -> list[Event] | None:
        """One that no scheduler tells."""
        return [StatusUpdate("complete").of(execution_id, seq + 1)]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def recorded(nodes: NodeRegistry, recorder: Any) -> Engine:
    """An engine with a journal and an archive."""
    engine = Engine(EngineConfig(), nodes)
    engine.scheduler._services.add(ExecutionJournal, recorder, owner="test")
    engine.scheduler._services.add(ExecutionArchive, recorder, owner="test")
    return engine


async def test_what_an_archive_has_leaves_memory_at_once(recorded: Engine, recorder: Recorder) -> None:
    """All that is left is its line in the list and a tail of its events: plan, payload, values and results are gone."""
    recorder.may_write.set()
    execution_id = await run(recorded, alone("m:Fill", size=100 * KIB))
    await recorded.settled()
    assert recorded.scheduler._retained.used < 3 * KIB
    assert await recorded.scheduler.detail(execution_id, USER) is None, "the archive alone is asked"
    told = await recorded.scheduler.events_after(execution_id, USER, 3)
    assert told is not None
    assert isinstance(told[-1], StatusUpdate)
    (listed,) = await recorded.scheduler.recent(USER)
    assert listed.prompt_id == execution_id
    assert await recorded.scheduler.interrupt(execution_id, USER) is Interrupted.FINISHED
    assert await recorded.scheduler.answer(execution_id, "a", 1, USER) is False


async def test_what_is_not_in_the_archive_yet_stays(recorded: Engine, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is written, however long that takes and however often it fails, it is asked for in memory."""
    monkeypatch.setattr(settling, "_RETRY_S", 0)
    recorder.unavailable = 2
    execution_id = await run(recorded, chain(3))
    for _ in range(10):
        await asyncio.sleep(0)
        detail = await recorded.scheduler.detail(execution_id, USER)
        assert detail is not None
        assert detail.node_status["2"].output == {"sum": 21}
    recorder.known = attrs.evolve(detail, outputs={"from": "the archive"})
    recorder.may_write.set()
    await recorded.settled()
    assert await recorded.scheduler.detail(execution_id, USER) == recorder.known


async def test_what_could_not_be_recorded_stays(recorded: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what was stopped because it could not be recorded, the results are in memory as without an archive."""
    openings: list[Opening] = []
    monkeypatch.setattr(Recorder, "open", lambda _, opening: openings.append(opening))
    submitting = asyncio.ensure_future(run(recorded, alone("t:Produce")))
    while not openings:
        await asyncio.sleep(0)
    openings[0].accepted()
    openings[0].broken("The disk is on fire.")
    execution_id = await submitting
    await recorded.settled()
    detail = await recorded.scheduler.detail(execution_id, USER)
    assert detail is not None
    assert detail.error_info == {"message": "The disk is on fire."}


async def test_events_that_only_the_archive_has_come_from_there(recorded: Engine, recorder: Recorder) -> None:
    """Of a long stream there is a tail in memory; who asks for more gets it from the archive."""
    recorder.may_write.set()
    execution_id = await run(recorded, {"nodes": [{"id": "p", "fullType": "t:Produce", "configValues": {"count": 1000}}], "edges": []})
    await recorded.settled()
    assert recorded.scheduler._retained.used < 70 * KIB
    ended: Any = recorded.scheduler._memory.get(execution_id)
    with pytest.raises(EventsLost):
        ended.after(0)
    told = await recorded.scheduler.events_after(execution_id, USER, ended.first_seq - 1)
    assert told is not None
    assert [event.seq for event in told] == list(range(ended.first_seq, 1005))


async def test_an_execution_is_freed_when_it_is_settled(recorded: Engine, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing holds it any more, and no collector is needed."""
    found: list[weakref.ref[Execution]] = []
    begin = Settling.begin

    def noted(self: Settling, execution: Execution) -> None:
        found.append(weakref.ref(execution))
        begin(self, execution)

    monkeypatch.setattr(Settling, "begin", noted)
    gc.collect()
    gc.disable()
    try:
        recorder.may_write.set()
        await run(recorded, chain(3))
        await recorded.settled()
        await asyncio.sleep(0)
        assert [execution() for execution in found] == [None]
    finally:
        gc.enable()
