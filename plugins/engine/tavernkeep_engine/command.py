"""`tavernkeep run FILE`: one workflow, without a server."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import click

from tavernkeep.app import Application
from tavernkeep.cli import loaded_app
from tavernkeep.contracts.app import Role
from tavernkeep.contracts.auth import AuthProvider, Credentials, UserContext
from tavernkeep.contracts.events import (
    INTERFACE_OUTPUTS,
    Event,
    InterfaceYield,
    NodeBypassed,
    NodeComplete,
    NodeError,
    NodeExecuting,
    NodeProgress,
    NodeRetrying,
    NodeSkipped,
    NodeWaiting,
    NodeYield,
    StatusUpdate,
)
from tavernkeep.contracts.execution import ExecutionDetail, ExecutionStatus, Refused, Scheduler, Submission
from tavernkeep.contracts.workflow import StoredWorkflow, WorkflowPayload, payload_from
from tavernkeep.wire import Invalid, dumps, loads, structure

_LONGEST_REFERENCE: Final = 200  # characters
_EXIT_CODES: Final = {ExecutionStatus.COMPLETE: 0, ExecutionStatus.ERROR: 1, ExecutionStatus.INTERRUPTED: 130}


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--input", "inputs", metavar="KEY=VALUE", multiple=True, help="Set an input of the workflow; VALUE is JSON, or else text.")
@click.option(
    "--answer", "answers", metavar="NODE=VALUE", multiple=True, help="What to answer when a node asks; VALUE is JSON, or else text."
)
@click.option("--quiet", is_flag=True, help="Show no progress and no streamed text.")
@click.pass_context
def run(context: click.Context, file: str, inputs: tuple[str, ...], answers: tuple[str, ...], quiet: bool) -> None:
    """Run a workflow file, a stored workflow or an execution payload.

    Workflows that it refers to are looked for beside it, each as ID.json, then as the server would. Its outputs are printed as JSON on
    standard output; progress and streamed text go to standard error. What a node asks is asked at the terminal. Exit code 0: complete; 1: a
    node failed; 2: the file or an input is no good; 130: interrupted.
    """
    payload = _with_inputs(_read(file), _pairs(inputs, "--input KEY=VALUE"))
    context.exit(asyncio.run(_run(loaded_app(context), payload, _Viewer(quiet), _pairs(answers, "--answer NODE=VALUE"))))


def _read(file: str) -> WorkflowPayload:
    if file == "-":
        return _parsed(sys.stdin.buffer.read(), file)
    path = Path(file)
    payload = _parsed(_bytes(path), file)
    found = dict(payload.workflows)
    waiting = list(_references(payload))
    while waiting:
        reference = waiting.pop()
        beside = path.parent / f"{reference}.json"
        if reference not in found and Path(reference).name == reference and beside.is_file():
            try:
                found[reference] = structure(loads(_bytes(beside)), StoredWorkflow)
            except Invalid as invalid:
                raise _no_workflow(str(beside), invalid) from None
            waiting += _references(found[reference].to_payload())
    return attrs.evolve(payload, workflows=found)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}") from None


def _parsed(data: bytes, file: str) -> WorkflowPayload:
    try:
        return payload_from(loads(data))
    except Invalid as invalid:
        raise _no_workflow(file, invalid) from None


def _no_workflow(file: str, invalid: Invalid) -> click.UsageError:
    return click.UsageError(f"{file} is no workflow:\n" + "\n".join(f"  {problem}" for problem in invalid.problems))


def _references(payload: WorkflowPayload) -> Iterator[str]:
    """What may name another workflow: any short text in the configuration of a node, and its input `workflow`."""
    for node in payload.nodes:
        yield from _texts([node.config_values, node.inputs.get("workflow")])


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_REFERENCE:
        yield value
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _pairs(texts: tuple[str, ...], form: str) -> dict[str, Any]:
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            option, _, what = form.partition(" ")
            raise click.UsageError(f"{option} takes {what}, not {text!r}")
        pairs[key] = _value(value)
    return pairs


def _with_inputs(payload: WorkflowPayload, values: dict[str, Any]) -> WorkflowPayload:
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
        if isinstance(event, StatusUpdate) and event.status.is_final:
            self.ended.set()
        try:
            self._show(event)
        except BrokenPipeError:  # nobody reads it any more, which is no reason to stop, nor to fail when the rest is flushed at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())

    def _show(self, event: Event) -> None:
        match event:
            case StatusUpdate():
                self._line(event.status, (event.error_info or {}).get("message", ""))
            case NodeYield():
                chunk = event.yielded_content
                if chunk["type"] == "text_chunk" and not self._quiet:
                    self._in_text = True
                    print(chunk["content"], end="", file=sys.stderr, flush=True)
            case InterfaceYield():
                chunk, pieces = event.yielded_content, self.streams.setdefault(event.interface_output_key, [])
                if chunk["type"] == "text_chunk":
                    pieces.append(str(chunk["content"]))
            case NodeError():
                self._line(event.node_id, event.error_details["message"])
            case NodeSkipped():
                self._line(event.node_id, event.reason)
            case NodeWaiting():
                self._line(event.node_id, str(event.question.get("question", "waits for an answer")))
            case NodeExecuting() | NodeProgress() | NodeComplete() | NodeRetrying() | NodeBypassed() if event.node_id != INTERFACE_OUTPUTS:
                self._line(event.node_id, event.type.removeprefix("NODE_").lower())

    def _line(self, what: str, text: str) -> None:
        if not self._quiet:
            if self._in_text:
                print(file=sys.stderr)
            print(f"[{what}] {text}".rstrip(), file=sys.stderr, flush=True)
            self._in_text = False


class _Answers:
    """Answers what nodes ask: from the command line, else from the terminal; where there is neither, the run is ended."""

    def __init__(self, app: Application, user: UserContext, given: dict[str, Any]) -> None:
        self._app = app
        self._user = user
        self._given = given
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, event: Event) -> None:
        if isinstance(event, NodeWaiting):
            task = asyncio.get_running_loop().create_task(self._answer(event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, event: NodeWaiting) -> None:
        node_id, choices = event.node_id, event.question.get("choices")
        if node_id in self._given:
            value = self._given.pop(node_id)  # once: an answer that is refused would be given for ever
        else:
            prompt = f"{node_id} ({' / '.join(map(str, choices))}): " if choices else f"{node_id}: "
            try:
                if not sys.stdin.isatty():
                    raise EOFError
                value = _value(await asyncio.to_thread(input, prompt))
            except EOFError:
                print(f"tavernkeep: node {node_id} waits for an answer; give it with --answer {node_id}=VALUE", file=sys.stderr, flush=True)
                await self._app.services.get(Scheduler).interrupt(event.execution_id, self._user)
                return
        await self._app.services.get(Scheduler).answer(event.execution_id, node_id, value, self._user)


async def _run(app: Application, payload: WorkflowPayload, viewer: _Viewer, given: dict[str, Any]) -> int:
    loop = asyncio.get_running_loop()
    await app.start(Role.NONE)
    try:
        # The person at the terminal is the person who runs the server.
        user = await app.services.get(AuthProvider).authenticate(Credentials({}))
        if user is None:
            raise click.UsageError("the auth provider knows no user for commands")
        answers = _Answers(app, user, given)

        def accepted(execution_id: str) -> None:
            app.events.watch(execution_id, viewer)
            app.events.watch(execution_id, answers)

        submission = Submission(payload, user, accepted)
        try:
            execution_id = await app.services.get(Scheduler).submit(submission)
        except Refused as refused:
            problems = "\n".join(f"  {problem}" for problem in refused.problems)
            raise click.UsageError(f"{refused}\n{problems}") from None
        interrupts: set[asyncio.Task[Any]] = set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(
                number, lambda: interrupts.add(loop.create_task(app.services.get(Scheduler).interrupt(execution_id, user)))
            )
        await viewer.ended.wait()
        await asyncio.gather(*interrupts)
        detail = await app.services.get(Scheduler).detail(execution_id, user)
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
