"""Running again what an execution ran: all of it, what it did not complete, or what comes from a node on."""

import itertools
from collections.abc import Iterable

import attrs

from tavernkeep import ApiError, UserContext
from tavernkeep.contracts.auth import AuthProvider
from tavernkeep.contracts.execution import EXECUTE, ExecutionStatus, Recall, Submission
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep.wire import Invalid, Problem
from tavernkeep_history.archive import Archive, user_of
from tavernkeep_history.models import ExecutionRow


@attrs.frozen
class RunningAgain:
    """Makes submissions of recorded executions.

    Whoever asks, an execution runs with the rights of whose it is: what somebody's workflow does is theirs to answer for, and an
    administrator's rights are not lent to it.
    """

    archive: Archive
    auth: AuthProvider

    async def rerun(self, row: ExecutionRow, caller: UserContext | None, beginning: str | None = None) -> Submission:
        """The same workflow with the same inputs.

        Args:
            caller: Who asks; `None` for the operator.
            beginning: A node before which all nodes give what they gave; it and what depends on it run anew.

        Raises:
            ApiError: 409, its user may not run it any more, something of it is damaged, or (with `beginning`) it has not ended.
            Invalid: It has no such node.
        """
        if beginning is None:
            return Submission(await self._payload(row), await self._user(row, caller))
        return await self._submission(row, caller, beginning)

    async def resume(self, row: ExecutionRow, caller: UserContext | None, beginning: str | None = None) -> Submission:
        """The same workflow, in which nodes that had completed give what they gave.

        Args:
            caller: Who asks; `None` for the operator.
            beginning: A node that runs anew all the same, and what depends on it.

        Raises:
            ApiError: As for `rerun`; or 409, it is complete, and nothing is to run anew.
            Invalid: It has no such node.
        """
        if beginning is None and row.stands is ExecutionStatus.COMPLETE:
            raise ApiError(409, f"Execution {row.id} is complete: there is nothing left to do.")
        return await self._submission(row, caller, beginning)

    async def _submission(self, row: ExecutionRow, caller: UserContext | None, beginning: str | None) -> Submission:
        if not row.stands.is_final:
            raise ApiError(409, f"Execution {row.id} has not ended.")
        payload, user = await self._payload(row), await self._user(row, caller)
        anew = set() if beginning is None else _from_on(payload, beginning)
        await self.archive.check(row)

        async def recall() -> Recall:
            recorded = (await self.archive.recall(row)).nodes
            return Recall({node_id: given for node_id, given in recorded.items() if anew.isdisjoint(_around(node_id))})

        return Submission(payload, user, recall=recall)

    async def _payload(self, row: ExecutionRow) -> WorkflowPayload:
        return attrs.evolve(await self.archive.payload_of(row), request_id=None)  # of the other execution

    async def _user(self, row: ExecutionRow, caller: UserContext | None) -> UserContext:
        if caller is not None and caller.uid == row.user_id:
            return caller
        user = await self.auth.renew(user_of(row))
        if user is None or not user.may(EXECUTE):
            raise ApiError(409, f"Execution {row.id} is {row.username}'s, who may not run it any more.")
        return user


def _from_on(payload: WorkflowPayload, beginning: str) -> set[str]:
    """A node of a workflow, and all that depend on it.

    Raises:
        Invalid: There is no such node, or it is not asked for.
    """
    if all(node.id != beginning for node in payload.nodes):
        raise Invalid([Problem("from", f"the workflow itself has no node {beginning[:100]!r}; of a node in a group, name the group")])
    if payload.target_node_ids is not None and beginning not in payload.connected(payload.target_node_ids, upstream=True):
        raise Invalid([Problem("from", f"node {beginning[:100]!r} did not run: the execution was for other nodes alone (targetNodeIds)")])
    return payload.connected([beginning], upstream=False)


def _around(node_id: str) -> Iterable[str]:
    """The id of a node, and those of the groups that it is in."""
    return itertools.accumulate(node_id.split("/"), lambda outer, inner: f"{outer}/{inner}")
