"""How many bytes of values may be held."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tavernkeep_engine.run.allowance import Allowance
from tavernkeep_engine.run.plain import ValueRefused


def test_what_is_more_than_may_be_held_is_refused() -> None:
    """The message says how much, of what bound; what was held before is held still."""
    allowance = Allowance(100, "bytes of an execution (engine.maxExecutionBytes)")
    allowance.take(60)
    with pytest.raises(ValueRefused, match=r"no room for 41 bytes more: 60 of the 100 bytes of an execution \(engine\.maxExecutionBytes\)"):
        allowance.take(41)
    allowance.take(40)
    allowance.give_back(40)
    assert allowance.used == 60


def test_room_is_made_before_anything_is_refused() -> None:
    """Whoever may give something back is asked first."""
    everything = Allowance(1000, "bytes of all")
    ended = Allowance(800, "bytes of one", everything)
    ended.take(800)
    everything.make_room = ended.release
    Allowance(800, "bytes of one", everything).take(700)
    assert (ended.used, everything.used) == (0, 800)  # some is taken ahead


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 200_000)), max_size=60))
def test_a_larger_allowance_is_never_exceeded(steps: list[tuple[int, int, int]]) -> None:
    """What the parts hold is at most what the whole counts, and that at most what it may; when all is given back nothing is left."""
    whole = Allowance(1_000_000, "bytes of all")
    parts = [Allowance(400_000, "bytes of one", whole) for _ in range(4)]
    parts += [parts[0].part(), parts[0].part()]
    own = [0] * 6
    for action, number, size in steps:
        part = parts[number]
        if action == 0:
            try:
                part.take(size)
                own[number] += size
            except ValueRefused:
                pass
        elif action == 1:
            part.give_back(min(size, own[number]))
            own[number] -= min(size, own[number])
        elif number:
            part.release()
            own[number] = 0
        assert sum(own) <= whole.used <= whole.most
        assert all(part.used <= part.most for part in parts)
    for part in reversed(parts):
        part.release()
    assert whole.used == 0
