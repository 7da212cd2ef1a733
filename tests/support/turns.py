"""Counts how much is done in one turn of an event loop, and names whoever does too much in one."""

import asyncio
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

import attrs

MOST_STEPS: Final = 100_000


@attrs.define
class Turns:
    """What was found.

    Attributes:
        most: How many steps the longest turn had. A step is a call, of a function in Python or in C, or a generator's going on: the same
            work has as many on any machine, however busy.
        culprits: For each turn of more than `MOST_STEPS`, the stack at the step that was too many.
    """

    most: int = 0
    culprits: list[str] = attrs.field(factory=list)


@contextmanager
def counted_turns(loop: asyncio.AbstractEventLoop) -> Iterator[Turns]:
    """Count the steps of every turn of a loop that runs in a thread."""
    turns = Turns()
    take_turn = loop._run_once  # type: ignore[attr-defined]  # asyncio has no public place to be at the begin and the end of a turn
    steps = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal steps
        if event in ("call", "c_call"):
            steps += 1
            if steps == MOST_STEPS:
                turns.culprits.append("".join(traceback.format_stack(frame)))

    def take_counted_turn() -> None:
        nonlocal steps
        steps = 0
        sys.setprofile(count)
        try:
            take_turn()
        finally:
            sys.setprofile(None)
            turns.most = max(turns.most, steps)

    loop._run_once = take_counted_turn  # type: ignore[attr-defined]
    try:
        yield turns
    finally:
        loop._run_once = take_turn  # type: ignore[attr-defined]
