"""The queue that is fair between users."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tavernkeep_engine.schedule.fair import FairQueue


def test_who_submits_much_waits_behind_themselves() -> None:
    """A single thing of somebody else's is next, however much waits."""
    queue: FairQueue[str] = FairQueue(10)
    for number in range(100):
        queue.add("greedy", 5, f"greedy {number}")
    assert [queue.take(), queue.take()] == ["greedy 0", "greedy 1"]
    queue.add("modest", 0, "modest")
    assert queue.take() == "modest"


def test_priority_counts_among_ones_own() -> None:
    """And for equal ones the earlier is first; what is removed never comes."""
    queue: FairQueue[str] = FairQueue(10)
    for name, priority in (("a", 0), ("b", 2), ("c", 2), ("d", 1)):
        queue.add("anna", priority, name)
    queue.remove("anna", "c")
    assert [queue.take() for _ in range(4)] == ["b", "d", "a", None]


@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(1, 4))
def test_everything_comes_once_and_turns_are_even(submitted: list[str], most: int) -> None:
    """As long as several users wait, none has begun more than one more than another; nobody runs more than they may."""
    queue: FairQueue[int] = FairQueue(most)
    for number, uid in enumerate(submitted):
        queue.add(uid, 0, number)
    left, running, taken = Counter(submitted), Counter[str](), []
    while any(left.values()):
        item = queue.take()
        if item is None:
            uid = max(running, key=lambda uid: running[uid])
            running[uid] -= 1
            queue.done(uid)
            continue
        uid = submitted[item]
        others = [running[other] for other in left if left[other] and running[other] < most]
        assert running[uid] <= min(others)
        running[uid] += 1
        left[uid] -= 1
        taken.append(item)
        assert running[uid] <= most
    assert sorted(taken) == list(range(len(submitted)))
    for uid in "abc":
        own = [item for item in taken if submitted[item] == uid]
        assert own == sorted(own)
