"""The journal: nothing is told that is not kept, and what stands in its way stands in nobody else's."""

import asyncio
import gc
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_asyncio
from tortoise import Tortoise

from support.house import GATES, House, recording, started, workflow
from tavernkeep.contracts.events import Event, NodeAnswered, NodeComplete, NodeExecuting, NodeWaiting, Notice, StatusUpdate
from tavernkeep.contracts.execution import EventsLost, ExecutionArchive, RefusalReason, Refused, Submission
from tavernkeep.contracts.storage import Unavailable
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep.wire import structure
from tavernkeep_history import writing
from tavernkeep_history.models import EventBlock, ExecutionRow

CONFIG = '{"storage": {"sqlite": {"busyTimeoutS": 0.01}}, "engine": {"shutdownGraceS": 0}}'


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    GATES.clear()
    house = await started(tmp_path, CONFIG)
    yield house
    await house.app.stop()


async def pragma(text: str) -> Any:
    return (await Tortoise.get_connection("default").execute_query_dict(f"PRAGMA {text}"))[:1]


# Accept after commit, tell after commit


async def test_what_is_told_is_in_the_database(house: House) -> None:
    """At the moment of telling: the row at the acceptance, and each event, read through a connection of its own."""
    file = house.app.config.data / "tavernkeep.sqlite3"
    other = sqlite3.connect(file)
    seen: list[tuple[int, int]] = []

    def look(event: Event) -> None:
        if event.execution_id:
            row = other.execute("SELECT last_seq FROM executions WHERE id = ?", [event.execution_id]).fetchone()
            seen.append((event.seq, row[0]))

    accepted: list[bool] = []

    def on_accepted(execution_id: str) -> None:
        accepted.append(other.execute("SELECT 1 FROM executions WHERE id = ?", [execution_id]).fetchone() is not None)
        assert not house.of(execution_id)

    house.app.events.add_sink(look)
    GATES["a"] = asyncio.Event()
    id_ = await house.scheduler.submit(Submission(workflow("a"), house.user, on_accepted))
    GATES["a"].set()
    await house.ended(id_)
    other.close()
    assert accepted == [True]
    assert seen
    assert all(number <= last for number, last in seen)
    assert [event.seq for event in house.of(id_)] == list(range(1, len(seen) + 1))


async def test_a_small_workflow_costs_one_commit(house: House) -> None:
    """Of acceptance and end; a chain of 500 a handful."""
    text = {"fullType": "core:TextMerge", "inputs": {"text_inputs": ["x"]}}
    await house.journal.flush()
    before = house.journal.stats().commits
    payload = structure({"nodes": [{"id": f"n{i}", **text} for i in range(3)], "edges": []}, WorkflowPayload)
    await house.ended(await house.scheduler.submit(Submission(payload, house.user)))
    assert house.journal.stats().commits - before == 1
    edges = [
        {"sourceNodeId": f"n{i}", "sourceHandle": "merged_text", "targetNodeId": f"n{i + 1}", "targetHandle": "text_inputs__0"}
        for i in range(499)
    ]
    payload = structure({"nodes": [{"id": f"n{i}", **text} for i in range(500)], "edges": edges}, WorkflowPayload)
    await house.ended(await house.scheduler.submit(Submission(payload, house.user)))
    assert house.journal.stats().commits - before < 20


async def test_the_database_waits_for_the_disk(house: House) -> None:
    """Every commit is on the disk before it is one: `synchronous` is FULL, in WAL mode."""
    assert [*(await pragma("synchronous"))[0].values()] == [2]
    assert [*(await pragma("journal_mode"))[0].values()] == ["wal"]


@contextmanager
def locked(house: House) -> Iterator[None]:
    """Another process holds the database."""
    other = sqlite3.connect(house.app.config.data / "tavernkeep.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


async def test_nothing_is_shown_that_is_not_kept(house: House) -> None:
    """While it cannot be written a node that has completed is not shown so, not in the detail, the lists or the events; then it is."""
    id_ = await house.submit("a", "b")
    await house.until(lambda event: isinstance(event, NodeExecuting) and event.node_id == "b")
    with locked(house):
        GATES["a"].set()
        GATES["b"].set()
        await house.until(recording(False))
        detail = await house.scheduler.detail(id_, house.user)
        assert detail is not None
        assert (detail.status, detail.completed_at, {node.status for node in detail.node_status.values()}) == (
            "running",
            None,
            {"executing"},
        )
        assert [info.status for info in await house.scheduler.executions(house.user)] == ["running"]
        assert await house.scheduler.recent(house.user) == []
        after = await house.scheduler.events_after(id_, house.user, 0)
        assert after == house.of(id_)
    await house.ended(id_)
    detail = await house.scheduler.detail(id_, house.user)
    assert detail is not None
    assert (detail.status, {node.status for node in detail.node_status.values()}) == ("complete", {"complete"})
    archived = await house.app.services.get(ExecutionArchive).events_after(id_, house.user, 0)
    assert [event.json() for event in archived or ()] == [event.json() for event in house.of(id_)]
    assert [event.seq for event in house.of(id_)] == list(range(1, len(house.of(id_)) + 1))


# Faults


@contextmanager
def taken_away(house: House) -> Iterator[None]:
    """The file is not where it was, and another in its place."""
    file = house.app.config.data / "tavernkeep.sqlite3"
    file.rename(file.with_suffix(".away"))
    file.touch()
    try:
        yield
    finally:
        file.with_suffix(".away").rename(file)


async def full(on: bool) -> None:
    await pragma(f"max_page_count = {1 if on else 1_000_000_000}")  # it cannot be less than there are, and then nothing more fits


async def read_only(on: bool) -> None:
    await pragma(f"query_only = {'ON' if on else 'OFF'}")


FAULTS = {"locked": locked, "gone": taken_away, "full": full, "read-only": read_only}


@pytest.mark.parametrize("fault", FAULTS)
async def test_while_nothing_can_be_written(house: House, fault: str) -> None:
    """What is new is refused with the reason, of which nothing is left; what runs goes on; all are told; then it goes on by itself."""
    id_ = await house.submit("a")
    await house.until(lambda event: isinstance(event, NodeExecuting))
    make: Any = FAULTS[fault]
    around = None if asyncio.iscoroutinefunction(make) else make(house)
    if around is None:
        await make(True)
    else:
        around.__enter__()
    heard: list[str] = []
    big = {"metadata": {"workflowName": "x" * 200_000 + fault}}  # more than there is room for in what was given back
    with pytest.raises(Refused) as refused:
        await house.scheduler.submit(Submission(workflow("b", **big), house.user, heard.append))
    assert refused.value.reason is RefusalReason.UNRECORDED
    await house.until(recording(False))
    with pytest.raises(Refused) as refused:
        await house.submit("c")
    assert "c" not in GATES, "it is refused before it begins"
    assert house.journal.problem is not None
    assert house.journal.problem in str(refused.value)
    failed = {plugin.name: str(error) async for plugin, error, _ in house.app.plugins.agather("health", app=house.app) if error}
    assert failed["history"] == house.journal.problem
    if around is None:
        await make(False)
    else:
        around.__exit__(None, None, None)
    GATES["a"].set()
    end = await house.ended(id_)
    assert end.payload["status"] == "complete"
    await house.until(recording(True))
    GATES.setdefault("b", asyncio.Event()).set()
    again = await house.submit("b")
    await house.ended(again)
    assert heard == []
    assert {row.id for row in await ExecutionRow.all()} == {id_, again}
    assert {event.execution_id for event in house.told} == {"", id_, again}


async def test_an_event_that_cannot_be_packed_costs_its_own_execution_only(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again, and then ends in an error that says so; the others of its batch are written and told, and all goes on."""
    good, bad = await house.submit("a"), await house.submit("b")
    real = writing.message_of

    def message_of(event: Event, most: int) -> bytes:
        if event.execution_id == bad and isinstance(event, NodeComplete):
            raise ValueError("made to fail")
        return real(event, most)

    monkeypatch.setattr(writing, "message_of", message_of)
    GATES["a"].set()
    GATES["b"].set()
    assert (await house.ended(good)).payload["status"] == "complete"
    end = await house.ended(bad)
    assert end.payload["status"] == "error"
    assert "cannot be recorded" in end.payload["errorInfo"]["message"]
    assert not [event for event in house.of(bad) if isinstance(event, NodeComplete)]
    assert house.journal.problem is None
    row = await ExecutionRow.get(id=bad)
    assert (row.status, row.complete) == ("error", False)
    assert (await house.scheduler.interrupt(bad, house.user)).value == "finished"
    GATES.setdefault("c", asyncio.Event()).set()
    assert (await house.ended(await house.submit("c"))).payload["status"] == "complete"


@pytest.mark.parametrize("what", ["its events", "anything"])
async def test_an_end_that_cannot_be_recorded_is_not_told(house: House, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Who was told of it would see it run again after the next start: it is tried until it is possible, if need be without its event."""
    bad = await house.submit("a")
    real_message, real_write, tried, possible = writing.message_of, writing.Writer.write, [], False

    def message_of(event: Event, most: int) -> bytes:
        if what == "its events" and event.execution_id == bad:
            raise ValueError("made to fail")
        return real_message(event, most)

    async def write(self: writing.Writer, entries: Sequence[writing.Entry]) -> None:
        if what == "anything" and not possible and (failing := [entry for entry in entries if entry.execution_id == bad]):
            tried.extend(failing)
            raise ValueError("made to fail")
        await real_write(self, entries)

    monkeypatch.setattr(writing, "message_of", message_of)
    monkeypatch.setattr(writing.Writer, "write", write)
    monkeypatch.setattr("tavernkeep_history.outcomes._REST_S", 0)
    GATES["a"].set()
    if what == "anything":
        async with asyncio.timeout(30):
            while len(tried) < 10:
                await asyncio.sleep(0)
        assert not [event for event in house.of(bad) if isinstance(event, StatusUpdate) and event.status.is_final]
        info = await house.scheduler.info(bad, house.user)
        assert info is not None
        assert not info.status.is_final
        possible = True
    end = await house.ended(bad)
    assert end.payload["status"] == "error"
    row = await ExecutionRow.get(id=bad)
    assert (row.status, row.complete) == ("error", False)
    assert row.completed_at is not None


async def test_one_that_cannot_be_sealed_is_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone; who submitted it is told, and another in the same batch is taken."""
    real = writing._encode
    monkeypatch.setattr(writing, "_encode", lambda payload: 1 / 0 if payload.metadata.get("bad") else real(payload))
    ids = await asyncio.gather(house.submit("a"), house.submit("b", metadata={"bad": True}), return_exceptions=True)
    assert isinstance(ids[0], str)
    assert isinstance(ids[1], Refused)
    assert [info.prompt_id for info in await house.scheduler.executions(house.user)] == [ids[0]]
    assert [row.id for row in await ExecutionRow.all()] == [ids[0]]


async def test_what_waits_is_bounded(tmp_path: Path) -> None:
    """While nothing can be written the execution of which most waits is ended; the other goes on."""
    GATES.clear()
    config = CONFIG[:-1] + ', "history": {"maxWaitingBytes": 20000}}'
    house = await started(tmp_path, config)
    try:
        small, large = await house.submit("a"), await house.submit(*(f"n{i}" for i in range(100)))
        await house.until(lambda event: isinstance(event, NodeExecuting) and event.node_id == "n60")
        with locked(house):
            GATES["a"].set()
            for i in range(60):
                GATES[f"n{i}"].set()
            await house.until(recording(False))
            failed = house.journal.stats().failed
            while house.journal.stats().failed < failed + 2:
                await asyncio.sleep(0)
            assert house.journal.stats().waiting_bytes <= 20_000
        assert (await house.ended(small)).payload["status"] == "complete"
        end = await house.ended(large)
        assert "Too much" in end.payload["errorInfo"]["message"]
    finally:
        await house.app.stop()


async def test_a_commit_that_fails_and_has_happened_is_not_written_twice(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The events are recorded once, and told once."""
    id_ = await house.submit("a")
    await house.until(lambda event: isinstance(event, NodeExecuting))
    real = writing.Writer.write
    failed: list[int] = []

    async def write(self: writing.Writer, entries: Any) -> None:
        await real(self, entries)
        if not failed:
            failed.append(1)
            raise Unavailable("gone", "made to fail")

    monkeypatch.setattr(writing.Writer, "write", write)
    GATES["a"].set()
    await house.ended(id_)
    archived = await house.app.services.get(ExecutionArchive).events_after(id_, house.user, 0)
    assert failed
    assert [event.seq for event in archived or ()] == [event.seq for event in house.of(id_)] == list(range(1, len(house.of(id_)) + 1))


async def test_what_cannot_be_written_is_there_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is tried: no attempt leaves what it made ready behind, in a circle that stays until all is looked through."""
    monkeypatch.setattr("tavernkeep_history.committing._RETRY_S", 0)
    id_ = await house.submit("a")
    await house.until(lambda event: isinstance(event, NodeExecuting))
    gc.collect()
    gc.disable()
    try:
        with monkeypatch.context() as broken:

            async def write(self: writing.Writer, entries: Any) -> None:
                raise Unavailable("gone", "made to fail")

            broken.setattr(writing.Writer, "write", write)
            GATES["a"].set()
            while house.journal.stats().failed < 5:
                await asyncio.sleep(0)
            assert sum(isinstance(known, writing.Entry) for known in gc.get_objects()) <= 1
    finally:
        gc.enable()
    await house.ended(id_)


# Answers and interrupts


async def test_an_answer_holds(tmp_path: Path) -> None:
    """It is in the database before the answer to who gave it; after the end of the server the node is not asked the same again."""
    house = await started(tmp_path, CONFIG)
    id_ = await house.submit("a", type_="j:Ask")
    await house.until(lambda event: isinstance(event, NodeWaiting))
    other = sqlite3.connect(house.app.config.data / "tavernkeep.sqlite3")
    assert await house.scheduler.answer(id_, "a", {"to": 1}, house.user)
    (answered,) = [event for event in house.of(id_) if isinstance(event, NodeAnswered)]
    assert other.execute("SELECT last_seq FROM executions WHERE id = ?", [id_]).fetchone()[0] >= answered.seq
    other.close()
    await house.until(lambda event: isinstance(event, NodeWaiting) and event.question["question"] == "second")
    await house.app.stop()
    house = await started(tmp_path, CONFIG)
    try:
        question = await house.until(lambda event: isinstance(event, NodeWaiting))
        assert isinstance(question, NodeWaiting)
        assert question.question["question"] == "second"
        assert await house.scheduler.answer(id_, "a", 2, house.user)
        await house.ended(id_)
        detail = await house.scheduler.detail(id_, house.user)
        assert detail is not None
        assert detail.node_status["a"].output == {"said": "{'to': 1} 2"}
    finally:
        await house.app.stop()


async def test_an_interrupt_that_cannot_be_kept_is_no_success(house: House) -> None:
    """Whoever interrupts is told so; it has stopped all the same, and that is told when it can be written."""
    id_ = await house.submit("a")
    with locked(house), pytest.raises(Unavailable):
        await house.scheduler.interrupt(id_, house.user)
    assert (await house.ended(id_)).payload["status"] == "interrupted"
    assert (await ExecutionRow.get(id=id_)).status == "interrupted"


# The same request


async def test_the_same_request_is_the_same_execution(tmp_path: Path) -> None:
    """Both at once, one after the other, and after a restart; of another workflow it is refused, of another user it is another."""
    GATES.clear()
    house = await started(tmp_path, CONFIG)
    ids = await asyncio.gather(*(house.submit("a", requestId="r") for _ in range(5)))
    assert len(set(ids)) == 1
    assert await house.submit("a", requestId="r") == ids[0]
    with pytest.raises(Refused) as refused:
        await house.submit("b", requestId="r")
    assert refused.value.reason is RefusalReason.CONFLICT
    assert await house.submit("a", requestId="s") != ids[0]
    other = attrs.evolve(house.user, uid="other")
    assert await house.scheduler.submit(Submission(workflow("a", requestId="r"), other)) != ids[0]
    await house.app.stop()
    house = await started(tmp_path, CONFIG)
    try:
        assert await house.submit("a", requestId="r") == ids[0]
        await ExecutionRow.filter(id=ids[0]).update(submitted_at=1)
        assert await house.submit("a", requestId="r") != ids[0], "a day has passed"
        assert (await ExecutionRow.get(id=ids[0])).request_id is None
    finally:
        await house.app.stop()


async def test_without_a_history_too(tmp_path: Path) -> None:
    """Then it is remembered in memory, and everything is told at once."""
    GATES.clear()
    house = await started(tmp_path, '{"plugins": {"disabled": ["history"]}, "engine": {"shutdownGraceS": 0}}')
    try:
        ids = await asyncio.gather(*(house.submit("a", requestId="r") for _ in range(3)))
        assert {await house.submit("a", requestId="r"), *ids} == {ids[0]}
    finally:
        await house.app.stop()


# Durability


async def test_relaxed_tells_at_once_and_gives_no_number_twice(tmp_path: Path) -> None:
    """What is told need not be written yet; a second life numbers from beyond what the first may have told."""
    GATES.clear()
    config = CONFIG[:-1] + ', "history": {"durability": "relaxed"}}'
    house = await started(tmp_path, config)
    id_ = await house.submit("a", "b")
    await house.until(lambda event: isinstance(event, NodeExecuting) and event.node_id == "b")
    with locked(house):
        GATES["a"].set()
        seen = await house.until(lambda event: isinstance(event, NodeComplete))
        row = (
            sqlite3.connect(house.app.config.data / "tavernkeep.sqlite3")
            .execute("SELECT last_seq, reserved_seq FROM executions")
            .fetchone()
        )
        assert row[0] < seen.seq <= row[1]
        house.app.events.keep(None)  # the server ends here: what is not written by now never is
        tasks = house.journal._tasks  # type: ignore[attr-defined]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    last = max(event.seq for event in house.of(id_))
    await house.app.stop()
    GATES.clear()
    house = await started(tmp_path, config)
    try:
        first = await house.until(lambda event: event.execution_id == id_)
        assert first.seq > last
        archive = house.app.services.get(ExecutionArchive)
        await house.until(lambda event: isinstance(event, NodeExecuting))

        async def look() -> None:
            while await archive.events_after(id_, house.user, last) == []:
                await asyncio.sleep(0)

        with pytest.raises(EventsLost, match="start over"):
            await look()
    finally:
        await house.app.stop()


async def test_off_records_nothing(tmp_path: Path) -> None:
    """Everything is told at once, and nothing is kept."""
    GATES.clear()
    house = await started(tmp_path, '{"history": {"durability": "off"}, "engine": {"shutdownGraceS": 0}}')
    try:
        id_ = await house.submit("a")
        GATES.setdefault("a", asyncio.Event()).set()
        await house.ended(id_)
        assert await ExecutionRow.all().count() + await EventBlock.all().count() == 0
        assert not [event for event in house.told if isinstance(event, Notice) and event.type == "SYSTEM_RECORDING_UPDATE"]
    finally:
        await house.app.stop()
