"""How clients reach the scheduler: the routes and WebSocket messages of executions."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import attrs
import structlog

from tavernkeep.contracts.auth import UserContext
from tavernkeep.contracts.events import STATUS_UPDATE, Event, EventBus
from tavernkeep.contracts.execution import (
    EventsLost,
    ExecutionArchive,
    ExecutionDetail,
    ExecutionInfo,
    ExecutionStatus,
    Interrupted,
    Refused,
    Scheduler,
    Submission,
    SystemStats,
)
from tavernkeep.contracts.http import ApiError, Client, Request, Response, Route, WebSocketMessage
from tavernkeep.contracts.nodes import NodeRegistry
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep.wire import Invalid, Problem, dumps, structure, unstructure

_log = structlog.get_logger(__name__)

EXECUTE: Final = "workflow:execute"
_KEEP_ALIVE_S: Final = 15.0  # what stands between gives up on a connection after 30 to 60
_RECENT: Final = 1000  # events; a reader that is further behind asks the scheduler for them
_UNBUFFERED: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_NONE: Final = 2**62  # no event has a higher number
_LARGE: Final = 500  # nodes and edges; reading more of them takes longer than the event loop should wait


@attrs.frozen
class Accepted:
    """A workflow was taken and will run."""

    prompt_id: str
    request_id: str | None = None


@attrs.frozen
class Executions:
    """The caller's executions that have not ended, and the last that have; everybody's for an administrator."""

    running: list[ExecutionInfo]
    pending: list[ExecutionInfo]
    recent: list[ExecutionInfo]


@attrs.frozen
class InterruptAnswer:
    """What became of an interrupt."""

    success: bool
    message: str


@attrs.frozen
class InterruptRequest:
    """Stop an execution."""

    prompt_id: str


@attrs.frozen
class NodeInput:
    """The answer to what a node asked with `NODE_WAITING`."""

    prompt_id: str
    node_id: str
    value: Any = None


@attrs.frozen
class Answer:
    """What a node asked for."""

    value: Any = None


@attrs.frozen
class Subscription:
    """Watch an execution.

    Attributes:
        after: Also send the events with a higher number than this that were published before.
    """

    prompt_id: str
    after: int | None = None


@attrs.frozen
class Hello:
    """What a client can do beyond the least."""

    batch: bool = False


@attrs.frozen
class ButtonClick:
    """A person pressed a button of a node in the editor."""

    node_id: str
    button_name: str
    workflow_id: str | None = None
    node_type: str | None = None
    node_display_name: str | None = None


async def read_payload(data: object) -> WorkflowPayload:
    """Make a payload of what a client sent; a large one in a thread.

    Raises:
        Invalid: With every problem and its path.
    """
    size = sum(len(part) for key in ("nodes", "edges") if isinstance(data, dict) and isinstance(part := data.get(key), list))
    return structure(data, WorkflowPayload) if size < _LARGE else await asyncio.to_thread(structure, data, WorkflowPayload)


def _problems(problems: list[Problem]) -> list[dict[str, str]]:
    return [unstructure(problem) for problem in problems]


@attrs.frozen
class Surface:
    """The handlers; each does what its route or message says."""

    scheduler: Scheduler
    nodes: NodeRegistry
    events: EventBus
    archive: ExecutionArchive | None

    def routes(self) -> list[Route]:
        """The HTTP routes of executions."""
        gone = {404: "There is no such execution, or it is somebody else's."}
        return [
            Route("POST", "/api/prompt", self.prompt, EXECUTE, errors={422: "The payload cannot be run.", 503: "There is no room."}),
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

    def messages(self) -> list[WebSocketMessage]:
        """The WebSocket messages of executions."""
        return [
            WebSocketMessage("PROMPT_REQUEST", self.on_prompt, scope=EXECUTE),
            WebSocketMessage("INTERRUPT_REQUEST", self.on_interrupt, InterruptRequest, EXECUTE),
            WebSocketMessage("NODE_INPUT", self.on_node_input, NodeInput, EXECUTE),
            WebSocketMessage("SUBSCRIBE", self.on_subscribe, Subscription, EXECUTE),
            WebSocketMessage("UNSUBSCRIBE", self.on_unsubscribe, Subscription),
            WebSocketMessage("HELLO", self.on_hello, Hello),
            WebSocketMessage("button_click", self.on_button_click, ButtonClick, EXECUTE),
        ]

    # HTTP

    async def prompt(self, body: WorkflowPayload, user: UserContext) -> Accepted | Mapping[str, Any]:
        """Run a workflow. With `dryRun`, only check it."""
        if body.dry_run:
            return dict(unstructure(await self.scheduler.check(body, user)))
        try:
            return Accepted(await self.scheduler.submit(Submission(body, user)), body.request_id)
        except Refused as refused:
            raise ApiError(refused.status, str(refused), _problems(refused.problems) or None) from None

    async def node_input(self, prompt_id: str, node_id: str, body: Answer, user: UserContext) -> None:
        """Answer a node that waits for a person."""
        self._answer(prompt_id, node_id, body.value, user)

    async def prompt_detail(self, prompt_id: str, user: UserContext) -> ExecutionDetail:
        """An execution with its results."""
        detail = await self._detail(prompt_id, user)
        if detail is None:
            raise ApiError(404, f"There is no execution {prompt_id!r}.")
        return detail

    async def _detail(self, prompt_id: str, user: UserContext) -> ExecutionDetail | None:
        detail = self.scheduler.detail(prompt_id, user)
        return await self.archive.detail(prompt_id, user) if detail is None and self.archive else detail

    async def follow(self, prompt_id: str, request: Request, user: UserContext) -> Response | None:
        """The events of an execution as Server-Sent Events, from the first or after `Last-Event-ID`, until it ends."""
        given = request.headers.get("last-event-id", "0")
        if not given.isdecimal():
            raise ApiError(400, f"Last-Event-ID is no number: {given[:100]!r}.")
        after = int(given)
        missed = await self._missed(prompt_id, user, after)
        if not missed and (detail := await self._detail(prompt_id, user)) is not None and detail.status.is_final:
            return None  # 204: a browser asks no more
        return Response(self._followed(prompt_id, user, after), "text/event-stream", headers=_UNBUFFERED)

    async def _followed(self, prompt_id: str, user: UserContext, last: int) -> AsyncIterator[bytes]:
        """What is not taken yet stays with the scheduler, so that a slow reader costs no memory."""
        news, recent = asyncio.Event(), deque[Event](maxlen=_RECENT)

        def note(event: Event) -> None:
            recent.append(event)
            news.set()

        unwatch = self.events.watch(prompt_id, note)
        try:
            waiting = await self._events_after(prompt_id, user, last) or []
            while True:
                for event in waiting:
                    if event.seq <= last:
                        continue
                    last = event.seq
                    yield b"id: %d\ndata: %s\n\n" % (last, event.json())
                    if event.type == STATUS_UPDATE and ExecutionStatus(event.payload["status"]).is_final:
                        return
                if not recent:
                    news.clear()
                    try:
                        async with asyncio.timeout(_KEEP_ALIVE_S):
                            await news.wait()
                    except TimeoutError:
                        yield b": waiting\n\n"
                waiting = list(recent)
                recent.clear()
                if waiting and waiting[0].seq > last + 1:
                    waiting = await self._events_after(prompt_id, user, last) or []
        except EventsLost as lost:
            yield b"event: lost\ndata: %s\n\n" % dumps(str(lost))
        finally:
            unwatch()

    async def _events_after(self, prompt_id: str, user: UserContext, seq: int | None) -> list[Event] | None:
        """From memory, and what is no longer there from the archive; the last look is at memory, so that nothing falls in between."""
        older: list[Event] = []
        last = seq
        while True:
            try:
                newer = self.scheduler.events_after(prompt_id, user, last)
            except EventsLost:
                if self.archive is None:
                    raise
                newer = None
            if newer is not None:
                return older + newer
            found = await self.archive.events_after(prompt_id, user, _NONE if last is None else last) if self.archive else None
            if not found:
                return older or found
            older += found
            last = found[-1].seq

    async def _missed(self, prompt_id: str, user: UserContext, after: int | None) -> list[Event]:
        try:
            missed = await self._events_after(prompt_id, user, after)
        except EventsLost as lost:
            raise ApiError(410, str(lost)) from None
        if missed is None:
            raise ApiError(404, f"There is no execution {prompt_id!r}.")
        return missed

    async def executions(self, user: UserContext) -> Executions:
        """The executions that run or wait, and the last that ended."""
        found = self.scheduler.executions(user)
        return Executions(
            running=[info for info in found if info.status == "running"],
            pending=[info for info in found if info.status == "queued"],
            recent=self.scheduler.recent(user),
        )

    async def interrupt(self, prompt_id: str, user: UserContext) -> InterruptAnswer:
        """Stop an execution; the answer comes when it has stopped."""
        match await self.scheduler.interrupt(prompt_id, user):
            case Interrupted.DONE:
                return InterruptAnswer(True, f"Execution {prompt_id} was interrupted.")
            case Interrupted.FINISHED:
                message = f"Execution {prompt_id} had already ended."
            case Interrupted.UNKNOWN:
                message = f"There is no execution {prompt_id!r}."
        raise ApiError(404, message, body={"success": False, "message": message})

    async def system_stats(self) -> SystemStats:
        """How many executions run and wait, and how many may run."""
        return self.scheduler.stats()

    # WebSocket

    async def on_prompt(self, payload: object, client: Client) -> None:
        """Run a workflow and let its sender watch it."""
        echo = {}
        if isinstance(payload, dict) and isinstance(payload.get("requestId"), str):
            echo = {"requestId": payload["requestId"]}

        def accepted(execution_id: str) -> None:
            client.send("PROMPT_ACCEPTED_RESPONSE", {"promptId": execution_id, **echo})
            client.watch(execution_id)

        try:
            workflow = await read_payload(payload)
            if workflow.dry_run:
                client.send("PROMPT_VALIDATED_RESPONSE", {**unstructure(await self.scheduler.check(workflow, client.user)), **echo})
            else:
                await self.scheduler.submit(Submission(workflow, client.user, accepted))
        except Invalid as invalid:
            client.send("error", {"message": "The payload is malformed.", "details": _problems(invalid.problems), **echo})
        except Refused as refused:
            client.send("error", {"message": str(refused), "details": _problems(refused.problems), **echo})

    async def on_interrupt(self, request: InterruptRequest, client: Client) -> None:
        """Stop an execution; its watchers see the status `interrupted`."""
        outcome = await self.scheduler.interrupt(request.prompt_id, client.user)
        if outcome is Interrupted.FINISHED:
            client.send("error", {"message": f"Execution {request.prompt_id} had already ended."})
        elif outcome is Interrupted.UNKNOWN:
            client.send("error", {"message": f"There is no execution {request.prompt_id!r}."})

    def _answer(self, prompt_id: str, node_id: str, value: Any, user: UserContext) -> None:
        taken = self.scheduler.answer(prompt_id, node_id, value, user)
        if taken is None:
            raise ApiError(404, f"There is no execution {prompt_id!r}.")
        if not taken:
            raise ApiError(409, f"Node {node_id!r} does not wait for an answer.")

    async def on_node_input(self, request: NodeInput, client: Client) -> None:
        """Answer a node that waits for a person."""
        self._answer(request.prompt_id, request.node_id, request.value, client.user)

    async def on_subscribe(self, request: Subscription, client: Client) -> None:
        """Watch an execution, from now on or from after an event that was seen before."""
        client.resume(await self._missed(request.prompt_id, client.user, request.after))
        client.watch(request.prompt_id)

    async def on_unsubscribe(self, request: Subscription, client: Client) -> None:
        """Stop watching an execution."""
        client.unwatch(request.prompt_id)

    async def on_hello(self, request: Hello, client: Client) -> None:
        """Let the server send several messages in one frame."""
        if request.batch:
            client.allow_batches()

    async def on_button_click(self, click: ButtonClick, client: Client) -> None:
        """Tell the node type, where it wants to know."""
        definition = self.nodes.get(click.node_type) if click.node_type else None
        if definition is not None and definition.on_click is not None:
            definition.on_click(click.button_name, client.user)
        else:
            _log.info("button clicked", node=click.node_id, button=click.button_name, node_type=click.node_type)
