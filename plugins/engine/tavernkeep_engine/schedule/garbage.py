"""Python's garbage collector, as it suits executions of many nodes."""

import asyncio
import gc
from typing import Final

import attrs

_YOUNG: Final = 10_000  # objects more than before
_MIDDLE: Final = 5  # collections of the young
_NEVER: Final = 2**31 - 1
_EVERY_S: Final = 60.0
_MANY: Final = 300_000  # objects
_PATIENCE: Final = 10


@attrs.define(eq=False)
class GarbageCollector:
    """Collects what is young at once, and the rest at moments at which there is little to look through.

    An execution is in no circle when it has ended, so the collector has nothing to do for it. What is left is others': Hypercorn leaves 35
    objects for each WebSocket that was closed, Werkzeug eight for each request; and what nodes do is their own.

    A look at everything holds up the event loop for 0.1 to 0.35 µs for each object that may hold others: 1 ms where a workflow of 1,000
    nodes runs, 11 ms with 10,000, 318 ms with 100,000 (each makes nine such objects). At Python's own thresholds that happens in the
    middle of large workflows, again and again, and finds nothing. So the oldest generation is looked through once a minute, and only while
    it has no more than 300,000 objects; where there are more for ten minutes, all the same. Packed memory of executions that have ended is
    no part of it: on a server under a mixed load it takes 16 ms of processor time. The younger are collected when they have grown by 10,000
    objects, which takes 1 ms, and every fifth time those of the middle too: 50,000, about 10 ms.

    Attributes:
        postponed: How often in a row the oldest were not looked through because there were too many.
    """

    postponed: int = 0

    def settle(self) -> None:
        """Spare the collector what lives as long as the process, and let it not look at the oldest by itself."""
        gc.freeze()
        gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)

    async def collect_always(self) -> None:
        """Look through the oldest now and then, as above."""
        while True:
            await asyncio.sleep(_EVERY_S)
            self.collect()

    def collect(self) -> None:
        """Look through the oldest, unless they are too many."""
        if self.postponed < _PATIENCE and len(gc.get_objects(generation=2)) > _MANY:
            self.postponed += 1
        else:
            self.postponed = 0
            gc.collect()
