"""What a scheduler owes its clients when a process ends, or is frozen while another takes over what it ran."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import attrs
import httpx2
import pytest

from tavernkeep_devkit.conformance.clients import Marks, Patron, complete, eventually, patron
from tavernkeep_devkit.conformance.serving import Conformance
from tavernkeep_devkit.conformance.site import Capacity, Site, Worker
from tavernkeep_devkit.sockets import Message

_MOST_ENDS: Final = 20  # after which nobody can say that a scheduler ever gives up


@attrs.frozen
class Lives:
    """A site: an installation whose workers come and go.

    Attributes:
        marks: The nodes' of all of them.
    """

    site: Site
    marks: Marks
    _stack: ExitStack

    def start(self, capacity: Capacity) -> Worker:
        """A worker, ended at the end of the test if not before."""
        return self._stack.enter_context(self.site.start(capacity))

    def take_over(self, frozen: Worker, capacity: Capacity) -> Worker:
        """Another one, which has taken up what a frozen one runs."""
        return self._stack.enter_context(self.site.take_over(frozen, capacity))

    def user(self, worker: Worker, name: str = "anna") -> Patron:
        """A user on a worker's front."""
        return self._stack.enter_context(patron(worker.url, name))


@attrs.frozen
class Heard:
    """What clients have been told.

    Attributes:
        ids: Of executions, by their names.
        events: Of each, as far as they have been seen.
        details: Of those that had ended.
    """

    ids: Mapping[str, str]
    events: Mapping[str, list[Message]]
    details: Mapping[str, dict[str, Any]]

    def check(self, user: Patron) -> None:
        """It is all known, and nothing that was told is untrue."""
        for name, id_ in self.ids.items():
            assert user.events(id_)[: len(self.events[name])] == self.events[name], name
        for name, detail in self.details.items():
            assert user.detail(self.ids[name]) == detail, name

    def complete(self) -> set[str]:
        """The marks of the nodes that were seen complete."""
        return {f"{name}.{node}" for name, events in self.events.items() for node in complete(events)}


class EndingConformance(Conformance):
    """With workers of their own for each."""

    @pytest.fixture
    def lives(self, tmp_path: Path) -> Iterator[Lives]:
        """A site: an installation."""
        for name in ("installation", "marks"):
            (tmp_path / name).mkdir()
        with ExitStack() as stack:
            yield Lives(self.site(tmp_path / "installation"), Marks(tmp_path / "marks"), stack)

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["crash", "stop"])
    def test_what_was_accepted_goes_on(self, lives: Lives, number: int) -> None:
        """After a crash and after a stop, twice in a row: each under its id, from where it was seen, in its order, and nothing is repeated.

        Answers and interrupts that were answered with success hold, and the questions that nobody has answered are asked again.
        """
        capacity, marks = Capacity(running=2, running_each=2), lives.marks
        worker = lives.start(capacity)
        anna = lives.user(worker)
        ids = {"done": anna.submit(marks.chain("done", "Mark", "Speak"))}
        events = {"done": anna.ends(ids["done"])}
        for name, kinds, type_, node in (
            ("gated", ("Mark", "Speak", "Gate", "Mark"), "NODE_EXECUTING", "Gate2"),
            ("asking", ("Mark", "Ask", "Mark"), "NODE_WAITING", "Ask1"),
            ("answered", ("Mark", "Ask", "Gate", "Mark"), "NODE_WAITING", "Ask1"),
        ):
            ids[name] = anna.submit(marks.chain(name, *kinds))
            events[name] = anna.until(ids[name], type_, node)
        assert anna.answer(ids["answered"], "Ask1", "yes").is_success
        events["answered"] = anna.until(ids["answered"], "NODE_EXECUTING", "Gate2")
        for name, rank in (("later", 0), ("sooner", 5), ("dropped", 9)):
            ids[name] = anna.submit(marks.chain(name, "Mark", priority=rank))
            events[name] = anna.until(ids[name], "EXECUTION_STATUS_UPDATE")
        assert anna.interrupt(ids["dropped"]).status_code == 200
        events["dropped"] = anna.ends(ids["dropped"], "interrupted")
        told = Heard(ids, events, {name: anna.detail(ids[name]) for name in ("done", "dropped")})
        worker.stop(number)

        worker = lives.start(capacity)
        anna = lives.user(worker)
        assert [anna.status(ids[name]) for name in ("done", "dropped")] == ["complete", "interrupted"]
        eventually(lambda: marks.count()["asking.Ask1"] == 2, "the question being asked again")
        worker.stop(number)

        anna = lives.user(lives.start(capacity))
        marks.open("gated", "answered")
        anna.until(ids["asking"], "NODE_WAITING", "Ask1")
        eventually(lambda: anna.answer(ids["asking"], "Ask1", "go").is_success, "the question being asked once more")
        for name in ("gated", "asking", "answered", "later", "sooner"):
            anna.ends(ids[name])
        told.check(anna)
        assert {mark: marks.count()[mark] for mark in told.complete()} == dict.fromkeys(told.complete(), 1)
        assert anna.detail(ids["answered"])["nodeStatus"]["Ask1"]["output"] == {"mark": "yes"}
        assert marks.count()["answered.Ask1"] == 1
        # Both may have their places at the same moment; who had the first of them shows in when it began.
        assert anna.detail(ids["sooner"])["startedAt"] <= anna.detail(ids["later"])["startedAt"]
        assert marks.count()["dropped.Mark0"] == 0

    def test_what_ends_the_worker_is_given_up(self, lives: Lives) -> None:
        """After some times, with an error that is an event like any other and names the nodes that were at work; the innocent end well.

        Each end finds the innocent ones beside it; they need not wait for it to be given up.
        """
        capacity, marks = Capacity(running=2, running_each=2), lives.marks
        worker = lives.start(capacity)
        anna = lives.user(worker)
        asked = anna.submit(marks.chain("asked", "Ask", "Mark"))
        anna.until(asked, "NODE_WAITING", "Ask0")
        guilty, innocent = anna.submit(marks.chain("guilty", "Die")), anna.submit(marks.chain("innocent", "Gate", "Mark"))
        anna.until(guilty, "NODE_EXECUTING", "Die0")
        anna.until(innocent, "NODE_EXECUTING", "Gate0")
        marks.open("guilty", "innocent")
        ends = 0
        while True:
            worker.stop(0)  # it ends by itself
            ends += 1
            assert ends < _MOST_ENDS, "it is never given up"
            worker = lives.start(capacity)
            anna = lives.user(worker)
            try:
                events = anna.ends(guilty, "error")
            except httpx2.TransportError:
                continue
            break
        assert events[-1]["payload"]["errorInfo"]["nodesAtWork"] == ["Die0"]
        assert anna.detail(guilty)["completedAt"] is not None
        anna.ends(innocent)
        eventually(lambda: anna.answer(asked, "Ask0", "go").is_success, "the question being asked again")
        anna.ends(asked)
        assert marks.count()["guilty.Die0"] == ends
        assert marks.count()["innocent.Gate0"] <= ends

    def test_a_zombie_changes_nothing(self, lives: Lives) -> None:
        """A worker was frozen while another took over, and wakes up: what the other told stays true, and the zombie tells nothing else."""
        capacity, marks = Capacity(running=2, running_each=2), lives.marks
        frozen = lives.start(capacity)
        before = lives.user(frozen)
        ids = {}
        with before.socket() as socket:
            for name, kinds, type_, node in (
                ("asking", ("Mark", "Ask", "Mark"), "NODE_WAITING", "Ask1"),
                ("gated", ("Mark", "Gate", "Mark"), "NODE_EXECUTING", "Gate1"),
                ("held", ("Gate", "Mark"), "NODE_EXECUTING", "Gate0"),
                ("waiting", ("Mark", "Mark"), "EXECUTION_STATUS_UPDATE", None),
            ):
                ids[name] = before.submit(marks.chain(name, *kinds))
                socket.send("SUBSCRIBE", {"promptId": ids[name], "after": 0})
                before.until(ids[name], type_, node)
            os.kill(frozen.pid, signal.SIGSTOP)

            other = lives.take_over(frozen, capacity)
            anna = lives.user(other)
            anna.until(ids["asking"], "NODE_WAITING", "Ask1")
            eventually(lambda: anna.answer(ids["asking"], "Ask1", "go").is_success, "the question being asked again")
            marks.open("gated", "held")
            events = {name: anna.ends(id_) for name, id_ in ids.items()}
            told = Heard(ids, events, {name: anna.detail(id_) for name, id_ in ids.items()})
            left = marks.count()

            os.kill(frozen.pid, signal.SIGCONT)
            for name, id_ in ids.items():
                assert not before.interrupt(id_).is_success, name
            assert not before.answer(ids["asking"], "Ask1", "stop").is_success
            for name, id_ in ids.items():
                eventually(lambda id_=id_: before.status(id_) == "complete", f"the zombie knowing better of {name}")  # type: ignore[misc]
                assert before.events(id_) == events[name]
            frozen.stop()
            heard = socket.rest()
        for message in heard:
            id_ = message["payload"].get("promptId")
            for name in (name for name in ids if ids[name] == id_):
                assert message in events[name], f"the zombie told of {name}: {message}"
        told.check(anna)
        assert marks.count() == left
        other.stop()
        again = lives.user(lives.start(capacity))
        told.check(again)
        assert marks.count() == left
