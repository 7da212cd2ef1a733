"""What has ended leaves memory for the archive, and nobody sees a hole."""

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support.house import GATES, House, started, workflow
from tavernkeep.contracts.events import Event, NodeComplete, NodeExecuting, NodeWaiting, StatusUpdate
from tavernkeep.contracts.execution import EventsLost, Submission
from tavernkeep_engine.schedule.execution import Execution
from tavernkeep_web.outbox import Outbox
from tavernkeep_web.watching import Watching


@pytest_asyncio.fixture(params=["strict", "relaxed"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    GATES.clear()
    house = await started(tmp_path, json.dumps({"engine": {"shutdownGraceS": 0}, "history": {"durability": request.param}}))
    yield house
    await house.app.stop()


async def settled(house: House) -> None:
    """Return when all that has ended has left memory."""
    scheduler: Any = house.scheduler
    await asyncio.gather(*scheduler._settling._tasks)


async def test_nobody_sees_a_hole(house: House) -> None:
    """From the moment its end is told, its results and all its events are there at any moment, until and after it has left memory."""
    looking: list[asyncio.Task[bool]] = []

    async def look(event: Event) -> bool:
        for _ in range(20):
            detail = await house.scheduler.detail(event.execution_id, house.user)
            events = await house.scheduler.events_after(event.execution_id, house.user, 0)
            info = await house.scheduler.info(event.execution_id, house.user)
            assert detail is not None
            assert info is not None
            assert (detail.status, info.status) == ("complete", "complete")
            assert {node.status for node in detail.node_status.values()} == {"complete"}
            assert events is not None
            assert [told.seq for told in events] == list(range(1, event.seq + 1))
            await asyncio.sleep(0)
        return True

    def watch(event: Event) -> None:
        if isinstance(event, StatusUpdate) and event.status.is_final:
            looking.append(asyncio.ensure_future(look(event)))

    house.app.events.add_sink(watch)
    for number in range(5):
        id_ = await house.submit(f"{number}a", f"{number}b")
        await house.until(lambda event: event.execution_id == id_ and isinstance(event, NodeExecuting))  # noqa: B023
        for name in (f"{number}a", f"{number}b"):  # where it is told at once, its beginning is recorded and its end is not
            GATES.setdefault(name, asyncio.Event()).set()
        await house.ended(id_)
    await settled(house)
    assert await asyncio.gather(*looking) == [True] * 5


async def test_what_has_ended_is_freed(house: House, circles: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Complete, failed, answered or interrupted, recorded and read again: nothing of it is left, and nothing waits for the collector."""
    begun: list[weakref.ref[Execution]] = []
    begin = Execution.begin

    def noted(execution: Execution, *arguments: Any) -> None:
        begun.append(weakref.ref(execution))
        begin(execution, *arguments)

    monkeypatch.setattr(Execution, "begin", noted)
    GATES.setdefault("a", asyncio.Event()).set()
    ids = [await house.submit("a"), await house.submit("x", type_="no:Such"), await house.submit("never")]
    ids.append(await house.scheduler.submit(Submission(workflow("q", type_="j:Ask"), house.user)))
    for number in (1, 2):
        await house.until(lambda _: sum(isinstance(event, NodeWaiting) for event in house.told) == number)  # noqa: B023
        assert await house.scheduler.answer(ids[3], "q", "yes", house.user)
    await house.scheduler.interrupt(ids[2], house.user)
    for id_ in ids:
        await house.ended(id_)
    await settled(house)
    for id_ in ids:
        assert await house.scheduler.detail(id_, house.user) is not None
    house.told.clear()
    for _ in range(10):
        await asyncio.sleep(0)
    assert [execution() for execution in begun] == [None] * 4
    assert circles() == []


async def test_what_is_read_again_is_let_go_of_at_once(house: House) -> None:
    """Whoever reads what has left memory leaves no circle, which would hold each page of it until all is looked through for garbage."""
    names = [f"n{number}" for number in range(300)]
    for name in names:
        GATES.setdefault(name, asyncio.Event()).set()
    id_ = await house.submit(*names)
    await house.ended(id_)
    await settled(house)
    gc.collect()
    gc.disable()
    try:
        for after in range(3):
            assert await house.scheduler.events_after(id_, house.user, after, 1)
        assert not [known for known in gc.get_objects() if isinstance(known, EventsLost)]
    finally:
        gc.enable()


async def test_a_large_value_is_held_once(house: House) -> None:
    """Its message is made once for all who watch, and is theirs alone: whatever is held of what was told may be asked for, or is small."""
    id_ = await house.submit("a" * 100_000, "b")
    viewers = [Outbox(100, 2**30) for _ in range(3)]
    for outbox in viewers[:2]:
        house.app.events.watch(id_, outbox.put)
    GATES.setdefault("a" * 100_000, asyncio.Event()).set()
    told = await house.until(lambda event: isinstance(event, NodeComplete))

    async def fetch(execution_id: str, after: int, limit: int) -> list[Event] | None:
        return await house.scheduler.events_after(execution_id, house.user, after, limit)

    late = Watching(house.app.events, viewers[2], fetch, lambda type_, payload: None)
    late.watch(id_, 0)
    sent = [await messages(outbox, until=told.seq) for outbox in viewers]
    assert len(sent[0]) > 100_000
    assert sent[0] is sent[1]
    assert sent[0] == sent[2]
    assert [event for event in house.told if event._json is not None and len(event._json) > 100_000] == []
    GATES.setdefault("b", asyncio.Event()).set()
    await house.ended(id_)
    await late.close()


async def messages(outbox: Outbox, until: int) -> bytes:
    """The message of an event, once it is there to be sent."""
    while True:
        await outbox.wait()
        while (data := outbox.take()) is not None:
            if json.loads(data)["payload"]["seq"] == until:
                return data
