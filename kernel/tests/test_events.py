"""Events, and the bus that carries them."""

import asyncio
import json
from collections.abc import Callable
from typing import ClassVar

import attrs
import pytest

from tavernkeep import Event
from tavernkeep.contracts import events
from tavernkeep.contracts.bus import EventBus


@attrs.define(eq=False)
class Said(Event):
    """A plugin's own event."""

    type: ClassVar = "SAID"
    what: str
    how_loud: int | None = None


def what(event: Event) -> str:
    assert isinstance(event, Said)
    return event.what


def test_who_sees_what() -> None:
    """Sinks see all, watchers their execution, listeners the notices; each until it ends that."""
    bus = EventBus()
    seen: dict[str, list[str]] = {"sink": [], "watcher": [], "listener": []}
    bus.add_sink(lambda event: seen["sink"].append(what(event)))
    unwatch = bus.watch("p", lambda event: seen["watcher"].append(what(event)))
    unlisten = bus.listen(lambda event: seen["listener"].append(what(event)))
    for _ in range(2):
        bus.publish(Said("mine").of("p", 1))
        bus.publish(Said("other").of("q", 1))
        bus.publish(Said("notice"))
        unwatch()
        unlisten()
    assert seen == {"sink": ["mine", "other", "notice"] * 2, "watcher": ["mine"], "listener": ["notice"]}


def test_who_carries_events_here_is_told_whose_are_wanted() -> None:
    """Once when the first watcher of an execution comes, and once when the last has gone, however it went."""
    bus = EventBus()
    wanted: list[str] = []

    def carry(execution_id: str) -> Callable[[], None]:
        wanted.append(execution_id)
        return lambda: wanted.remove(execution_id)

    def broken(event: Event) -> None:
        raise RuntimeError

    bus.carry(carry)
    seen: list[str] = []
    unwatch = bus.watch("p", lambda event: seen.append(what(event)))
    again = bus.watch("p", lambda event: None)
    bus.deliver(Said("from elsewhere").of("p", 7))
    assert (wanted, seen) == (["p"], ["from elsewhere"])
    unwatch()
    assert wanted == ["p"]
    again()
    again()
    assert wanted == []
    bus.watch("q", broken)
    assert wanted == ["q"]
    bus.deliver(Said("from elsewhere").of("q", 7))
    assert wanted == []


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, asyncio.CancelledError])
def test_a_sink_that_raises_is_left_out_and_costs_the_others_nothing(error: type[BaseException]) -> None:
    """The next event does not go to it; whoever publishes is neither ended nor cancelled by it."""
    bus = EventBus()
    calls: list[str] = []

    def broken(event: Event) -> None:
        calls.append("broken")
        raise error("no")

    bus.add_sink(broken)
    bus.add_sink(lambda event: calls.append("fine"))
    bus.publish(Said("a"))
    bus.publish(Said("b"))
    assert calls == ["broken", "fine", "fine"]


def test_a_keeper_is_told_first() -> None:
    """Nobody else sees what is published until the keeper gives it back; without one it is as before."""
    bus = EventBus()
    seen: list[Event] = []
    kept: list[Event] = []
    bus.add_sink(seen.append)
    bus.watch("p", seen.append)
    bus.keep(kept.append)
    event = events.NodeExecuting("n").of("p", 1)
    bus.publish(event)
    assert (kept, seen) == ([event], [])
    bus.deliver(event)
    assert seen == [event, event]
    bus.keep(None)
    bus.publish(event)
    assert (kept, seen) == ([event], [event] * 4)


def test_json_is_made_once() -> None:
    """All viewers share it."""
    event = Said("a")
    assert event.json() is event.json()


def test_a_message_has_the_names_of_the_protocol() -> None:
    """Fields are in camelCase, those that are `None` are left out, values are sent as they are; a notice belongs to no execution."""
    assert json.loads(Said("a").json()) == {"type": "SAID", "payload": {"what": "a"}}
    told = Said("a", how_loud=3).of("p", 7)
    assert json.loads(told.json()) == {"type": "SAID", "payload": {"what": "a", "howLoud": 3, "promptId": "p", "seq": 7}}


EXAMPLES = [
    events.StatusUpdate(events.ExecutionStatus.ERROR, {"message": "no"}),
    events.NodeExecuting("n"),
    events.NodeProgress("n", 1, 2.5),
    events.NodeComplete("n", {"some_name": None}, ["x"], True),
    events.NodeError("n", {"message": "no"}),
    events.NodeSkipped("n", "why"),
    events.NodeRetrying("n", 2, 3, 0.5, {"message": "no"}),
    events.NodeWaiting("n", {"question": "?", "choices": [1]}),
    events.NodeAnswered("n", {"any": [1, None]}),
    events.NodeBypassed("n", {"out": 0}),
    events.NodeYield("n", {"type": "text_chunk", "content": "c"}, False),
    events.InterfaceYield("k", {"type": "text_chunk", "content": "c"}, False, "K"),
    events.ToldBefore("theirs", {"someName": 1}),
]


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.type)
def test_an_event_is_read_back_from_what_was_told(event: Event) -> None:
    """It is the same class with the same fields, its number and its execution; one that only a plugin knows is told again as it was."""
    event.of("p", 5)
    message = json.loads(event.json())
    again = events.told_before(message["type"], message["payload"])
    assert attrs.asdict(again) | {"_json": None} == attrs.asdict(event) | {"_json": None}
    assert (type(again), again.payload) == (type(event), event.payload)


def test_every_event_of_the_protocol_has_an_example_here() -> None:
    """None can be added without being read back."""
    of_executions = {class_ for class_ in events.PROTOCOL.values() if not issubclass(class_, events.Notice)}
    assert {type(event) for event in EXAMPLES} - {events.ToldBefore} == of_executions
