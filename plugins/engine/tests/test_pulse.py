"""A process that stood still begins nothing before it knows what is its own still."""

import asyncio

import pytest

from tavernkeep.contracts.storage import Unavailable
from tavernkeep_engine.run import pulse as pulses
from tavernkeep_engine.run.pulse import Pulse


class Process:
    """One whose clock a test turns."""

    def __init__(self, trouble: Exception) -> None:
        self.trouble = trouble
        self.now = 100.0
        self.troubles = 0
        self.confirmed = 0
        self.pulse = Pulse(lambda: self.now, self.confirm)

    async def confirm(self) -> None:
        if self.troubles:
            self.troubles -= 1
            raise self.trouble
        self.confirmed += 1


@pytest.mark.parametrize("trouble", [Unavailable("locked", "not now"), MemoryError()])
async def test_it_comes_to_once(monkeypatch: pytest.MonkeyPatch, trouble: Exception) -> None:
    """While it beats nothing is asked; after a stand-still it is asked once for all who wait, however often that takes."""
    monkeypatch.setattr(pulses, "_RETRY_S", 0)
    process = Process(trouble)
    assert not process.pulse.has_missed()  # it does not beat yet
    beating = asyncio.create_task(process.pulse.beat_always())
    await asyncio.sleep(0)
    process.now += 0.5
    assert not process.pulse.has_missed()
    process.now += 30
    process.troubles = 2
    assert process.pulse.has_missed()
    await asyncio.gather(*(process.pulse.come_to() for _ in range(3)))
    assert (process.confirmed, process.pulse.has_missed()) == (1, False)
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
