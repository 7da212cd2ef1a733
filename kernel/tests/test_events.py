"""The event bus."""

from tavernkeep import Event
from tavernkeep.contracts.events import EventBus


def test_who_sees_what() -> None:
    """Sinks see all, watchers their execution, listeners the notices; each until it ends that."""
    bus = EventBus()
    seen: dict[str, list[str]] = {"sink": [], "watcher": [], "listener": []}
    bus.add_sink(lambda event: seen["sink"].append(event.type))
    unwatch = bus.watch("p", lambda event: seen["watcher"].append(event.type))
    unlisten = bus.listen(lambda event: seen["listener"].append(event.type))
    for _ in range(2):
        bus.publish(Event("mine", {}, "p"))
        bus.publish(Event("other", {}, "q"))
        bus.publish(Event("notice", {}))
        unwatch()
        unlisten()
    assert seen == {"sink": ["mine", "other", "notice"] * 2, "watcher": ["mine"], "listener": ["notice"]}


def test_a_sink_that_raises_is_left_out_and_costs_the_others_nothing() -> None:
    """The next event does not go to it."""
    bus = EventBus()
    calls: list[str] = []

    def broken(event: Event) -> None:
        calls.append("broken")
        raise RuntimeError("no")

    bus.add_sink(broken)
    bus.add_sink(lambda event: calls.append("fine"))
    bus.publish(Event("a", {}))
    bus.publish(Event("b", {}))
    assert calls == ["broken", "fine", "fine"]


def test_json_is_made_once() -> None:
    """All viewers share it."""
    event = Event("a", {"x": 1})
    assert event.json() == b'{"type":"a","payload":{"x":1}}'
    assert event.json() is event.json()
