"""Who uses an installation, over HTTP and sockets, and what its nodes leave behind."""

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import httpx2
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tavernkeep.contracts.execution import SHUTDOWN
from tavernkeep_devkit.conformance.plugin import USER
from tavernkeep_devkit.processes import PATIENCE_S
from tavernkeep_devkit.sockets import Message, is_final

_LOOK_S: Final = 0.02


@attrs.frozen
class Marks:
    """What nodes leave on the disk, and what they wait for there.

    Attributes:
        folder: A new one.
    """

    folder: Path

    @property
    def file(self) -> Path:
        """In which each node that runs leaves its mark."""
        return self.folder / "marks"

    def all(self) -> list[str]:
        """Every mark, in the order in which they were left."""
        return self.file.read_text().split() if self.file.exists() else []

    def count(self) -> Counter[str]:
        """How often each was left."""
        return Counter(self.all())

    def until(self, mark: str) -> None:
        """Wait for a mark."""
        eventually(lambda: mark in self.all(), f"the mark {mark}")

    def gate(self, name: str) -> Path:
        """The file that a gate waits for."""
        return self.folder / f"gate-{name}"

    def open(self, *names: str) -> None:
        """Let these gates be passed."""
        for name in names:
            self.gate(name).touch()

    def chain(self, name: str, *kinds: str, **more: Any) -> dict[str, Any]:
        """A workflow of nodes one after the other; each leaves the mark `NAME.ID`, and its id is its kind with its place: `Gate1`.

        Its gates wait for `open(name)`, as do nodes that end the worker; its failing nodes work from then on.

        Args:
            kinds: `Mark`, `Gate`, `Speak`, `Ask`, `Fail`, `Die`.
            more: Further fields of the workflow: `priority`, `requestId`.
        """
        ids = [f"{kind}{number}" for number, kind in enumerate(kinds)]
        gate = str(self.gate(name))
        waits = {"Gate": {"open_when": gate}, "Die": {"open_when": gate}, "Fail": {"works_when": gate}}
        nodes = [
            {
                "id": id_,
                "fullType": f"conformance:{kind}",
                "inputs": {"file": str(self.file), "mark": f"{name}.{id_}"} | waits.get(kind, {}),
            }
            for id_, kind in zip(ids, kinds, strict=True)
        ]
        edges = [
            {"sourceNodeId": a, "sourceHandle": "mark", "targetNodeId": b, "targetHandle": "after"} for a, b in itertools.pairwise(ids)
        ]
        return {"nodes": nodes, "edges": edges, "metadata": {"workflowName": name}} | more


def eventually(is_so: Callable[[], bool], what: str) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: It never was.
    """
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end, f"waited for {what} in vain"
        time.sleep(_LOOK_S)


@attrs.frozen
class Line:
    """A socket of a user's."""

    socket: ClientConnection

    def send(self, type_: str, payload: Any) -> None:
        """Send a message."""
        self.socket.send(json.dumps({"type": type_, "payload": payload}))

    def receive(self) -> Message:
        """The next message that is no notice to everyone."""
        while True:
            message: Message = json.loads(self.socket.recv(PATIENCE_S))
            if not message["type"].startswith("SYSTEM_"):
                return message

    def until(self, wanted: Callable[[Message], bool]) -> list[Message]:
        """All messages up to the first that is wanted."""
        messages = [self.receive()]
        while not wanted(messages[-1]):
            messages.append(self.receive())
        return messages

    def rest(self) -> list[Message]:
        """Everything that still comes until the server closes it."""
        messages = []
        while True:
            try:
                messages.append(json.loads(self.socket.recv(PATIENCE_S)))
            except ConnectionClosed:
                return messages


@attrs.frozen
class Patron:
    """A user of the installation."""

    name: str
    url: str
    http: httpx2.Client = attrs.field(repr=False)

    def post(self, payload: Mapping[str, Any]) -> httpx2.Response:
        """Submit a workflow; gives the answer, whatever it is."""
        return self.http.post("/api/prompt", json=payload)

    def submit(self, payload: Mapping[str, Any]) -> str:
        """Submit a workflow that is taken; gives the execution's id."""
        answer = self.post(payload)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["promptId"])

    def detail(self, id_: str) -> dict[str, Any]:
        """An execution with its results."""
        answer = self.http.get(f"/api/prompt/{id_}")
        assert answer.status_code == 200, f"{id_}: {answer.text}"
        detail: dict[str, Any] = answer.json()
        return detail

    def status(self, id_: str) -> str:
        """Where an execution stands."""
        return str(self.detail(id_)["status"])

    def follow(self, id_: str, after: int = 0) -> Iterator[Message]:
        """The events of an execution with a higher number, until its end; what a stop of the server interrupts goes on."""
        ended = False
        while not ended:
            with self.http.stream("GET", f"/api/prompt/{id_}/events", headers={"Last-Event-ID": str(after)}) as answer:
                assert answer.status_code in (200, 204), f"{id_}: {answer.read().decode()}"
                ended = answer.status_code == 204
                for line in answer.iter_lines():
                    if line.startswith("data: "):
                        event: Message = json.loads(line[6:])
                        after, ended = event["payload"]["seq"], is_end(event)
                        yield event

    def events(self, id_: str) -> list[Message]:
        """All events of an execution that ends, numbered from 1 without hole or double."""
        events = list(self.follow(id_))
        assert events, f"{id_} has no events"
        assert is_end(events[-1]), f"{id_} does not end with its last event"
        assert numbers(events) == list(range(1, len(events) + 1)), f"{id_}: {numbers(events)}"
        return events

    def until(self, id_: str, type_: str, node_id: str | None = None) -> list[Message]:
        """The events of an execution up to one of a type, of one node where it is named."""
        seen = []
        for event in self.follow(id_):
            seen.append(event)
            if event["type"] == type_ and node_id in (None, event["payload"].get("nodeId")):
                return seen
        raise AssertionError(f"{id_} has ended without {type_} of {node_id}: {seen[-1:]}")

    def ends(self, id_: str, status: str = "complete") -> list[Message]:
        """All events of an execution that ends with a status, which is then what everything says of it."""
        events = self.events(id_)
        assert events[-1]["payload"]["status"] == status, f"{id_}: {events[-1]}"
        assert self.status(id_) == status
        return events

    def listed(self) -> dict[str, str]:
        """The status of each execution in the list."""
        answer = self.http.get("/api/executions")
        assert answer.status_code == 200, answer.text
        return {one["promptId"]: one["status"] for part in answer.json().values() for one in part}

    def interrupt(self, id_: str) -> httpx2.Response:
        """Stop an execution."""
        return self.http.delete(f"/api/interrupt/{id_}")

    def answer(self, id_: str, node_id: str, value: Any) -> httpx2.Response:
        """Answer a node that waits."""
        return self.http.post(f"/api/prompt/{id_}/nodes/{node_id}/input", json={"value": value})

    @contextmanager
    def socket(self) -> Iterator[Line]:
        """Open a socket."""
        url = self.url.replace("http", "ws", 1) + "/ws"
        with connect(url, additional_headers={USER: self.name}, max_size=None, proxy=None, ping_interval=None) as opened:
            yield Line(opened)


@contextmanager
def patron(url: str, name: str) -> Iterator[Patron]:
    """A user, on a front."""
    with httpx2.Client(base_url=url, headers={USER: name}, timeout=PATIENCE_S, trust_env=False) as http:
        yield Patron(name, url, http)


def is_end(message: Message) -> bool:
    """Whether an execution has ended with it, for good: a stop of the server lets it go on at the next start."""
    return is_final(message) and message["payload"].get("errorInfo", {}).get("type") != SHUTDOWN


def numbers(events: list[Message]) -> list[int]:
    """The number of each event."""
    return [event["payload"]["seq"] for event in events]


def complete(events: list[Message]) -> list[str]:
    """The nodes that have completed by these events."""
    return [event["payload"]["nodeId"] for event in events if event["type"] == "NODE_COMPLETE"]
