"""When Python's garbage collector looks through everything: when that takes no time that anybody notices."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from tavernkeep_engine.schedule import garbage
from tavernkeep_engine.schedule.garbage import GarbageCollector


class Circle:
    """Holds itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def looked() -> Iterator[list[int]]:
    """The generations that were looked through."""
    found: list[int] = []

    def note(phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            found.append(info["generation"])

    threshold = gc.get_threshold()
    gc.callbacks.append(note)
    yield found
    gc.callbacks.remove(note)
    gc.set_threshold(*threshold)
    gc.unfreeze()


def test_everything_is_looked_through_while_there_is_little(looked: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is much it is postponed, but not for ever."""
    collector = GarbageCollector()
    collector.settle()
    looked.clear()
    kept = [[number] for number in range(100)]
    collector.collect()
    assert looked == [2]
    monkeypatch.setattr(garbage, "_MANY", 0)
    for _ in range(10):
        collector.collect()
    assert looked == [2]
    collector.collect()
    assert looked == [2, 2]
    collector.collect()
    assert looked == [2, 2]
    assert len(kept) == 100


def test_only_what_is_young_is_collected_by_itself(looked: list[int]) -> None:
    """However many objects there come to be: they are looked through once or twice, and never with all others."""
    GarbageCollector().settle()
    looked.clear()
    kept = [[number] for number in range(2_000_000)]
    for _ in range(50_000):
        Circle()
    assert len(kept) == 2_000_000
    assert set(looked) == {0, 1}
    kept.clear()
    gc.collect()
    assert sum(isinstance(item, Circle) for item in gc.get_objects()) == 0
