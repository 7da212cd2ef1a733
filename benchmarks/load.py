"""Minutes of a mixed load on one server: its memory, how late its event loop is, and how long those wait who ask it something.

It prints a line for each minute, and at the end how long each thing took; with `--json FILE` all samples as well.
"""

import argparse
import asyncio
import json
import re
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import psutil

from support.llm import channel, llm_server
from support.load import Load
from support.server import Server, serve

_EVERY_S: Final = 1.0
_MIB: Final = 1024 * 1024
_LONGEST: Final = re.compile(r"^tavernkeep_loop_longest_(lag|worked)_seconds (\S+)$", re.MULTILINE)
_RECENT_S: Final = 120.0  # what that looks back
_COLUMNS: Final = (
    ("time", "s"),
    ("memory", "MiB"),
    ("workers", "MiB"),
    ("database", "MiB"),
    ("workflows", "/s"),
    ("requests", "/s"),
    ("a small one", "p50, p99 ms"),
    ("a request", "p50, p99 ms"),
    ("over", "100 ms"),
    ("server", "CPU %"),
)
_WIDTHS: Final = (5, 7, 7, 8, 9, 8, 13, 13, 6, 6)
_LATE_S: Final = "0.1"
_LAG: Final = re.compile(r'^tavernkeep_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)$', re.MULTILINE)


@attrs.frozen
class Sample:
    """How it stands at a moment. Memory is in bytes, times are in seconds.

    Attributes:
        at_s: Since the load began.
        rss: Of the server itself; `workers_rss` of the processes that it has started.
        database: What the database takes on the disk, its log included.
        cpu_s: Processor time of the server so far, `driver_cpu_s` of whoever makes the load.
        executions: How many have ended, `requests` how many were answered.
        late: How often the event loop was late so far, by at most how much, as Prometheus has it.
        lag_s: The longest that it was late in the last minute or two, `worked_s` the processor time that it had until then.
    """

    at_s: float
    rss: int
    workers_rss: int
    database: int
    cpu_s: float
    driver_cpu_s: float
    executions: int
    requests: int
    late: dict[str, int]
    lag_s: float
    worked_s: float


class Watch:
    """Looks at a server under load from outside, once in a second."""

    def __init__(self, server: Server, load: Load) -> None:
        self.samples: list[Sample] = []
        self.took: dict[str, list[float]] = {}
        self._server = server
        self._load = load
        self._process = psutil.Process(server.process.pid)
        self._began = time.perf_counter()

    async def look(self) -> Sample:
        """How it stands now."""
        text = (await self._server.http.get("/metrics")).text
        longest = {name: float(value) for name, value in _LONGEST.findall(text)}
        cpu, mine = self._process.cpu_times(), psutil.Process().cpu_times()
        return Sample(
            time.perf_counter() - self._began,
            self._process.memory_info().rss,
            sum(_rss(child) for child in self._process.children(recursive=True)),
            sum(path.stat().st_size for path in (self._server.folder / "data").glob("*.sqlite3*")),
            cpu.user + cpu.system,
            mine.user + mine.system,
            self._load.executions,
            self._load.requests,
            {bound: int(float(count)) for bound, count in _LAG.findall(text)},
            longest["lag"],
            longest["worked"],
        )

    async def watch(self, length_s: float, row_s: float) -> None:
        """Look again and again, and print a row now and then."""
        self._began = time.perf_counter()
        print(_row(title for title, _ in _COLUMNS))
        print(_row(unit for _, unit in _COLUMNS))
        before = await self.look()
        self.samples.append(before)
        while before.at_s < length_s:
            until = before.at_s + row_s
            while self.samples[-1].at_s < until:
                await asyncio.sleep(_EVERY_S)
                self.samples.append(await self.look())
            self._print_row(before, self.samples[-1])
            before = self.samples[-1]

    def _print_row(self, before: Sample, now: Sample) -> None:
        took, length = dict(self._load.took), now.at_s - before.at_s
        self._load.took.clear()
        for what, times in took.items():
            self.took.setdefault(what, []).extend(times)
        requests = [seconds for what, times in took.items() if " " in what for seconds in times]
        values = (
            f"{now.at_s:.0f}",
            f"{now.rss / _MIB:.1f}",
            f"{now.workers_rss / _MIB:.1f}",
            f"{now.database / _MIB:.1f}",
            f"{(now.executions - before.executions) / length:.1f}",
            f"{(now.requests - before.requests) / length:.1f}",
            _ms(took.get("small", []), 50, 99),
            _ms(requests, 50, 99),
            f"{_late(before, now)}",
            f"{(now.cpu_s - before.cpu_s) / length * 100:.0f}",
        )
        print(_row(values), flush=True)


def _row(values: Iterable[str]) -> str:
    return " ".join(f"{value:>{width}}" for value, width in zip(values, _WIDTHS, strict=True))


def _late(before: Sample, now: Sample) -> int:
    """How often the event loop was late by more than 100 ms meanwhile."""
    return sum(sign * (sample.late["+Inf"] - sample.late[_LATE_S]) for sign, sample in ((1, now), (-1, before)))


def _latest(before: Sample, now: Sample) -> str:
    """By how much it was late at most meanwhile, in seconds: the bound of a bucket."""
    looks = now.late["+Inf"] - before.late["+Inf"]
    return next(bound for bound in now.late if now.late[bound] - before.late[bound] == looks)


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _ms(seconds: Sequence[float], *percentiles: int) -> str:
    if not seconds:
        return "-"
    ordered = sorted(seconds)
    return ", ".join(f"{ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] * 1000:.1f}" for percent in percentiles)


def _print_end(idle: Sample, watch: Watch, load: Load) -> None:
    samples = watch.samples
    fifth = samples[-1].at_s / 5
    second = statistics.median(sample.rss for sample in samples if fifth <= sample.at_s < 2 * fifth)
    last = statistics.median(sample.rss for sample in samples if sample.at_s >= 4 * fifth)
    print(f"\n{'took, ms':34} {'times':>8} {'p50':>8} {'p95':>8} {'p99':>8} {'longest':>8}")
    for what, times in sorted(watch.took.items()):
        print(f"{what:34} {len(times):8} {_ms(times, 50):>8} {_ms(times, 95):>8} {_ms(times, 99):>8} {_ms(times, 100):>8}")
    print(f"\n{'memory when idle':44} {idle.rss / _MIB:8.1f} MiB")
    print(f"{'most above that':44} {(max(sample.rss for sample in samples) - idle.rss) / _MIB:8.1f} MiB (at most 150)")
    print(f"{'the last fifth of the run above the second':44} {(last - second) / _MIB:+8.1f} MiB (at most 0)")
    print(f"{'the event loop was late by more than 100 ms':44} {_late(idle, samples[-1]):8} times (0)")
    print(f"{'at most by':44} {_latest(idle, samples[-1]):>8} s")
    if later := [sample for sample in samples if sample.at_s > _RECENT_S]:
        worst = max(later, key=lambda sample: sample.lag_s)
        print(f"{'after two minutes':44} {worst.lag_s * 1000:8.1f} ms, in which it had {worst.worked_s * 1000:.1f} ms of a processor")
    print(f"{'executions':44} {load.executions:8}   {dict(sorted(load.ended.items()))}")
    print(f"{'slow viewers let go':44} {load.let_go:8}")
    print(f"{'errors':44} {len(load.errors):8} (0)")
    for error in list(dict.fromkeys(load.errors))[:10]:
        print(f"  {error}")


def _kept(samples: Iterable[Sample], watch: Watch, load: Load, idle: Sample) -> dict[str, Any]:
    took = {what: {"times": len(times), **{f"p{p}": _ms(times, p) for p in (50, 95, 99, 100)}} for what, times in watch.took.items()}
    return {"idle": attrs.asdict(idle), "samples": [attrs.asdict(sample) for sample in samples], "took_ms": took, "errors": load.errors}


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long (600)")
    parser.add_argument("--row", type=float, default=60, help="seconds for each row (60)")
    parser.add_argument("--sockets", type=int, default=20, help="how many run workflows (20)")
    parser.add_argument("--durability", default="strict", choices=("strict", "relaxed", "off"))
    parser.add_argument("--json", type=Path, help="a file for all samples")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        async with llm_server() as service:
            config = {"llm": channel(service), "history": {"durability": wanted.durability}}
            async with serve(Path(folder), config, TAVERNKEEP_LOGGING__LEVEL="warning") as server:
                load = Load(server, wanted.sockets)
                watch = Watch(server, load)
                await server.http.get("/api/nodes")  # what a server does at its first request is no load
                idle = await watch.look()
                running = asyncio.create_task(load.run())
                await watch.watch(wanted.seconds, wanted.row)
                load.stop()
                await running
    _print_end(idle, watch, load)
    if wanted.json is not None:
        wanted.json.write_text(json.dumps(_kept(watch.samples, watch, load, idle), indent=1), "utf-8")
    return 1 if load.errors else 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
