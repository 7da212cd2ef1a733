"""Every transition of an execution that the documentation knows, on servers that are killed and stopped on the way."""

import asyncio
import json
import os
import select
import signal
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from support.forked import Forge, ForkedServer, forge
from support.states import KINDS, PLACES, Kind, World, table
from tavernkeep.testing import PATIENCE_S
from tavernkeep_devkit.conformance.clients import Marks
from tavernkeep_devkit.conformance.site import Capacity, Standalone, Worker, variables

T = TypeVar("T")
MOST_EXECUTIONS = 12
MOST_ENDS = 5


@attrs.frozen
class Forked:
    """A forked server, for who is no coroutine."""

    url: str
    pid: int

    def stop(self, number: int = signal.SIGTERM) -> None:
        """See `Worker`. The forge waits for it afterwards."""
        end = os.pidfd_open(self.pid)
        try:
            os.kill(self.pid, number)
            assert select.select([end], [], [], PATIENCE_S)[0], "it does not end"
        finally:
            os.close(end)


@attrs.frozen
class Forging:
    """A forge in an event loop of its own."""

    forge: Forge
    wait: Callable[[Coroutine[Any, Any, Any]], Any]

    @contextmanager
    def serve(self, folder: Path) -> Iterator[Worker]:
        """A server in a folder."""
        serving = self.forge.serve(folder)
        server: ForkedServer = self.wait(serving.__aenter__())
        try:
            yield Forked(server.url, server.pid)
        finally:
            self.wait(serving.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def forging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forging]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="forge")
    thread.start()

    def wait(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    opened = forge(**variables(tmp_path_factory.mktemp("installed")))
    try:
        yield Forging(wait(opened.__aenter__()), wait)
        wait(opened.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def new_world(forging: Forging, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Counter[tuple[str, str]]], World]:
    """Makes a world with a new installation."""

    def made(walked: Counter[tuple[str, str]]) -> World:
        folder, marks = tmp_path_factory.mktemp("world"), tmp_path_factory.mktemp("marks")
        config = Standalone(folder).config_with(Capacity(running=PLACES, running_each=PLACES))
        (folder / "config.json").write_text(json.dumps(config))

        def start() -> AbstractContextManager[Worker]:
            return forging.serve(folder)

        return World(start, Marks(marks), walked)

    return made


def walk(new_world: Callable[[Counter[tuple[str, str]]], World], walked: Counter[tuple[str, str]], examples: int, steps: int) -> None:
    """Do anything in any order, and compare after each step."""

    class Walk(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.world = new_world(walked)
            self.world.open()
            self.ends = 0

        @precondition(lambda self: len(self.world.executions) < MOST_EXECUTIONS)
        @rule(kind=st.sampled_from(KINDS))
        def submit(self, kind: Kind) -> None:
            self.world.submit(kind)

        @precondition(lambda self: 0 < len(self.world.executions) < MOST_EXECUTIONS)
        @rule(which=st.integers(0, MOST_EXECUTIONS), what=st.sampled_from(["resume", "rerun"]))
        def run_again(self, which: int, what: str) -> None:
            self.world.ask_for(what, self.world.executions[which % len(self.world.executions)])

        @precondition(lambda self: self.world.executions)
        @rule(which=st.integers(0, MOST_EXECUTIONS), what=st.sampled_from(["answer", "answer", "interrupt", "forget"]))
        def ask_for(self, which: int, what: str) -> None:
            self.world.ask_for(what, self.world.executions[which % len(self.world.executions)])

        @precondition(lambda self: self.world.executions)
        @rule(which=st.integers(0, MOST_EXECUTIONS))
        def open_gate(self, which: int) -> None:
            self.world.open_gate(self.world.executions[which % len(self.world.executions)])

        @precondition(lambda self: self.ends < MOST_ENDS and any(one.is_open for one in self.world.executions))
        @rule()
        def crash(self) -> None:
            self.ends += 1
            self.world.end("crash", signal.SIGKILL)

        @precondition(lambda self: self.ends < MOST_ENDS and any(one.is_open for one in self.world.executions))
        @rule()
        def stop(self) -> None:
            self.ends += 1
            self.world.end("stop", signal.SIGTERM)

        @invariant()
        def is_as_it_should_be(self) -> None:
            self.world.compare()

        def teardown(self) -> None:
            try:
                self.world.check_marks()
            finally:
                self.world.close()

    run_state_machine_as_test(
        Walk,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=[Phase.generate],
            derandomize=examples < 5,
            database=None,
        ),
    )


@pytest.mark.slow
def test_each_row_of_the_table(new_world: Callable[[Counter[tuple[str, str]]], World]) -> None:
    """And whatever a client may ask for of one in any state."""
    walked: Counter[tuple[str, str]] = Counter()
    world = new_world(walked)
    world.open()
    try:
        quick, fails, asks, guilty, stops, waits = (world.submit(kind) for kind in ("quick", "fail", "ask", "gate", "gate", "quick"))
        world.compare()
        for one in (quick, fails, asks, guilty, waits):
            for what in ("resume", "forget") if one.is_open else ("answer", "interrupt"):
                world.ask_for(what, one)
        world.ask_for("answer", guilty)
        world.ask_for("rerun", waits)
        world.end("stop", signal.SIGTERM)
        world.compare()
        world.ask_for("interrupt", stops)
        world.ask_for("interrupt", asks)
        for one in (quick, fails, stops, guilty):
            world.ask_for("rerun", one)
            world.ask_for("resume", one)
            world.compare()
        asked = world.submit("ask")
        held = world.submit("gate")
        world.compare()
        for one in world.executions[:]:
            if one.state == "running" and one is not guilty:
                world.ask_for("interrupt", one)
        for one in (asks, asked):
            world.ask_for("rerun", one)
            world.ask_for("answer", one)
        world.compare()
        extra = [world.submit("gate") for _ in range(PLACES)]
        world.compare()
        while guilty.is_open:
            world.end("crash", signal.SIGKILL)
            world.compare()
        for one in (held, *extra):
            world.open_gate(one)
            world.compare()
        queued = [world.submit("gate") for _ in range(3)][-1]
        world.compare()
        world.ask_for("interrupt", queued)
        for one in (quick, guilty, queued):
            world.ask_for("forget", one)
            for what in ("answer", "interrupt", "resume", "rerun", "forget"):
                world.ask_for(what, one)
        world.compare()
        world.check_marks()
    finally:
        world.close()
    assert set(table()) - set(walked) == set()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_any_order_of_things(new_world: Callable[[Counter[tuple[str, str]]], World]) -> None:
    """The server stands where a small model does, after each step; what each client was told is the walk that it took."""
    walk(new_world, Counter(), 8, 30)
