"""The WebSocket messages of executions."""

import attrs
import structlog

from tavernkeep.contracts.execution import EXECUTE, Interrupted, Scheduler, Submission
from tavernkeep.contracts.http import ApiError, Client, WebSocketMessage
from tavernkeep.contracts.nodes import NodeRegistry
from tavernkeep.wire import Invalid, unstructure
from tavernkeep_engine.bodies import ButtonClick, Hello, InterruptRequest, NodeInput, Subscription
from tavernkeep_engine.following import Following, no_execution
from tavernkeep_engine.forms.reading import received
from tavernkeep_engine.routes import answer

_log = structlog.get_logger(__name__)


@attrs.frozen
class ExecutionMessages:
    """The handlers; each does what its message says."""

    scheduler: Scheduler
    nodes: NodeRegistry
    following: Following

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

    async def on_prompt(self, payload: object, client: Client) -> None:
        """Run a workflow and let its sender watch it."""
        echo = {}
        if isinstance(payload, dict) and isinstance(payload.get("requestId"), str):
            echo = {"requestId": payload["requestId"]}

        told = False

        def accepted(execution_id: str) -> None:
            nonlocal told
            told = True
            client.send("PROMPT_ACCEPTED_RESPONSE", {"promptId": execution_id, **echo})
            client.watch(execution_id)

        try:
            workflow = await received(payload)
            if workflow.dry_run:
                client.send("PROMPT_VALIDATED_RESPONSE", {**unstructure(await self.scheduler.check(workflow, client.user)), **echo})
            else:
                execution_id = await self.scheduler.submit(Submission(workflow, client.user, accepted))
                if not told:  # it was accepted before
                    await self._accept_again(execution_id, echo["requestId"], client)
        except Invalid as invalid:
            raise ApiError(422, "The payload is malformed.", unstructure(invalid.problems)) from None

    async def _accept_again(self, execution_id: str, request_id: str, client: Client) -> None:
        """Tell everything from the acceptance on; where that is no longer remembered, what still is."""
        client.send("PROMPT_ACCEPTED_RESPONSE", {"promptId": execution_id, "requestId": request_id})
        try:
            await self.following.goes_on(execution_id, client.user, 0)
        except ApiError:
            client.watch(execution_id)
        else:
            client.watch(execution_id, 0)

    async def on_interrupt(self, request: InterruptRequest, client: Client) -> None:
        """Stop an execution; its watchers see the status `interrupted`."""
        outcome = await self.scheduler.interrupt(request.prompt_id, client.user)
        if outcome is Interrupted.FINISHED:
            client.send("error", {"message": f"Execution {request.prompt_id} had already ended."})
        elif outcome is Interrupted.UNKNOWN:
            client.send("error", {"message": no_execution(request.prompt_id)})

    async def on_node_input(self, request: NodeInput, client: Client) -> None:
        """Answer a node that waits for a person."""
        await answer(self.scheduler, request.prompt_id, request.node_id, request.value, client.user)

    async def on_subscribe(self, request: Subscription, client: Client) -> None:
        """Watch an execution, from now on or from after an event that was seen before."""
        if await self.following.goes_on(request.prompt_id, client.user, request.after):
            client.watch(request.prompt_id, request.after)

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
