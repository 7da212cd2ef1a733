"""`tavernkeep run FILE`, one workflow without a server, and `tavernkeep convert FILE`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import click

from tavernkeep.app import Application
from tavernkeep.cli import loaded_app
from tavernkeep.contracts.app import Role
from tavernkeep.contracts.auth import AuthProvider, Credentials
from tavernkeep.contracts.execution import Refused, Submission
from tavernkeep.contracts.workflow import StoredWorkflow, WorkflowPayload
from tavernkeep.wire import Invalid, structure, unstructure
from tavernkeep_engine.contracts import Foreground
from tavernkeep_engine.foreground import pairs
from tavernkeep_engine.forms.reading import form_of, payload_of, read, stored_of

_LONGEST_REFERENCE: Final = 200  # characters


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
    payload = _with_inputs(_read(file), pairs(inputs, "--input KEY=VALUE"))
    app = loaded_app(context)
    context.exit(app.ending.run(_run(app, payload, answers, quiet)))


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--to", type=click.Choice(["stored", "payload"]), help="Which form; the other one when left out.")
def convert(file: str, to: str | None) -> None:
    """Print a workflow file in the other form.

    Editors save stored workflows (nodes with `type`), and send execution payloads (nodes with `fullType`) to be run; the server takes both.
    Files of other programs are refused by name.
    """
    try:
        data = read(sys.stdin.buffer.read() if file == "-" else _bytes(Path(file)))
        wanted = to or ("payload" if form_of(data) == "stored" else "stored")
        if wanted == "stored":
            made = stored_of(data)
            structure(made, StoredWorkflow)
            if file != "-":
                made.setdefault("name", Path(file).stem)
        else:
            usual = unstructure(WorkflowPayload([], []))
            sent = unstructure(payload_of(data))
            made = {key: value for key, value in sent.items() if key in ("nodes", "edges") or value != usual.get(key)}
    except Invalid as invalid:
        raise _no_workflow(file, invalid) from None
    click.echo(json.dumps(made, indent=2, ensure_ascii=False))


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
                found[reference] = structure(stored_of(read(_bytes(beside))), StoredWorkflow)
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
        return payload_of(read(data))
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


def _with_inputs(payload: WorkflowPayload, values: dict[str, Any]) -> WorkflowPayload:
    try:
        return payload.with_inputs(values)
    except KeyError as error:
        known = ", ".join(payload.interface_inputs) or "none"
        raise click.UsageError(f"the workflow has no input {error.args[0]!r}; it has: {known}") from None


async def _run(app: Application, payload: WorkflowPayload, answers: tuple[str, ...], quiet: bool) -> int:
    await app.start(Role.NONE)
    try:
        # The person at the terminal is the person who runs the server.
        user = await app.services.get(AuthProvider).authenticate(Credentials({}))
        if user is None:
            raise click.UsageError("the auth provider knows no user for commands")
        try:
            return await app.services.get(Foreground).run(Submission(payload, user), quiet=quiet, answers=answers)
        except Refused as refused:
            problems = "\n".join(f"  {problem}" for problem in refused.problems)
            raise click.UsageError(f"{refused}\n{problems}") from None
    finally:
        await app.stop()
