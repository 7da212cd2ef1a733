"""The HTTP routes of executions."""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from tavernkeep.contracts.auth import UserContext
from tavernkeep.contracts.execution import EXECUTE, ExecutionDetail, Interrupted, Scheduler, Submission, SystemStats
from tavernkeep.contracts.http import ApiError, Request, Response, Route
from tavernkeep.contracts.workflow import StoredWorkflow, WorkflowPayload
from tavernkeep.wire import Invalid, Problem, unstructure
from tavernkeep_engine.bodies import Accepted, Executions, InterruptAnswer, NodeAnswer
from tavernkeep_engine.following import Following, no_execution
from tavernkeep_engine.forms.reading import received

_DIGITS: Final = 18  # no execution has more events than that, and none of them is read without a bound
_UNBUFFERED: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@attrs.frozen
class ExecutionRoutes:
    """The handlers; each does what its route says."""

    scheduler: Scheduler
    following: Following

    def routes(self) -> list[Route]:
        """The HTTP routes of executions."""
        gone = {404: "There is no such execution, or it is somebody else's."}
        return [
            Route(
                "POST",
                "/api/prompt",
                self.prompt,
                EXECUTE,
                takes=WorkflowPayload | StoredWorkflow,
                errors={
                    409: "Another workflow was accepted under the same request id.",
                    422: "The payload cannot be run.",
                    503: "There is no room, or it cannot be recorded.",
                },
            ),
            Route("GET", "/api/prompt/{prompt_id}", self.prompt_detail, EXECUTE, errors=gone),
            Route(
                "POST",
                "/api/prompt/{prompt_id}/nodes/{node_id:path}/input",
                self.node_input,
                EXECUTE,
                errors=gone | {409: "The node does not wait for an answer."},
            ),
            Route(
                "GET",
                "/api/prompt/{prompt_id}/events",
                self.follow,
                EXECUTE,
                errors=gone | {400: "`Last-Event-ID` is no number.", 410: "The events after that one are no longer remembered."},
            ),
            Route("GET", "/api/executions", self.executions, EXECUTE),
            Route("DELETE", "/api/interrupt/{prompt_id}", self.interrupt, EXECUTE, errors=gone),
            Route("GET", "/api/system_stats", self.system_stats, EXECUTE),
        ]

    async def prompt(self, body: Any, request: Request, user: UserContext) -> Accepted | Mapping[str, Any]:
        """Run a workflow, a stored one as well as a payload; answered when it is recorded. With `dryRun`, only check it.

        The same `requestId`, or header `Idempotency-Key`, of the same user gives the same execution for a day.
        """
        payload = await received(body)
        if (key := request.headers.get("idempotency-key")) is not None:
            if payload.request_id not in (None, key):
                raise Invalid([Problem("requestId", "is not the Idempotency-Key; send one of the two")])
            payload = attrs.evolve(payload, request_id=key)
        if payload.dry_run:
            return dict(unstructure(await self.scheduler.check(payload, user)))
        return Accepted(await self.scheduler.submit(Submission(payload, user)), payload.request_id)

    async def node_input(self, prompt_id: str, node_id: str, body: NodeAnswer, user: UserContext) -> None:
        """Answer a node that waits for a person."""
        await answer(self.scheduler, prompt_id, node_id, body.value, user)

    async def prompt_detail(self, prompt_id: str, user: UserContext) -> ExecutionDetail:
        """An execution with its results."""
        detail = await self.scheduler.detail(prompt_id, user)
        if detail is None:
            raise ApiError(404, no_execution(prompt_id))
        return detail

    async def follow(self, prompt_id: str, request: Request, user: UserContext) -> Response | None:
        """The events of an execution as Server-Sent Events, from the first or after `Last-Event-ID`, until it ends."""
        given = request.headers.get("last-event-id", "0")
        if not given.isdecimal() or len(given) > _DIGITS:
            raise ApiError(400, f"Last-Event-ID is no number of an event: {given[:100]!r}.")
        after = int(given)
        if not await self.following.goes_on(prompt_id, user, after):
            return None  # 204: a browser asks no more
        return Response(self.following.stream(prompt_id, user, after), "text/event-stream", headers=_UNBUFFERED)

    async def executions(self, user: UserContext) -> Executions:
        """The executions that run or wait, and the last that ended."""
        found = await self.scheduler.executions(user)
        return Executions(
            running=[info for info in found if info.status == "running"],
            pending=[info for info in found if info.status == "queued"],
            recent=await self.scheduler.recent(user),
        )

    async def interrupt(self, prompt_id: str, user: UserContext) -> InterruptAnswer:
        """Stop an execution; the answer comes when it has stopped."""
        match await self.scheduler.interrupt(prompt_id, user):
            case Interrupted.DONE:
                return InterruptAnswer(True, f"Execution {prompt_id} was interrupted.")
            case Interrupted.FINISHED:
                message = f"Execution {prompt_id} had already ended."
            case Interrupted.UNKNOWN:
                message = no_execution(prompt_id)
        raise ApiError(404, message, body={"success": False, "message": message})

    async def system_stats(self) -> SystemStats:
        """How many executions run and wait, and how many may run."""
        return await self.scheduler.stats()


async def answer(scheduler: Scheduler, prompt_id: str, node_id: str, value: Any, user: UserContext) -> None:
    """Give a node the answer that it waits for.

    Raises:
        ApiError: 404, there is no such execution; 409, the node waits for none.
    """
    taken = await scheduler.answer(prompt_id, node_id, value, user)
    if taken is None:
        raise ApiError(404, no_execution(prompt_id))
    if not taken:
        raise ApiError(409, f"Node {node_id!r} does not wait for an answer.")
