"""A workflow that runs at the terminal: what happens is shown, what a node asks is asked there, and its outputs are printed."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterable
from typing import Any, Final

import attrs
import click

from tavernkeep.contracts.app import App
from tavernkeep.contracts.auth import UserContext
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
from tavernkeep.contracts.execution import ExecutionDetail, ExecutionStatus, Scheduler, Submission
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep.wire import dumps, loads

_EXIT_CODES: Final = {ExecutionStatus.COMPLETE: 0, ExecutionStatus.ERROR: 1, ExecutionStatus.INTERRUPTED: 130}
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
# What steers a terminal; the text may be another user's, or a model's.
_CONTROLS: Final = {number: "\ufffd" for number in (*range(0x20), *range(0x7F, 0xA0)) if chr(number) not in "\n\t"}


@attrs.frozen
class AtTerminal:
    """See `tavernkeep_engine.contracts.Foreground`."""

    app: App

    async def run(self, submission: Submission, *, quiet: bool = False, answers: Iterable[str] = ()) -> int:
        """See `Foreground`."""
        loop, scheduler, events, user = asyncio.get_running_loop(), self.app.services.get(Scheduler), self.app.events, submission.user
        viewer, asked = _Viewer(quiet), _Answers(scheduler, user, pairs(answers, "--answer NODE=VALUE"))

        def accepted(execution_id: str) -> None:
            events.watch(execution_id, viewer)
            events.watch(execution_id, asked)
            submission.on_accepted(execution_id)

        execution_id = await scheduler.submit(attrs.evolve(submission, on_accepted=accepted))
        interrupts: set[asyncio.Task[Any]] = set()

        def interrupt() -> None:
            for number in _SIGNALS:  # of which the next ends the program
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_DFL)
            interrupts.add(loop.create_task(scheduler.interrupt(execution_id, user)))

        for number in _SIGNALS:
            loop.add_signal_handler(number, interrupt)
        await viewer.ended.wait()
        await asyncio.gather(*interrupts)
        detail = await scheduler.detail(execution_id, user)
        assert detail is not None, "an execution that has just ended is remembered"
        outputs = _outputs(detail, submission.payload, viewer)
        sys.stdout.buffer.write(json.dumps(loads(dumps(outputs)), indent=2, ensure_ascii=False).encode() + b"\n")
        sys.stdout.buffer.flush()
        return _EXIT_CODES[detail.status]


def pairs(texts: Iterable[str], form: str) -> dict[str, Any]:
    """What stands before and behind the equals signs of what was typed: keys, and values that are JSON, or else text.

    Args:
        form: The option, and what it takes.

    Raises:
        click.UsageError: One of them is not of that form.
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            option, _, what = form.partition(" ")
            raise click.UsageError(f"{option} takes {what}, not {text!r}")
        found[key] = _value(value)
    return found


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
                    print(_plain(chunk["content"]), end="", file=sys.stderr, flush=True)
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
            print(_plain(f"[{what}] {text}".rstrip()), file=sys.stderr, flush=True)
            self._in_text = False


class _Answers:
    """Answers what nodes ask: from the command line, else from the terminal; where there is neither, the run is ended."""

    def __init__(self, scheduler: Scheduler, user: UserContext, given: dict[str, Any]) -> None:
        self._scheduler = scheduler
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
                await self._scheduler.interrupt(event.execution_id, self._user)
                return
        await self._scheduler.answer(event.execution_id, node_id, value, self._user)


def _outputs(detail: ExecutionDetail, payload: WorkflowPayload, viewer: _Viewer) -> dict[str, Any]:
    """The workflow's own outputs, streams as their text; of one that names none, the outputs of the nodes that feed no other."""
    if payload.output_interface_mappings:
        return detail.outputs | {key: "".join(pieces) for key, pieces in viewer.streams.items()}
    feeding = {edge.source_node_id for edge in payload.edges}
    return {key: status.output for key, status in detail.node_status.items() if key not in feeding and status.output is not None}


def _plain(text: Any) -> str:
    return str(text).translate(_CONTROLS)
