"""What a scheduler owes its clients while nothing goes wrong: to take, order, share out, stop, ask, and tell."""

import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs
import pytest

from tavernkeep_devkit.conformance.clients import Marks, Patron, complete, eventually, numbers, patron
from tavernkeep_devkit.conformance.site import Capacity, Site, Worker
from tavernkeep_devkit.sockets import is_final, statuses, text_of

# One of a user's at once, so that the next begins when the one before has ended; two users' at once.
CAPACITY = Capacity(running=2, running_each=1, waiting=10, waiting_each=6)


@attrs.frozen
class Served:
    """A worker, and who uses it.

    Attributes:
        marks: New for each test, as the names are.
    """

    worker: Worker
    marks: Marks
    _stack: ExitStack

    def user(self, name: str = "user") -> Patron:
        """Somebody new, whose name begins so."""
        return self.called(f"{name}_{uuid.uuid4().hex}")

    def called(self, name: str) -> Patron:
        """Somebody of that very name."""
        return self._stack.enter_context(patron(self.worker.url, name))


class Conformance(ABC):
    """Tests of a scheduler; a subclass says how it is installed."""

    @classmethod
    @abstractmethod
    def site(cls, folder: Path) -> Site:
        """A site: an installation with the scheduler, with nothing in it yet.

        Args:
            folder: A new one.
        """


@contextmanager
def at_work(place: Served, who: Patron, name: str) -> Iterator[str]:
    """While somebody's one execution runs, which ends at the end."""
    held = who.submit(place.marks.chain(name, "Gate"))
    place.marks.until(f"{name}.Gate0")
    yield held
    place.marks.open(name)
    who.ends(held)


class ServingConformance(Conformance):
    """With one worker for all of them."""

    @pytest.fixture(scope="class")
    @classmethod
    def served(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
        """A worker."""
        with cls.site(tmp_path_factory.mktemp("installation")).start(CAPACITY) as worker:
            yield worker

    @pytest.fixture
    def place(self, served: Worker, tmp_path: Path) -> Iterator[Served]:
        """It, with what is new for each test."""
        with ExitStack() as stack:
            yield Served(served, Marks(tmp_path), stack)

    # Submit

    def test_submit_over_http(self, place: Served) -> None:
        """It has an id, runs to its end, and is known with its results afterwards."""
        anna, marks = place.user("anna"), place.marks
        id_ = anna.submit(marks.chain("a", "Mark", "Speak", "Mark"))
        events = anna.ends(id_)
        assert complete(events) == ["Mark0", "Speak1", "Mark2"]
        assert text_of(events, "Speak1") == "".join(f"{number} " for number in range(10))
        assert statuses(events)[-2:] == ["running", "complete"]
        detail = anna.detail(id_)
        assert detail["nodeStatus"]["Mark2"] == {"status": "complete", "output": {"mark": "a.Mark2"}}
        assert detail["submittedAt"] <= detail["startedAt"] <= detail["completedAt"]
        assert anna.listed()[id_] == "complete"
        assert marks.all() == ["a.Mark0", "a.Speak1", "a.Mark2"]

    def test_submit_over_a_socket(self, place: Served) -> None:
        """Its sender hears first that it was accepted, then every event once, in order."""
        anna, marks = place.user("anna"), place.marks
        with anna.socket() as socket:
            socket.send("PROMPT_REQUEST", marks.chain("a", "Mark", "Speak", requestId="first"))
            accepted, *events = socket.until(is_final)
        assert (accepted["type"], accepted["payload"]["requestId"]) == ("PROMPT_ACCEPTED_RESPONSE", "first")
        id_ = accepted["payload"]["promptId"]
        assert {event["payload"]["promptId"] for event in events} == {id_}
        told, recorded = numbers(events), anna.ends(id_)
        assert told == sorted(set(told))  # to a slow viewer, adjacent texts of one stream come as one
        assert [event for event in events if event["type"] != "NODE_YIELD"] == [e for e in recorded if e["type"] != "NODE_YIELD"]
        assert text_of(events, "Speak1") == text_of(recorded, "Speak1")

    def test_what_is_no_workflow_is_refused(self, place: Served) -> None:
        """With every problem, over both; nothing of it is known afterwards. A dry run runs nothing."""
        anna, wrong = place.user("anna"), {"nodes": [{"id": 1}, {"fullType": "conformance:Mark"}], "edges": "none"}
        answer = anna.post(wrong)
        assert answer.status_code == 422
        with anna.socket() as socket:
            socket.send("PROMPT_REQUEST", wrong)
            refused = socket.receive()
        assert refused["type"] == "error"
        assert len(refused["payload"]["details"]) > 1
        dry = anna.post(place.marks.chain("a", "Mark", dryRun=True))
        assert dry.json()["valid"] is True
        assert anna.listed() == {}
        assert place.marks.all() == []

    def test_what_fails_ends_in_error(self, place: Served) -> None:
        """A failed node's followers are skipped; a type that nobody has fails its node; a circle runs nothing."""
        anna, marks = place.user("anna"), place.marks
        failed = anna.submit(marks.chain("a", "Mark", "Fail", "Mark"))
        events = anna.ends(failed, "error")
        assert [e["payload"]["nodeId"] for e in events if e["type"] == "NODE_SKIPPED"] == ["Mark2"]
        assert [node["nodeId"] for node in events[-1]["payload"]["errorInfo"]["nodes"]] == ["Fail1"]
        unknown = anna.submit({"nodes": [{"id": "x", "fullType": "no:such"}], "edges": []})
        anna.ends(unknown, "error")
        circle = marks.chain("b", "Mark", "Mark")
        circle["edges"].append({"sourceNodeId": "Mark1", "sourceHandle": "mark", "targetNodeId": "Mark0", "targetHandle": "after"})
        anna.ends(anna.submit(circle), "error")
        assert marks.all() == ["a.Mark0", "a.Fail1"]

    def test_the_same_request_is_one_execution(self, place: Served) -> None:
        """While it runs and afterwards, over both; another's request of that name is another, and another workflow is refused."""
        anna, bert, marks = place.user("anna"), place.user("bert"), place.marks
        payload = marks.chain("a", "Gate", "Mark", requestId="order 7")
        ids = [anna.submit(payload) for _ in range(2)]
        assert bert.submit(payload) not in ids
        marks.open("a")
        anna.ends(ids[0])
        with anna.socket() as socket:
            socket.send("PROMPT_REQUEST", payload)
            accepted, *events = socket.until(is_final)
        assert {*ids, accepted["payload"]["promptId"], anna.submit(payload)} == {ids[0]}
        assert events == anna.events(ids[0])
        assert anna.post(marks.chain("b", "Mark", requestId="order 7")).status_code == 409
        eventually(lambda: marks.count() == {"a.Gate0": 2, "a.Mark1": 2}, "one run for each of the two")

    # Order and fairness

    def test_order(self, place: Served) -> None:
        """Of one user's, the higher priority begins first, and of equal ones the earlier."""
        anna, marks = place.user("anna"), place.marks
        with at_work(place, anna, "first"):
            waiting = [anna.submit(marks.chain(name, "Mark", priority=rank)) for name, rank in (("a", 0), ("b", 2), ("c", 0), ("d", 2))]
            assert [anna.status(id_) for id_ in waiting] == ["queued"] * 4
            assert statuses(anna.until(waiting[0], "EXECUTION_STATUS_UPDATE")) == ["queued"]
        for id_ in waiting:
            anna.ends(id_)
        assert marks.all() == ["first.Gate0", "b.Mark0", "d.Mark0", "a.Mark0", "c.Mark0"]

    def test_fairness(self, place: Served) -> None:
        """Who submits much waits behind themselves: somebody who comes later begins before the rest of it, whatever its priority."""
        greedy, modest, other, marks = place.user("greedy"), place.user("modest"), place.user("other"), place.marks
        with at_work(place, other, "elsewhere"):
            with at_work(place, greedy, "much"):
                more = [greedy.submit(marks.chain(f"more{number}", "Mark", priority=9)) for number in range(5)]
                late = modest.submit(marks.chain("late", "Mark"))
                assert modest.status(late) == "queued"
            for who, id_ in [(modest, late), *((greedy, id_) for id_ in more)]:
                who.ends(id_)
        started = [mark for mark in marks.all() if mark.endswith("Mark0")]
        assert started == ["late.Mark0", *(f"more{number}.Mark0" for number in range(5))]

    def test_limits(self, place: Served) -> None:
        """No more run than may, nor of one user's. Who has too much waiting is refused; in a full line also who has an equal part of it,
        and nobody else."""
        anna, bert, carl, marks = (*(place.user(name) for name in ("anna", "bert", "carl")), place.marks)
        with at_work(place, anna, "a"):
            mine = [anna.submit(marks.chain(f"a{number}", "Mark")) for number in range(CAPACITY.waiting_each)]
            refused = anna.post(marks.chain("over", "Mark"))
            assert refused.status_code == 429, refused.text
            with at_work(place, bert, "b"):
                part = CAPACITY.waiting // 2
                theirs = [bert.submit(marks.chain(f"b{number}", "Mark")) for number in range(part)]
                full = bert.post(marks.chain("over", "Mark"))
                assert full.status_code == 503, full.text
                last = carl.submit(marks.chain("c", "Mark"))
                stats = carl.http.get("/api/system_stats").json()
                waiting = CAPACITY.waiting_each + part + 1
                assert stats == {"maxConcurrentWorkflows": 2, "runningExecutions": 2, "pendingExecutions": waiting}
                assert sorted(bert.listed().values()) == ["queued"] * part + ["running"]
        for who, ids in ((anna, mine), (bert, theirs), (carl, [last])):
            for id_ in ids:
                who.ends(id_)
        anna.ends(anna.submit(marks.chain("again", "Mark")))
        assert not [mark for mark in marks.all() if mark.startswith("over")]

    # Interrupt

    def test_interrupt(self, place: Served) -> None:
        """What runs has stopped when that is answered, what waits never begins, and nothing follows; others' are unknown ids."""
        anna, bert, marks = place.user("anna"), place.user("bert"), place.marks
        runs = anna.submit(marks.chain("runs", "Gate", "Mark"))
        marks.until("runs.Gate0")
        waits = anna.submit(marks.chain("waits", "Mark"))
        for id_ in (runs, waits):
            assert bert.interrupt(id_).status_code == 404
        assert (anna.status(runs), anna.status(waits)) == ("running", "queued")
        for id_ in (waits, runs):
            assert anna.interrupt(id_).status_code == 200
            assert anna.status(id_) == "interrupted"
        marks.open("runs")
        for id_ in (waits, runs):
            events = anna.ends(id_, "interrupted")
            assert statuses(events).count("interrupted") == 1
            again = anna.interrupt(id_)
            assert (again.status_code, again.json()["success"]) == (404, False)
        anna.ends(anna.submit(marks.chain("next", "Mark")))
        assert marks.all() == ["runs.Gate0", "next.Mark0"]
        assert anna.interrupt("no-such-execution").status_code == 404

    # Answer

    def test_answer(self, place: Served) -> None:
        """A question is told; the first answer is taken, one to nobody's question is not, and nobody else may answer."""
        anna, bert, marks = place.user("anna"), place.user("bert"), place.marks
        id_ = anna.submit(marks.chain("a", "Ask", "Mark"))
        (*_, question) = anna.until(id_, "NODE_WAITING", "Ask0")
        assert question["payload"]["question"] == "Go on?"
        assert bert.answer(id_, "Ask0", "no").status_code == 404
        assert anna.answer(id_, "Mark1", "no").status_code == 409
        assert anna.answer("no-such-execution", "Ask0", "no").status_code == 404
        assert anna.answer(id_, "Ask0", "yes").is_success
        events = anna.ends(id_)
        assert [e["payload"]["value"] for e in events if e["type"] == "NODE_ANSWERED"] == ["yes"]
        assert anna.detail(id_)["nodeStatus"]["Ask0"]["output"] == {"mark": "yes"}
        assert anna.answer(id_, "Ask0", "late").status_code == 409

    # Follow

    def test_follow(self, place: Served) -> None:
        """From the first or from any event on, over both, before and after the end: every event once, and the same ones."""
        anna, bert, marks = place.user("anna"), place.user("bert"), place.marks
        id_ = anna.submit(marks.chain("a", "Speak", "Gate", "Speak"))
        early = anna.until(id_, "NODE_EXECUTING", "Gate1")
        middle = len(early) // 2
        with anna.socket() as all_, anna.socket() as some, bert.socket() as stranger:
            all_.send("SUBSCRIBE", {"promptId": id_, "after": 0})
            some.send("SUBSCRIBE", {"promptId": id_, "after": middle})
            stranger.send("SUBSCRIBE", {"promptId": id_, "after": 0})
            assert stranger.receive()["type"] == "error"
            seen = all_.until(lambda message: message["payload"]["seq"] == len(early))
            assert seen == early
            marks.open("a")
            later = list(anna.follow(id_, len(early)))
            seen += all_.until(is_final)
            rest = some.until(is_final)
        events = anna.ends(id_)
        assert events[: len(early)] == early
        assert events[len(early) :] == later
        for told, first in ((seen, 1), (rest, middle + 1)):
            assert numbers(told)[0] == first
            assert [event for event in told if event["type"] != "NODE_YIELD"] == [
                event for event in events[first - 1 :] if event["type"] != "NODE_YIELD"
            ]
        assert list(anna.follow(id_, middle)) == events[middle:]
        assert list(anna.follow(id_, len(events))) == []
        assert bert.http.get(f"/api/prompt/{id_}/events").status_code == 404
        assert bert.http.get(f"/api/prompt/{id_}").status_code == 404
        assert id_ not in bert.listed()

    def test_an_administrator_sees_everybodys(self, place: Served) -> None:
        """Lists them, follows them, and may stop them."""
        anna, mayor = place.user("anna"), place.called("mayor")
        with at_work(place, anna, "a"):
            held = anna.submit(place.marks.chain("b", "Mark"))
            assert mayor.listed()[held] == "queued"
            assert mayor.interrupt(held).status_code == 200
        assert mayor.events(held) == anna.ends(held, "interrupted")
