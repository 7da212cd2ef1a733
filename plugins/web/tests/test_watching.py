"""What one viewer sees of the executions that it watches, however slow it is."""

import asyncio
import json
import random
from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from tavernkeep.contracts.bus import EventBus
from tavernkeep.contracts.events import Event, NodeComplete, NodeYield, StatusUpdate
from tavernkeep.contracts.execution import SHUTDOWN, EventsLost
from tavernkeep.contracts.storage import Unavailable
from tavernkeep_web import watching
from tavernkeep_web.outbox import Outbox
from tavernkeep_web.watching import Watching


@attrs.define(eq=False)
class Teller:
    """Tells events of executions, and remembers them: what was told, and what is kept a little before."""

    bus: EventBus = attrs.field(factory=EventBus)
    kept: dict[str, list[Event]] = attrs.field(factory=dict)
    forgotten: int = 0
    pauses: int = 0
    fails: list[Exception] = attrs.field(factory=list)
    asked: int = 0

    def keep(self, id_: str, event: Event) -> Event:
        events = self.kept.setdefault(id_, [])
        events.append(event.of(id_, len(events) + 1))
        return event

    def tell(self, id_: str, event: Event) -> None:
        self.bus.deliver(self.keep(id_, event))

    async def fetch(self, id_: str, after: int, limit: int) -> list[Event] | None:
        self.asked += 1
        for _ in range(self.pauses):
            await asyncio.sleep(0)
        if self.fails:
            raise self.fails.pop(0)
        if id_ not in self.kept:
            return None
        if after < self.forgotten:
            raise EventsLost(f"nothing up to {self.forgotten}", self.forgotten + 1)
        return self.kept[id_][after : after + limit]


class Viewer:
    """One that takes what waits for it when it likes."""

    def __init__(self, teller: Teller, room: int) -> None:
        self.outbox = Outbox(room, 10**6)
        self.watching = Watching(teller.bus, self.outbox, teller.fetch, self.outbox.put_message)
        self.seen: list[Mapping[str, Any]] = []

    def take(self, count: int = 10**6) -> None:
        while count and (data := self.outbox.take()) is not None:
            self.seen.append(json.loads(data))
            count -= 1

    def numbers(self, id_: str = "p") -> list[int]:
        return [m["payload"]["seq"] for m in self.seen if m["payload"].get("promptId") == id_ and "seq" in m["payload"]]

    def errors(self) -> list[str]:
        return [m["payload"]["message"] for m in self.seen if m["type"] == "error"]

    async def take_all(self, id_: str, upto: int) -> None:
        """Take until an event is there."""
        async with asyncio.timeout(10):
            while not self.numbers(id_) or self.numbers(id_)[-1] < upto:
                self.take()
                await asyncio.sleep(0)


def done(number: int = 0) -> Event:
    return NodeComplete(f"n{number}", {})


def end() -> Event:
    return StatusUpdate("complete")


async def test_one_that_does_not_read_is_held_little_for_and_sees_everything_later() -> None:
    """Every event once and in order, from what is remembered elsewhere; meanwhile the outbox takes no more than it may."""
    teller = Teller()
    viewer = Viewer(teller, 20)
    viewer.watching.watch("p")
    for number in range(5000):
        teller.tell("p", done(number))
    await asyncio.sleep(0)
    assert teller.asked == 0
    viewer.take(1)
    teller.tell("p", end())
    await viewer.take_all("p", 5001)
    assert viewer.numbers() == list(range(1, 5002))
    assert not viewer.outbox.overflow.is_set()
    await viewer.watching.close()


async def test_one_that_keeps_up_costs_no_question() -> None:
    """What is told goes straight to it."""
    teller = Teller()
    viewer = Viewer(teller, 20)
    viewer.watching.watch("p")
    for number in range(500):
        teller.tell("p", done(number))
        viewer.take()
    assert (viewer.numbers(), teller.asked) == (list(range(1, 501)), 0)
    await viewer.watching.close()


@pytest.mark.parametrize("seed", range(200))
async def test_whatever_happens_when_each_event_comes_once(seed: int) -> None:
    """Viewers of any speed, that come at any moment, from any number on, and ask anew, while events are kept before they are told."""
    chance = random.Random(seed)
    teller = Teller(pauses=chance.randrange(3))
    ids = ["p", "q", "r"]
    viewer = Viewer(teller, chance.randrange(16, 40))
    begun: dict[str, int] = {}
    untold: dict[str, list[Event]] = {id_: [] for id_ in ids}
    for id_ in ids:
        teller.kept[id_] = []
    for _ in range(600):
        id_ = chance.choice(ids)
        match chance.randrange(10):
            case 0 if id_ not in begun:
                begun[id_] = chance.randrange(len(teller.kept[id_]) - len(untold[id_]) + 1)
                viewer.watching.watch(id_, begun[id_])
            case 1 | 2:
                untold[id_] += [teller.keep(id_, done()) for _ in range(chance.randrange(30))]
            case 3 | 4:
                for event in untold[id_]:
                    teller.bus.deliver(event)
                untold[id_].clear()
            case 5:
                viewer.take(chance.randrange(30))
            case 6 if chance.random() < 0.1 and id_ in begun:  # as one that comes back: it wants what it has not seen
                viewer.take()
                last = viewer.numbers(id_)[-1] if viewer.numbers(id_) else begun[id_]
                viewer.watching.watch(id_, last)
            case _:
                await asyncio.sleep(0)
    for id_ in ids:
        for event in [*untold[id_], teller.keep(id_, end())]:
            teller.bus.deliver(event)
    for id_, after in begun.items():
        await viewer.take_all(id_, len(teller.kept[id_]))
        assert viewer.numbers(id_) == list(range(after + 1, len(teller.kept[id_]) + 1)), seed
    assert not viewer.errors()
    await viewer.watching.close()


async def test_from_now_on_means_nothing_before() -> None:
    """Also for one that falls behind with the first event that it is to see."""
    teller = Teller()
    viewer = Viewer(teller, 16)
    for number in range(100):
        teller.tell("p", done(number))
    while viewer.outbox.put(done().of("other", 1)):
        pass
    viewer.watching.watch("p")
    for number in range(100):
        teller.tell("p", done(number))
    await viewer.take_all("p", 200)
    assert viewer.numbers() == list(range(101, 201))
    await viewer.watching.close()


async def test_text_that_was_forgotten_is_merged_again() -> None:
    """Nothing of it is lost."""
    teller = Teller()
    viewer = Viewer(teller, 64)
    viewer.watching.watch("p", 0)
    for number in range(3000):
        teller.tell("p", NodeYield("n", {"type": "text_chunk", "content": f"{number} "}, False))
    teller.tell("p", end())
    for _ in range(50):
        await asyncio.sleep(0)
    await viewer.take_all("p", 3001)
    assert "".join(m["payload"]["yieldedContent"]["content"] for m in viewer.seen[:-1]) == "".join(f"{n} " for n in range(3000))
    assert len(viewer.seen) < 1000
    await viewer.watching.close()


async def test_several_that_are_behind_take_turns() -> None:
    """A long one does not keep a short one waiting until it is at its end."""
    teller = Teller()
    viewer = Viewer(teller, 16)
    for _ in range(2000):
        teller.keep("long", done())
    for _ in range(10):
        teller.keep("short", done())
    viewer.watching.watch("long", 0)
    viewer.watching.watch("short", 0)
    await viewer.take_all("short", 10)
    assert len(viewer.numbers("long")) < 1100
    await viewer.watching.close()


async def test_what_is_remembered_nowhere_is_said_and_the_rest_follows() -> None:
    """No hole is silent: an error names the execution, then comes what is there again."""
    teller = Teller()
    viewer = Viewer(teller, 16)
    viewer.watching.watch("p")
    for number in range(300):
        teller.tell("p", done(number))
    teller.forgotten = 200
    await viewer.take_all("p", 300)
    assert viewer.numbers() == [*range(1, 17), *range(201, 301)]
    assert viewer.errors() == ["nothing up to 200"]
    (error,) = [m for m in viewer.seen if m["type"] == "error"]
    assert error["payload"]["promptId"] == "p"
    await viewer.watching.close()


async def test_one_that_may_not_see_it_any_more_is_told_so() -> None:
    """And gets nothing of what is told from then on."""
    teller = Teller()
    viewer = Viewer(teller, 16)
    viewer.watching.watch("p")
    for number in range(100):
        teller.tell("p", done(number))
    teller.kept.clear()
    async with asyncio.timeout(10):
        while not viewer.errors():
            viewer.take()
            await asyncio.sleep(0)
    teller.tell("p", done())
    viewer.take()
    assert viewer.numbers() == list(range(1, 17))
    await viewer.watching.close()


async def test_a_database_that_is_unavailable_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The viewer waits, and misses nothing; anything else that goes wrong costs it this execution alone."""
    monkeypatch.setattr(watching, "_AGAIN_S", 0.0)
    teller = Teller(fails=[Unavailable("locked", "locked"), Unavailable("locked", "locked")])
    viewer = Viewer(teller, 16)
    teller.kept["p"] = []
    viewer.watching.watch("p", 0)
    for number in range(100):
        teller.tell("p", done(number))
    await viewer.take_all("p", 100)
    assert viewer.numbers() == list(range(1, 101))
    teller.fails.append(RuntimeError("no good"))
    viewer.watching.watch("p", 0)
    viewer.watching.watch("q")
    async with asyncio.timeout(10):
        while not viewer.errors():
            viewer.take()
            await asyncio.sleep(0)
    teller.tell("q", done())
    viewer.take()
    assert viewer.numbers("q") == [1]
    await viewer.watching.close()


async def test_asked_for_anew_it_begins_anew() -> None:
    """What waited of it is not sent beside what is asked for, and what was being fetched is dropped."""
    teller = Teller(pauses=3)
    viewer = Viewer(teller, 16)
    for number in range(50):
        teller.keep("p", done(number))
    viewer.watching.watch("p", 0)
    for _ in range(20):
        await asyncio.sleep(0)
    viewer.watching.watch("p", 40)
    for _ in range(2):
        await asyncio.sleep(0)
    viewer.watching.watch("p", 45)
    await viewer.take_all("p", 50)
    assert viewer.numbers() == [46, 47, 48, 49, 50]
    viewer.watching.unwatch("p")
    teller.tell("p", done())
    viewer.take()
    assert viewer.numbers() == [46, 47, 48, 49, 50]
    await viewer.watching.close()


async def test_the_end_of_a_server_is_no_end() -> None:
    """After it an execution may go on, and is watched; after its own end it is watched no more."""
    teller = Teller()
    viewer = Viewer(teller, 100)
    viewer.watching.watch("p", 0)
    teller.tell("p", StatusUpdate("interrupted", {"message": "m", "type": SHUTDOWN}))
    teller.tell("p", done())
    teller.tell("p", end())
    await viewer.take_all("p", 3)
    teller.tell("p", done())
    for _ in range(10):
        await asyncio.sleep(0)
    viewer.take()
    assert viewer.numbers() == [1, 2, 3]
    await viewer.watching.close()
