"""How long nodes with large inputs keep the event loop: processor time of its longest turns, beside a fixed piece of work."""

import asyncio
import contextlib
import io
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.large import TEXT, large_chain, large_payload
from tavernkeep.contracts.workflow import payload_from
from tavernkeep.testing import Tavern


@contextmanager
def longest_turn(loop: asyncio.AbstractEventLoop) -> Iterator[list[float]]:
    """Measure a loop that runs in a thread; the one number is in seconds."""
    longest = [0.0]
    take_turn = loop._run_once  # type: ignore[attr-defined]  # asyncio has no public place to measure a turn

    def take_timed_turn() -> None:
        began = time.thread_time()
        take_turn()
        longest[0] = max(longest[0], time.thread_time() - began)

    loop._run_once = take_timed_turn  # type: ignore[attr-defined]
    try:
        yield longest
    finally:
        loop._run_once = take_turn  # type: ignore[attr-defined]


def fixed_work() -> float:
    """Seconds of processor time for encoding a megabyte."""
    text = TEXT * 10
    began = time.thread_time()
    json.dumps(text)
    return time.thread_time() - began


def main() -> None:
    unit = sorted(fixed_work() for _ in range(5))[2]
    print(f"{'encoding 1 MB as JSON':34} {unit * 1e3:7.2f} ms")
    found: list[tuple[float, str]] = []
    quiet = contextlib.redirect_stdout(io.StringIO())  # what nodes log of inputs that they cannot use
    with tempfile.TemporaryDirectory() as folder, quiet, Tavern.open(Path(folder)) as tavern:
        payloads = {definition.full_type: large_payload(definition) for definition in tavern.app.nodes}
        for name, payload in {**payloads, "5,000 nodes in a chain": payload_from(large_chain(5_000))}.items():
            with longest_turn(tavern.loop) as longest:
                tavern.run(payload, check=False)
            found.append((longest[0], name))
    for took, name in sorted(found, reverse=True)[:8]:
        print(f"{f'longest turn: {name}':34} {took * 1e3:7.2f} ms   {took / unit:5.2f} × that")


if __name__ == "__main__":
    main()
