"""What is remembered of an execution that has ended: packed, so that it is known to the byte, and the garbage collector passes it over."""

import asyncio
import io
import itertools
import pickle  # nosec B403
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import attrs

from tavernkeep.contracts.auth import UserContext
from tavernkeep.contracts.events import Event, told_before
from tavernkeep.contracts.execution import EventsLost, ExecutionDetail, ExecutionInfo, NodeStatus
from tavernkeep.wire import dumps, loads
from tavernkeep_engine.run.keeping import trimmed
from tavernkeep_engine.run.values import size_of
from tavernkeep_engine.schedule.execution import Execution

T = TypeVar("T")

_TAIL: Final = 64 * 1024  # bytes of events beside an archive, for who comes back at once
_AT_ONCE: Final = 256 * 1024  # bytes; for more of them the event loop does not wait
_BESIDE: Final = 1000  # bytes that one takes beside what is packed, roughly


@attrs.frozen(eq=False)
class Ended:
    """One that has ended, and whose end was told.

    Attributes:
        shown: As lists show it.
        events: The messages of its last events, a line each.
        first_seq: The number of the first of them, or of the one after the last.
        results: What came of it; `None` where an archive has that.
    """

    shown: ExecutionInfo
    uid: str
    first_seq: int
    events: bytes = attrs.field(repr=False)
    results: bytes | None = attrs.field(repr=False)

    @classmethod
    def archived(cls, execution: Execution) -> "Ended":
        """Of an execution of which an archive has everything: its line in the list, and a tail of its events."""
        first_seq, events = _lines(execution, _TAIL, _TAIL)
        return cls(execution.info(), execution.user.uid, first_seq, events, None)

    @classmethod
    def whole(cls, execution: Execution, room: int, most: int) -> "Ended":
        """Of an execution of which nobody else has anything; from any thread.

        Args:
            room: How many bytes its events may take.
            most: How many bytes of one output are kept.
        """
        first_seq, events = _lines(execution, room, most)
        return cls(execution.info(), execution.user.uid, first_seq, events, _packed(execution.detail(), most))

    @property
    def id(self) -> str:
        """That of the execution."""
        return self.shown.prompt_id

    @property
    def size(self) -> int:
        """What it takes, in bytes."""
        return _BESIDE + len(self.events) + len(self.results or b"")

    def info(self) -> ExecutionInfo:
        """The execution as lists show it."""
        return self.shown

    def may_be_seen_by(self, user: UserContext) -> bool:
        """Whether it is the user's own, or the user an administrator."""
        return user.is_admin or user.uid == self.uid

    def detail(self) -> ExecutionDetail | None:
        """The execution with its results; from any thread. `None` where an archive has them."""
        return None if self.results is None else _unpacked(self.results)

    def after(self, seq: int | None, limit: int | None = None) -> list[Event]:
        """The events with a higher number than one, none for no number; from any thread.

        Args:
            limit: How many at most.

        Raises:
            EventsLost: Some of them are no longer kept.
        """
        if seq is None:
            return []
        if seq + 1 < self.first_seq:
            raise EventsLost(f"the events before number {self.first_seq} are no longer remembered", self.first_seq)
        lines = itertools.islice(self.events.splitlines(), seq + 1 - self.first_seq, None)
        return [told_before(message["type"], message["payload"]) for message in map(loads, itertools.islice(lines, limit))]


async def off_the_loop(work: Callable[[], T], size: int) -> T:
    """Pack or unpack so many bytes: at once, or where they are many in a thread."""
    return work() if size < _AT_ONCE else await asyncio.to_thread(work)


def _lines(execution: Execution, room: int, most: int) -> tuple[int, bytes]:
    """The last events for which there is room, and the number of the first of them."""
    lines: list[bytes] = []
    first_seq = execution.last_told + 1
    for event in reversed(tuple(execution.log.events)):
        if max(map(size_of, event.payload.values()), default=0) > most:
            break
        line = event.json()
        room -= len(line) + 1
        if room < 0:
            break
        lines.append(line)
        first_seq = event.seq
    return first_seq, b"\n".join(reversed(lines))


def _packed(detail: ExecutionDetail, most: int) -> bytes:
    """A detail in as many pieces as there are nodes: each is packed at once, and holds up all other threads meanwhile."""
    packed = io.BytesIO()
    pack = pickle.Pickler(packed, pickle.HIGHEST_PROTOCOL)
    # What a client sent along may be nested more deeply than can be pickled.
    pack.dump(attrs.evolve(detail, node_status={}, outputs=trimmed(detail.outputs, most), metadata={}))
    pack.dump(dumps(detail.metadata))
    for node_id, status in detail.node_status.items():
        pack.dump((node_id, status if status.output is None else attrs.evolve(status, output=trimmed(status.output, most))))
    return packed.getvalue()


def _unpacked(packed: bytes) -> ExecutionDetail:
    unpack = pickle.Unpickler(io.BytesIO(packed))  # noqa: S301 - this process has packed it, and only ever held it  # nosec B301
    detail: ExecutionDetail = unpack.load()
    metadata: dict[str, Any] = loads(unpack.load())
    return attrs.evolve(detail, metadata=metadata, node_status=dict(_rest(unpack)))


def _rest(unpack: pickle.Unpickler) -> Iterable[tuple[str, NodeStatus]]:
    while True:
        try:
            yield unpack.load()
        except EOFError:
            return
