"""What is recorded, read: pages of executions, one with its results, its events, and what of it need not run again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec
import structlog
from tortoise.expressions import Q

from tavernkeep import ApiError, UserContext
from tavernkeep.contracts.events import (
    INTERFACE_OUTPUTS,
    Event,
    NodeAnswered,
    NodeBypassed,
    NodeComplete,
    NodeError,
    NodeExecuting,
    NodeRetrying,
    NodeSkipped,
    NodeYield,
    told_before,
)
from tavernkeep.contracts.execution import (
    Continuation,
    EventsLost,
    ExecutionDetail,
    ExecutionInfo,
    ExecutionStatus,
    NodeStatus,
    Recorded,
    Refused,
    Scheduler,
    Submission,
)
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep_history.models import EventBlock, ExecutionRow
from tavernkeep_history.packing import messages_of
from tavernkeep_history.writing import payload_of
from tavernkeep_secrets.contracts import Secrets

_log = structlog.get_logger(__name__)

_MOST_STARTS: Final = 3
_AT_ONCE: Final = 50  # blocks; each is of one commit, so most are small


@attrs.frozen
class Archive:
    """See `tavernkeep.contracts.execution.ExecutionArchive`."""

    secrets: Secrets
    scheduler: Callable[[], Scheduler]

    async def find(self, execution_id: str, user: UserContext) -> ExecutionRow | None:
        """The row of an execution that the user may see."""
        row = await ExecutionRow.get_or_none(id=execution_id)
        return row if row and (user.is_admin or row.user_id == user.uid) else None

    async def page(self, wanted: Q, limit: int) -> list[ExecutionRow]:
        """The latest executions that fit."""
        return await ExecutionRow.filter(wanted).limit(limit)

    async def recent(self, user: UserContext, most: int) -> list[ExecutionInfo]:
        """See `ExecutionArchive`."""
        mine = Q() if user.is_admin else Q(user_id=user.uid)
        ended = Q(status__in=[status.value for status in ExecutionStatus if status.is_final])
        return [_info_of(row) for row in await self.page(mine & ended, most)]

    async def info(self, execution_id: str, user: UserContext) -> ExecutionInfo | None:
        """See `ExecutionArchive`."""
        row = await self.find(execution_id, user)
        return _info_of(row) if row else None

    async def detail(self, execution_id: str, user: UserContext) -> ExecutionDetail | None:
        """See `ExecutionArchive`."""
        row = await self.find(execution_id, user)
        return await self.detail_of(row) if row else None

    async def detail_of(self, row: ExecutionRow) -> ExecutionDetail:
        """An execution with its results, as its events tell them."""
        payload = await self.payload_of(row)
        nodes = {node.id: NodeStatus("pending") for node in payload.nodes}
        outputs: dict[str, Any] = {}
        async for block in self.blocks(row.id):
            for event in await asyncio.to_thread(_events_of, block):
                match event:
                    case NodeComplete(node_id=node_id) if node_id == INTERFACE_OUTPUTS:
                        outputs = dict(event.output)
                    case NodeExecuting() | NodeComplete() | NodeError() | NodeSkipped() | NodeBypassed() if event.node_id in nodes:
                        nodes[event.node_id] = _status_after(event)
        return ExecutionDetail(
            prompt_id=row.id,
            status=ExecutionStatus(row.status),
            submitted_at=row.submitted_at,
            node_status=nodes if row.started_at is not None else {},
            outputs=outputs,
            warnings=row.warnings,
            metadata=payload.metadata,
            workflow_name=row.workflow_name,
            started_at=row.started_at,
            completed_at=row.completed_at,
            duration_ms=None if row.started_at is None or row.completed_at is None else row.completed_at - row.started_at,
            error_info=row.error_info,
        )

    async def events_after(self, execution_id: str, user: UserContext, seq: int) -> list[Event] | None:
        """See `ExecutionArchive`."""
        row = await self.find(execution_id, user)
        if row is None:
            return None
        if not row.complete:
            raise EventsLost(f"not all events of execution {execution_id} were recorded: there were too many")
        found: list[Event] = []
        async for block in self.blocks(row.id, seq):
            found += [event for event in await asyncio.to_thread(_events_of, block) if event.seq > seq]
        if found and 0 < seq < found[0].seq - 1 and not await EventBlock.exists(execution_id=row.id, first_seq__lte=seq, last_seq__gte=seq):
            raise EventsLost(f"event {seq} of execution {execution_id} was not recorded before the server ended; start over")
        return found

    async def messages(self, execution_id: str, after: int = 0) -> AsyncIterator[list[dict[str, Any]]]:
        """The messages with a higher number, in order, some at a time."""
        async for block in self.blocks(execution_id, after):
            yield [message for message in await asyncio.to_thread(messages_of, block.lines) if message["payload"]["seq"] > after]

    async def blocks(self, execution_id: str, after: int = 0) -> AsyncIterator[EventBlock]:
        """The blocks that hold the events with a higher number, one at a time."""
        while True:
            some = await EventBlock.filter(execution_id=execution_id, last_seq__gt=after).order_by("last_seq").limit(_AT_ONCE)
            for block in some:
                yield block
                after = block.last_seq
            if len(some) < _AT_ONCE:
                return

    async def payload_of(self, row: ExecutionRow) -> WorkflowPayload:
        """What was submitted.

        Raises:
            ApiError: 503, it was sealed with another key.
        """
        return await asyncio.to_thread(payload_of, row, self.secrets)

    async def recorded(self, row: ExecutionRow) -> tuple[dict[str, Recorded], dict[str, list[Any]]]:
        """What the nodes gave that completed, where it is all there and as it was; and what people answered to those that did not."""
        found: dict[str, Recorded] = {}
        answers: dict[str, list[Any]] = {}
        chunks: dict[str, list[Mapping[str, Any]] | None] = {}
        async for block in self.blocks(row.id):
            inexact = set(block.inexact)
            for event in await asyncio.to_thread(_events_of, block):
                exact = event.seq not in inexact
                match event:
                    case NodeExecuting():
                        chunks[event.node_id] = [] if row.complete else None
                        found.pop(event.node_id, None)
                    case NodeAnswered():
                        answers.setdefault(event.node_id, []).append(event.value)
                    case NodeError():
                        answers.pop(event.node_id, None)
                    case NodeRetrying():
                        answers.pop(event.node_id, None)
                        chunks[event.node_id] = [] if row.complete else None
                    case NodeYield() if (kept := chunks.get(event.source_node_id)) is not None:
                        if exact:
                            kept.append(event.yielded_content)
                        else:
                            chunks[event.source_node_id] = None
                    case NodeComplete():
                        answers.pop(event.node_id, None)
                        kept = chunks.pop(event.node_id, None)
                        if exact and kept is not None:
                            found[event.node_id] = Recorded(dict(event.output), kept, event.not_taken or ())
        return found, answers

    # Running again

    async def submit_again(self, row: ExecutionRow, user: UserContext, *, resume: bool) -> str:
        """Run what an execution ran, as another one; gives its id.

        Args:
            resume: Without the nodes that completed.

        Raises:
            Refused: It cannot be run, or there is no room.
        """
        recorded = (await self.recorded(row))[0] if resume else {}
        payload = attrs.evolve(await self.payload_of(row), request_id=None)  # of the other execution
        return await self.scheduler().submit(Submission(payload, user, recorded=recorded))

    async def interrupted(self) -> list[str]:
        """The executions that the end of the server interrupted, the oldest first; asked before anything new is taken."""
        found = ExecutionRow.filter(status__in=["queued", "running"]).order_by("submitted_at", "id")
        return [str(id_) for id_ in await found.values_list("id", flat=True)]

    async def go_on(self, execution_ids: Sequence[str], *, resume: bool) -> None:
        """Go on with what the end of the server interrupted; or (without `resume`) note that nobody will."""
        for execution_id in execution_ids:
            row = await ExecutionRow.get_or_none(id=execution_id)
            if row is None:
                continue
            try:
                if not resume:
                    await self._give_up(row, "The server was stopped in the middle of it.")
                    continue
                await self._go_on_with(row)
            except (Refused, ApiError, msgspec.ValidationError) as error:
                await self._give_up(row, f"The server was stopped, and the execution cannot go on: {error}")

    async def _go_on_with(self, row: ExecutionRow) -> None:
        if row.starts >= _MOST_STARTS:
            await self._give_up(row, f"The server ended {row.starts} times in the middle of it.")
            return
        payload, (recorded, answers) = await self.payload_of(row), await self.recorded(row)
        await ExecutionRow.filter(id=row.id).update(starts=row.starts + 1)
        # One more than was reserved: a client that saw the last of these before the end sees that there is a hole behind it.
        last_seq = max(row.last_seq, row.reserved_seq + 1) if row.reserved_seq else row.last_seq
        continues = Continuation(row.id, last_seq, row.submitted_at)
        await self.scheduler().submit(Submission(payload, _user_of(row), recorded=recorded, answers=answers, continues=continues))
        _log.info("goes on with an execution", execution=row.id, nodes_done=len(recorded))

    async def _give_up(self, row: ExecutionRow, why: str) -> None:
        _log.warning("an execution is given up", execution=row.id, reason=why)
        await ExecutionRow.filter(id=row.id).update(status=ExecutionStatus.ERROR.value, error_info={"message": why})


def _user_of(row: ExecutionRow) -> UserContext:
    return UserContext(row.user_id, row.user["username"], row.user["isAdmin"], frozenset(row.user["scopes"]))


def _info_of(row: ExecutionRow) -> ExecutionInfo:
    return ExecutionInfo(row.id, ExecutionStatus(row.status), row.submitted_at, row.workflow_name, row.started_at, row.completed_at)


def _events_of(block: EventBlock) -> list[Event]:
    return [told_before(message["type"], message["payload"]) for message in messages_of(block.lines)]


def _status_after(event: NodeExecuting | NodeComplete | NodeError | NodeSkipped | NodeBypassed) -> NodeStatus:
    match event:
        case NodeExecuting():
            return NodeStatus("executing")
        case NodeComplete():
            return NodeStatus("complete", dict(event.output))
        case NodeError():
            return NodeStatus("error", error=dict(event.error_details))
        case NodeSkipped():
            return NodeStatus("skipped")
        case NodeBypassed():
            return NodeStatus("bypassed", dict(event.pseudo_outputs))
