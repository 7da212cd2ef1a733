"""What is recorded, read: pages of executions, one with its results, its events, and what of it need not run again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import attrs
import structlog
from tortoise.expressions import Q

from tavernkeep import UserContext
from tavernkeep.contracts.events import (
    INTERFACE_OUTPUTS,
    Event,
    NodeBypassed,
    NodeComplete,
    NodeError,
    NodeExecuting,
    NodeSkipped,
    told_before,
)
from tavernkeep.contracts.execution import (
    EventsLost,
    ExecutionDetail,
    ExecutionInfo,
    ExecutionStatus,
    NodeStatus,
    Recall,
    Scheduler,
    Submission,
)
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep_history.models import EventBlock, ExecutionRow
from tavernkeep_history.packing import messages_of
from tavernkeep_history.recall import Pieces, recalled
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

    async def pieces(self, execution_id: str) -> Pieces:
        """All events, a block at a time."""
        async for block in self.blocks(execution_id):
            yield await asyncio.to_thread(_events_of, block), frozenset(block.inexact)

    async def recall(self, row: ExecutionRow) -> Recall:
        """What need not run again."""
        cut = None if row.cut is None and not row.complete else frozenset(row.cut or ())
        return await recalled(self.pieces(row.id), cut)

    # Running again

    async def submit_again(self, row: ExecutionRow, user: UserContext, *, resume: bool) -> str:
        """Run what an execution ran, as another one; gives its id.

        Args:
            resume: Without the nodes that completed.

        Raises:
            Refused: It cannot be run, or there is no room.
        """

        async def recall() -> Recall:
            return Recall((await self.recall(row)).nodes)

        payload = attrs.evolve(await self.payload_of(row), request_id=None)  # of the other execution
        return await self.scheduler().submit(Submission(payload, user, recall=recall if resume else None))


def user_of(row: ExecutionRow) -> UserContext:
    """Whoever submitted it, as they were then."""
    user = row.user
    return UserContext(row.user_id, user["username"], user["isAdmin"], frozenset(user["scopes"]), credential=user.get("credential", ""))


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
