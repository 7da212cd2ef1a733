"""`tavernkeep run FILE`: one workflow, without a server."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any, Final

import click

from tavernkeep import events
from tavernkeep.app import App
from tavernkeep.auth import Credentials
from tavernkeep.cli import loaded_app
from tavernkeep.events import Event
from tavernkeep.execution import ExecutionDetail, ExecutionStatus, Refused, Submission
from tavernkeep.wire import Invalid, dumps, loads
from tavernkeep.workflow import WorkflowPayload, payload_from

_EXIT_CODES: Final = {ExecutionStatus.COMPLETE: 0, ExecutionStatus.ERROR: 1, ExecutionStatus.INTERRUPTED: 130}


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--input", "inputs", metavar="KEY=VALUE", multiple=True, help="Set an input of the workflow; VALUE is JSON, or else text.")
@click.option("--quiet", is_flag=True, help="Show no progress and no streamed text.")
@click.pass_context
def run(context: click.Context, file: str, inputs: tuple[str, ...], quiet: bool) -> None:
    """Run a workflow file, a stored workflow or an execution payload.

    Its outputs are printed as JSON on standard output; progress and streamed text go to standard error. Exit code 0: complete; 1: a node
    failed; 2: the file or an input is no good; 130: interrupted.
    """
    payload = _read(file, inputs)
    context.exit(asyncio.run(_run(loaded_app(context), payload, _Viewer(quiet))))


def _read(file: str, inputs: tuple[str, ...]) -> WorkflowPayload:
    try:
        payload = payload_from(loads(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()))
    except Invalid as invalid:
        raise click.UsageError(f"{file} is no workflow:\n" + "\n".join(f"  {problem}" for problem in invalid.problems)) from None
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: {error.strerror}") from None
    values = {}
    for text in inputs:
        key, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--input takes KEY=VALUE, not {text!r}")
        values[key] = _value(value)
    try:
        return payload.with_inputs(values)
    except KeyError as error:
        known = ", ".join(payload.interface_inputs) or "none"
        raise click.UsageError(f"the workflow has no input {error.args[0]!r}; it has: {known}") from None


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


class _Viewer:
    """Shows events on standard error: a line for what a node did, and streamed text as it comes."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._in_text = False
        self.ended = asyncio.Event()
        self.streams: dict[str, list[str]] = {}

    def __call__(self, event: Event) -> None:
        payload = event.payload
        if event.type == events.STATUS_UPDATE:
            self._line(payload["status"], (payload.get("errorInfo") or {}).get("message", ""))
            if ExecutionStatus(payload["status"]).is_final:
                self.ended.set()
        elif event.type == events.NODE_YIELD:
            chunk = payload["yieldedContent"]
            if chunk["type"] == "text_chunk" and not self._quiet:
                self._in_text = True
                print(chunk["content"], end="", file=sys.stderr, flush=True)
        elif event.type == events.INTERFACE_YIELD:
            chunk, pieces = payload["yieldedContent"], self.streams.setdefault(payload["interfaceOutputKey"], [])
            if chunk["type"] == "text_chunk":
                pieces.append(str(chunk["content"]))
        elif event.type in (events.NODE_ERROR, events.NODE_SKIPPED):
            self._line(payload["nodeId"], payload["errorDetails"]["message"] if "errorDetails" in payload else payload["reason"])
        elif "nodeId" in payload and payload["nodeId"] != events.INTERFACE_OUTPUTS:
            self._line(payload["nodeId"], event.type.removeprefix("NODE_").lower())

    def _line(self, what: str, text: str) -> None:
        if not self._quiet:
            if self._in_text:
                print(file=sys.stderr)
            print(f"[{what}] {text}".rstrip(), file=sys.stderr, flush=True)
            self._in_text = False


async def _run(app: App, payload: WorkflowPayload, viewer: _Viewer) -> int:
    loop = asyncio.get_running_loop()
    await app.start(serving=False)
    try:
        # The person at the terminal is the person who runs the server.
        user = await app.auth.authenticate(Credentials({}))
        if user is None:
            raise click.UsageError("the auth provider knows no user for commands")

        def accepted(execution_id: str) -> None:
            app.events.watch(execution_id, viewer)

        submission = Submission(payload, user, accepted)
        try:
            execution_id = await app.scheduler.submit(submission)
        except Refused as refused:
            problems = "\n".join(f"  {problem}" for problem in refused.problems)
            raise click.UsageError(f"{refused}\n{problems}") from None
        interrupts: set[asyncio.Task[Any]] = set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, lambda: interrupts.add(loop.create_task(app.scheduler.interrupt(execution_id, user))))
        await viewer.ended.wait()
        await asyncio.gather(*interrupts)
        detail = app.scheduler.detail(execution_id, user)
        assert detail is not None, "an execution that has just ended is remembered"
        sys.stdout.buffer.write(json.dumps(loads(dumps(_outputs(detail, payload, viewer))), indent=2, ensure_ascii=False).encode() + b"\n")
        sys.stdout.buffer.flush()
        return _EXIT_CODES[detail.status]
    finally:
        await app.stop()


def _outputs(detail: ExecutionDetail, payload: WorkflowPayload, viewer: _Viewer) -> dict[str, Any]:
    """The workflow's own outputs, streams as their text; of one that names none, the outputs of the nodes that feed no other."""
    if payload.output_interface_mappings:
        return detail.outputs | {key: "".join(pieces) for key, pieces in viewer.streams.items()}
    feeding = {edge.source_node_id for edge in payload.edges}
    return {key: status.output for key, status in detail.node_status.items() if key not in feeding and status.output is not None}
