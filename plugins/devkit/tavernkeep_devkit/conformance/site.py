"""What the tests need of an installation that has the scheduler: start a process, and end it in any way.

A scheduler may run executions in the process that answers requests, as the embedded one does, or in workers of their own. So the tests know
two things: a worker, which they end, freeze and start again, and the address of a front that tells of what it runs.
"""

import json
import re
import signal
import subprocess  # nosec B404
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import attrs

from tavernkeep_devkit.conformance.plugin import NAME
from tavernkeep_devkit.processes import BIN, PATIENCE_S, environment

_READY: Final = re.compile(r"is ready at (http://\S+)")


@attrs.frozen
class Capacity:
    """How much a scheduler is to take.

    Attributes:
        running: How many executions run at once, over all workers.
        running_each: How many of one user's.
        waiting: How many more may wait; who has an equal part of these is refused then.
        waiting_each: How many of one user's.
    """

    running: int = 4
    running_each: int = 4
    waiting: int = 1000
    waiting_each: int = 1000


class Worker(Protocol):
    """A process that runs executions, and the front that its clients are on: the process itself where it is one.

    Attributes:
        url: Of that front, without a slash at the end.
        pid: Of the process.
    """

    url: str
    pid: int

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal that ends the process, and wait until it has ended."""


class Site(Protocol):
    """A configuration, a database and a folder, in which one worker after the other is started.

    The servers have the plugin `tavernkeep_devkit.conformance.plugin` (see `variables`), and `auth.provider` is `conformance`.

    Attributes:
        folder: Where the tests keep what they need beside it.
    """

    folder: Path

    def start(self, capacity: Capacity) -> AbstractContextManager[Worker]:
        """Start a worker, and whatever else is not there yet; it has taken up what is open, and is ended at the end if it runs still."""

    def take_over(self, frozen: Worker, capacity: Capacity) -> AbstractContextManager[Worker]:
        """Start another worker, which has taken up what a frozen one runs: its lease is over, or an operator has taken its lock away.

        Its front is another one than that of the frozen worker where that is a front itself.
        """


def variables(folder: Path) -> Mapping[str, str]:
    """What the environment of a server needs so that it has the plugin; `folder` is a new one for what is installed."""
    info = folder / f"{NAME}-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[tavernkeep.plugins]\n{NAME} = tavernkeep_devkit.conformance.plugin\n")
    return {"PYTHONPATH": str(folder)}


@attrs.define(eq=False)
class Process:
    """`tavernkeep serve` in a process of its own: front and worker in one.

    Attributes:
        printed: What it has printed so far.
    """

    url: str
    pid: int
    printed: list[str] = attrs.field(repr=False)
    _process: "subprocess.Popen[str]" = attrs.field(repr=False)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """See `Worker`."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        self._process.wait(PATIENCE_S)


@contextmanager
def process(folder: Path, config: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[Process]:
    """Start `tavernkeep serve` in a folder, on a port of its own, ready to serve; it is ended at the end.

    Raises:
        RuntimeError: It did not start; the message has what it printed.
    """
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    command = [str(BIN / "tavernkeep"), "serve", "--port", "0"]
    with subprocess.Popen(  # noqa: S603 - it is this project's own program  # nosec B603
        command, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8", errors="replace"
    ) as running:
        printed: list[str] = []
        url: list[str] = []
        known = threading.Event()

        def read() -> None:
            assert running.stderr is not None
            for line in running.stderr:
                printed.append(line)
                if match := _READY.search(line):
                    url.append(match[1])
                    known.set()
            known.set()

        reader = threading.Thread(target=read, name="reads a server's log")
        reader.start()
        try:
            known.wait(PATIENCE_S)
            if not url:
                raise RuntimeError("the server did not start:\n" + "".join(printed))
            yield Process(url[0], running.pid, printed, running)
        finally:
            if running.poll() is None:
                running.send_signal(signal.SIGCONT)  # a frozen one hears nothing else
                running.terminate()
            try:
                running.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                running.kill()
                raise
            finally:
                reader.join()


@attrs.frozen
class Standalone:
    """A site: an installation whose scheduler runs executions in the one process that does everything.

    Args:
        folder: A new one.
        provider: The scheduler's name, `execution.provider`.
        config: Further sections of the configuration.
    """

    folder: Path
    provider: str = "embedded"
    config: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)

    def config_with(self, capacity: Capacity) -> dict[str, Any]:
        """The configuration of a process."""
        sections: dict[str, dict[str, Any]] = {
            "auth": {"provider": NAME},
            "execution": {"provider": self.provider, "max_concurrent_workflows": capacity.running},
            "engine": {
                "maxRunningPerUser": capacity.running_each,
                "maxQueued": capacity.waiting,
                "maxQueuedPerUser": capacity.waiting_each,
                "shutdownGraceS": 0.1,
            },
        }
        return sections | {name: sections.get(name, {}) | dict(section) for name, section in self.config.items()}

    @contextmanager
    def start(self, capacity: Capacity) -> Iterator[Worker]:
        """See `Site`."""
        environ = environment(**variables(self.folder / "installed"))
        with process(self.folder, self.config_with(capacity), environ) as running:
            yield running

    @contextmanager
    def take_over(self, frozen: Worker, capacity: Capacity) -> Iterator[Worker]:
        """See `Site`. The frozen process holds the lock of the data folder; the other's is a new file of the same name."""
        for lock in (self.folder / "data").glob("*.lock"):
            lock.unlink()
        with self.start(capacity) as running:
            yield running
