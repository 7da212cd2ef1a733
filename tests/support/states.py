"""A small model of what becomes of executions, beside a server that they become it on."""

import bisect
import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Literal

import attrs

from tavernkeep.testing import FINAL, Message
from tavernkeep_devkit.conformance.clients import Marks, Patron, eventually, patron
from tavernkeep_devkit.conformance.site import Worker

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "states.md"
PLACES: Final = 2
_MOST_ATTEMPTS: Final = 5
_TOLD: Final = {"asking": "running"}

Kind = Literal["gate", "ask", "fail", "quick"]
KINDS: Final[Sequence[Kind]] = ("gate", "ask", "fail", "quick")
_NODES: Final = {"gate": ("Gate", "Mark"), "ask": ("Ask", "Mark"), "fail": ("Mark", "Fail", "Mark"), "quick": ("Mark", "Mark")}


def table() -> dict[tuple[str, str], str]:
    """The table of the documentation: from which state, by what, to which."""
    rows = re.findall(r"^\| (\w+) \| ([\w ]+) \| (\w+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {(before, what): after for before, what, after in rows if before != "from"}


@attrs.define(eq=False)
class Modelled:
    """An execution as it should be.

    Attributes:
        told: The statuses that are recorded to have been told, in order.
        has_begun: It has had a place before.
        attempts: How often a process ended in its midst.
        answered: Somebody has answered.
    """

    id: str
    name: str
    kind: Kind
    state: str = "queued"
    told: list[str] = attrs.field(factory=list)
    has_begun: bool = False
    attempts: int = 0
    answered: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("queued", "running", "asking", "left")


@attrs.define(eq=False)
class World:
    """A server, the model, and whoever does things to both.

    Attributes:
        start: Starts a server in what the one before left.
        walked: How often each row of the table was.
    """

    start: Callable[[], AbstractContextManager[Worker]]
    marks: Marks
    walked: Counter[tuple[str, str]]
    executions: list[Modelled] = attrs.field(factory=list)
    opened: set[str] = attrs.field(factory=set)
    _table: dict[tuple[str, str], str] = attrs.field(factory=table)
    _waiting: list[Modelled] = attrs.field(factory=list)
    _come_back: list[Modelled] = attrs.field(factory=list)  # these have had a place, and are before the others
    _suspects: list[Modelled] = attrs.field(factory=list)
    _working: list[Modelled] = attrs.field(factory=list)
    _tried: Modelled | None = None
    _serving: AbstractContextManager[Worker] | None = None
    _worker: Worker | None = None
    _visiting: AbstractContextManager[Patron] | None = None
    _user: Patron | None = None

    # The server

    def open(self) -> None:
        """Start a server."""
        self._serving = self.start()
        self._worker = self._serving.__enter__()
        self._visiting = patron(self._worker.url, "anna")
        self._user = self._visiting.__enter__()

    def close(self, number: int | None = None) -> None:
        """End it, by a signal."""
        if self._visiting is None or self._serving is None or self._worker is None:
            return
        self._visiting.__exit__(None, None, None)
        if number is not None:
            self._worker.stop(number)
        self._serving.__exit__(None, None, None)
        self._visiting = self._serving = self._worker = None

    @property
    def user(self) -> Patron:
        """Who does it all."""
        assert self._user is not None, "it is open"
        return self._user

    # What can be done

    def submit(self, kind: Kind) -> Modelled:
        """Somebody submits a workflow."""
        name = f"w{len(self.executions)}"
        return self._new(self.user.submit(self.marks.chain(name, *_NODES[kind])), name, kind)

    def open_gate(self, one: Modelled) -> None:
        """What it waits for is there; or what failed works from now on."""
        self.opened.add(one.name)
        self.marks.open(one.name)
        for other in list(self._working):
            if other.name == one.name:
                self._progress(other)
        self._fill()

    def ask_for(self, what: str, one: Modelled) -> None:
        """A client asks for something, of an execution in any state: it happens where the table says so, else it is refused."""
        answer = {
            "answer": lambda: self.user.answer(one.id, "Ask0", "yes"),
            "interrupt": lambda: self.user.interrupt(one.id),
            "resume": lambda: self.user.http.post(f"/api/prompt/{one.id}/resume"),
            "rerun": lambda: self.user.http.post(f"/api/prompt/{one.id}/rerun"),
            "forget": lambda: self.user.http.delete(f"/api/history/{one.id}"),
        }[what]()
        if (one.state, what) not in self._table:
            assert answer.status_code in (404, 409), f"{what} of one that is {one.state}: {answer.status_code} {answer.text}"
            return
        assert answer.is_success, f"{what} of one that is {one.state}: {answer.status_code} {answer.text}"
        self._move(one, what)
        match what:
            case "answer":
                one.answered = True
                self._come_back.append(one)
            case "interrupt":
                self._leave(one)
            case "resume" | "rerun":
                self._new(answer.json()["promptId"], one.name, one.kind)
        self._fill()

    def end(self, what: Literal["crash", "stop"], number: int) -> None:
        """The process ends, and another is started."""
        left = [one for one in self.executions if one.is_open]
        for one in left:
            if what == "crash" and (one in self._working or one.answered):
                one.attempts += 1
            self._move(one, what, tell=False)
        self.close(number)
        self._working, self._suspects, self._waiting, self._come_back, self._tried = [], [], [], [], None
        self.open()
        for one in left:
            if one.attempts >= _MOST_ATTEMPTS:
                self._move(one, "give up")
                continue
            self._move(one, "take up")
            if one.attempts:
                bisect.insort(self._suspects, one, key=lambda suspect: suspect.attempts)
            else:
                (self._come_back if one.has_begun else self._waiting).append(one)
        self._fill()

    # What happens by itself

    def _new(self, id_: str, name: str, kind: Kind) -> Modelled:
        self.walked["gone", "submit"] += 1
        one = Modelled(id_, name, kind)
        if len(self._working) >= PLACES:
            one.told.append("queued")
        self.executions.append(one)
        self._waiting.append(one)
        self._fill()
        return one

    def _move(self, one: Modelled, what: str, *, tell: bool = True) -> None:
        before = one.state
        one.state = self._table[before, what]
        self.walked[before, what] += 1
        status = _TOLD.get(one.state, one.state)
        if tell and one.state != "gone" and status != _TOLD.get(before, before):
            one.told.append(status)

    def _fill(self) -> None:
        """Who waits gets what places there are."""
        while len(self._working) < PLACES:
            if self._suspects and self._tried is None:
                one = self._tried = self._suspects.pop(0)
            elif self._come_back or self._waiting:
                one = (self._come_back or self._waiting).pop(0)
            else:
                return
            self._working.append(one)
            if one.state == "queued":
                self._move(one, "start")
                one.has_begun = True
            self._progress(one)

    def _progress(self, one: Modelled) -> None:
        """It does what it can."""
        if one.kind == "gate" and one.name not in self.opened:
            return
        if one.kind == "ask" and not one.answered:
            self._move(one, "ask")
        elif one.kind == "fail" and one.name not in self.opened:
            self._move(one, "fail")
        else:
            self._move(one, "complete")
        self._leave(one)

    def _leave(self, one: Modelled) -> None:
        for where in (self._working, self._suspects, self._waiting, self._come_back):
            if one in where:
                where.remove(one)
        if self._tried is one:
            self._tried = None

    # Comparing the two

    def compare(self) -> None:
        """The server comes to stand where the model does."""
        for one in self.executions:
            eventually(lambda one=one: self._stands(one), f"{one}, of which {self._events(one)}")  # type: ignore[misc]

    def _stands(self, one: Modelled) -> bool:
        events = self._events(one)
        if events is None or one.state == "gone":
            return events is None and one.state == "gone"
        told = [event["payload"]["status"] for event in events if event["type"] == "EXECUTION_STATUS_UPDATE"]
        if one.state in FINAL or one.state == "queued":
            return told == one.told and self.user.status(one.id) == one.state
        wanted = {"asking": "NODE_WAITING", "running": "NODE_ANSWERED" if one.answered else "NODE_EXECUTING"}[one.state]
        return told == one.told and events[-1]["type"] == wanted and self.user.status(one.id) == "running"

    def _events(self, one: Modelled) -> list[Message] | None:
        answer = self.user.http.get(f"/api/history/{one.id}", params={"limit": 10_000})
        if answer.status_code == 404:
            return None
        whole: dict[str, Any] = answer.json()
        events: list[Message] = whole["events"]
        assert [event["payload"]["seq"] for event in events] == list(range(1, len(events) + 1)), one
        return events

    def check_marks(self) -> None:
        """The last node of each workflow has run once for each execution that is complete, or was."""
        for name in {one.name for one in self.executions}:
            same = [one for one in self.executions if one.name == name]
            last = f"{name}.Mark{len(_NODES[same[0].kind]) - 1}"
            assert self.marks.count()[last] == sum("complete" in one.told for one in same), same
