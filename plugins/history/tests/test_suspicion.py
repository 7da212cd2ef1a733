"""Whom the end of a process is blamed on."""

from collections.abc import AsyncIterator, Sequence

import pytest

from tavernkeep.contracts.events import Event, NodeAnswered, NodeComplete, NodeExecuting, NodeWaiting, StatusUpdate
from tavernkeep.contracts.execution import ExecutionStatus
from tavernkeep_history.recall import AtWork, at_work

QUEUED, RUNNING, STOPPED = (
    StatusUpdate(status) for status in (ExecutionStatus.QUEUED, ExecutionStatus.RUNNING, ExecutionStatus.INTERRUPTED)
)
A, B = NodeExecuting("a"), NodeExecuting("b")
INNER, INNER_ASKS, INNER_ANSWERED = NodeExecuting("a/inner"), NodeWaiting("a/inner", {}), NodeAnswered("a/inner")
ASKS, ANSWERED, DONE = NodeWaiting("a", {}), NodeAnswered("a"), NodeComplete("a", {})


async def pieces(events: Sequence[Event]) -> AsyncIterator[tuple[Sequence[Event], frozenset[int]]]:
    for event in events:
        yield [event], frozenset()


@pytest.mark.parametrize(
    ("events", "nodes", "is_suspect"),
    [
        ([RUNNING, A, B, DONE], ["b"], True),
        ([RUNNING, A, DONE], [], False),
        ([RUNNING, A, ASKS], [], False),
        ([RUNNING, A, ASKS, ANSWERED], ["a"], True),
        ([QUEUED], [], False),
        ([QUEUED, RUNNING], [], True),
        ([RUNNING, A, QUEUED], [], False),
        ([RUNNING, A, QUEUED, QUEUED, RUNNING], ["a"], True),
        ([RUNNING, A, STOPPED, QUEUED, RUNNING, A, DONE], [], False),
        ([RUNNING, A, ASKS, QUEUED, RUNNING], [], False),
        ([RUNNING, A, INNER, INNER_ASKS], [], False),
        ([RUNNING, A, INNER, INNER_ASKS, QUEUED, RUNNING], [], False),
        ([RUNNING, A, INNER, INNER_ASKS, B], ["b"], True),
        ([RUNNING, A, INNER, INNER_ASKS, INNER_ANSWERED], ["a", "a/inner"], True),
    ],
    ids=[
        "at work",
        "between two nodes",
        "asking",
        "answered",
        "never begun",
        "begun, and nothing known since",
        "not begun again",
        "begun again, with what was at work before",
        "at work before, and done since",
        "asking before",
        "a group in which a node asks",
        "a group in which a node asked before",
        "beside a group in which a node asks",
        "a group in which a node was answered",
    ],
)
async def test_who_is_suspected(events: Sequence[Event], nodes: Sequence[str], is_suspect: bool) -> None:
    """Of its last life alone: one in which it only waited says nothing against it, whatever was at work before."""
    assert await at_work(pieces(events)) == AtWork(list(nodes), is_suspect)
