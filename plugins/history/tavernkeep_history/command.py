"""`tavernkeep executions …`."""

import asyncio
import functools
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs
import click

from tavernkeep import ApiError
from tavernkeep.cli import loaded_app, run_with_app
from tavernkeep.clock import now
from tavernkeep.config.sections import FolderTaken
from tavernkeep.contracts.app import App, Role
from tavernkeep.contracts.execution import ExecutionStatus
from tavernkeep.wire import unstructure
from tavernkeep_history.bodies import HistoryEntry, HistoryQuery

if TYPE_CHECKING:
    from tavernkeep_history.operating import Action, Operator

Work = Callable[["Operator"], Awaitable[None]]

_PAGE: Final = 200
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SPAN: Final = re.compile(r"([0-9]{1,6})([mhdw])")
_SPANS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - who listens there is met here  # nosec B104
_ELSEWHERE: Final = "; another process uses the data folder: name where its server is with --server URL"
_ENDED: Final = [status.value for status in ExecutionStatus if status.is_final]


class _OfIds(click.Command):
    """A command whose arguments are ids: one of 64 begins with a hyphen, and is no option all the same."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        split = args.index("--") if "--" in args else len(args)
        ids = [arg for arg in args[:split] if re.fullmatch(r"-[A-Za-z0-9_][A-Za-z0-9_-]+|-[A-Za-z0-9_-]{20}", arg)]
        return super().parse_args(ctx, [*(arg for arg in args[:split] if arg not in ids), "--", *ids, *args[split + 1 :]])


def _moment(value: str) -> int:
    """A moment, in milliseconds since 1970."""
    span = _SPAN.fullmatch(value)
    try:
        moment = now() - timedelta(**{_SPANS[span[2]]: int(span[1])}) if span else datetime.fromisoformat(value).astimezone()
        return max(0, int(moment.timestamp() * 1000))
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter("give a date or a time as 2026-11-25 or 2026-11-25T18:30, or how long ago: 90m, 36h, 7d, 4w") from None


def _server(value: str) -> str:
    """Where a server is."""
    try:
        parts = urlsplit(value)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        is_one = False
    if not is_one:
        raise click.BadParameter("give an address as http://127.0.0.1:3233")
    return value


def _key(value: str) -> str:
    """An API key, or what may be one."""
    if not re.fullmatch(r"[!-~]+", value):
        raise click.BadParameter("an API key has letters, digits and signs of ASCII, and nothing else")
    return value


def _options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda command: functools.reduce(lambda made, option: option(made), reversed(options), command)


_at = _options(
    click.option("--server", type=_server, metavar="URL", help="Ask the server that is there, instead of opening the data folder."),
    click.option(
        "--key",
        type=_key,
        metavar="KEY",
        envvar="TAVERNKEEP_KEY",
        show_envvar=True,
        help="An API key, where a server is asked that wants one.",
    ),
    click.pass_context,
)


def _chosen(statuses: list[str]) -> Callable[[Any], Any]:
    return _options(
        click.option("--status", type=click.Choice(statuses), help="Where they stand."),
        click.option("--user", help="Whose: a name or an id."),
        click.option("--workflow", "name", help="What the workflow's name contains."),
        click.option("--project", "project_id", help="The id of the project."),
    )


@click.group()
def executions() -> None:
    """Look at executions, run them again, interrupt and forget them, with and without a running server.

    What only looks opens the data folder itself, beside a running server too. What changes something does so where no server runs on the
    folder, and is asked of the server where one does. An id may be given by its beginning.
    """


@executions.command("list")
@_chosen([status.value for status in ExecutionStatus])
@click.option("--since", type=_moment, metavar="MOMENT", help="Submitted then or later: a date, a time, or how long ago (7d, 36h, 90m).")
@click.option("--until", type=_moment, metavar="MOMENT", help="Submitted before that.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="How many at most.")
@click.option("--json", "as_json", is_flag=True, help="For programs: an object a line.")
@_at
def list_(
    context: click.Context,
    server: str | None,
    key: str | None,
    limit: int,
    since: int | None,
    until: int | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """List executions, the latest first."""
    query = _query(chosen, after=since, before=until)

    async def work(operator: "Operator") -> None:
        from tavernkeep_history import shown

        headed = as_json
        async for entries in _pages(operator, query, limit):
            if not headed:
                click.echo(shown.heading())
                headed = True
            for entry in entries:
                click.echo(shown.line_of(unstructure(entry)) if as_json else shown.row_of(entry))

    _look(context, server, key, work)


@executions.command(cls=_OfIds)
@click.argument("id_", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@_at
def show(context: click.Context, server: str | None, key: str | None, id_: str, as_json: bool) -> None:
    """Show an execution: its status, its times, who ran it, its nodes, what came of it."""

    async def work(operator: "Operator") -> None:
        from tavernkeep_history import shown

        found = await operator.one(await _whole(operator, id_))
        if as_json:
            whole = unstructure(found)
            click.echo(shown.pretty({name: value for name, value in whole.items() if name not in ("events", "moreEvents")}))
            return
        for line in shown.lines_of(found):
            click.echo(line)

    _look(context, server, key, work)


@executions.command(cls=_OfIds)
@click.argument("id_", metavar="ID")
@click.option("--after", type=click.IntRange(0, 2**63 - 1), default=0, metavar="N", help="Those with a higher number.")
@click.option("--follow", is_flag=True, help="Those that are still to come, too, until the execution has ended.")
@_at
def events(context: click.Context, server: str | None, key: str | None, id_: str, after: int, follow: bool) -> None:
    """Print the messages of an execution, a JSON object a line.

    An execution that waits for a server to start is followed until that has run it.
    """

    async def work(operator: "Operator") -> None:
        from tavernkeep_history import shown

        execution_id = await _whole(operator, id_)
        async for messages in operator.events(execution_id, after, follow=follow):
            for message in messages:
                click.echo(shown.line_of(message))
        found = await operator.one(execution_id)
        if found.damaged:
            raise click.ClickException("; ".join(map(shown.plain, found.execution.warnings)))
        if not found.complete:
            click.echo("tavernkeep: some messages were left out for want of room", err=True)

    _look(context, server, key, work)


_again = _options(
    click.argument("id_", metavar="ID"),
    click.option("--from", "beginning", metavar="NODE", help="Run this node anew and what depends on it; the others give what they gave."),
    click.option("--answer", "answers", metavar="NODE=VALUE", multiple=True, help="What to answer when a node asks."),
    click.option("--quiet", is_flag=True, help="Show no progress and no streamed text."),
    _at,
)


@executions.command(cls=_OfIds)
@_again
def resume(context: click.Context, **given: Any) -> None:
    """Go on with one that failed or was interrupted, as a new execution: what had completed gives what it gave.

    Without a server it runs here to its end, as by `tavernkeep run`, and is recorded; a server prints its id.
    """
    _run_again(context, "resume", **given)


@executions.command(cls=_OfIds)
@_again
def rerun(context: click.Context, **given: Any) -> None:
    """Run the same workflow with the same inputs once more, as a new execution.

    Without a server it runs here to its end, as by `tavernkeep run`, and is recorded; a server prints its id.
    """
    _run_again(context, "rerun", **given)


def _run_again(
    context: click.Context,
    action: "Action",
    server: str | None,
    key: str | None,
    id_: str,
    beginning: str | None,
    answers: tuple[str, ...],
    quiet: bool,
) -> None:
    async def work(operator: "Operator") -> None:
        context.exit(await operator.run_again(action, await _whole(operator, id_), beginning, answers, quiet=quiet))

    _change(context, server, key, work, Role.WORKER)


@executions.command(cls=_OfIds)
@click.argument("id_", metavar="ID")
@_at
def interrupt(context: click.Context, server: str | None, key: str | None, id_: str) -> None:
    """Stop one that runs or waits; without a server it is not gone on with when one starts."""

    async def work(operator: "Operator") -> None:
        execution_id = await _whole(operator, id_)
        await operator.interrupt(execution_id)
        click.echo(f"interrupted {execution_id}")

    _change(context, server, key, work)


@executions.command(cls=_OfIds)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@_chosen(_ENDED)
@click.option("--before", type=_moment, metavar="MOMENT", help="Submitted before that: a date, a time, or how long ago (7d, 36h, 90m).")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_at
def rm(
    context: click.Context, server: str | None, key: str | None, ids: tuple[str, ...], before: int | None, yes: bool, **chosen: Any
) -> None:
    """Forget executions that have ended: those that are named, or all that the options choose."""
    wanted = before is not None or any(value is not None for value in chosen.values())
    if bool(ids) == wanted:
        raise click.UsageError("name executions by their ids, or choose them by --status, --before, --user, --workflow, --project")

    async def work(operator: "Operator") -> None:
        found = [await _whole(operator, id_) for id_ in ids]
        if wanted:
            pages = _pages(operator, _query(chosen, before=before))
            found = [entry.prompt_id async for entries in pages for entry in entries if entry.status.is_final]
            if found and not yes:
                click.confirm(f"Forget {len(found)} executions?", abort=True, err=True)
        failed = 0
        for execution_id in found:
            try:
                await operator.forget(execution_id)
            except ApiError as error:
                failed += 1
                click.echo(f"Error: {error}", err=True)
        click.echo(f"forgot {len(found) - failed} executions")
        context.exit(1 if failed else 0)

    _change(context, server, key, work)


# Where they are


def _look(context: click.Context, server: str | None, key: str | None, work: Work) -> None:
    if server is not None:
        _ask(server, key, work)
    else:
        run_with_app(context, _with_folder(work))


def _change(context: click.Context, server: str | None, key: str | None, work: Work, roles: Role = Role.NONE) -> None:
    if server is None:
        try:
            run_with_app(context, _with_folder(work), alone=True, roles=roles)
            return
        except FolderTaken as taken:
            server = _configured(loaded_app(context))
            if server is None:
                raise click.ClickException(f"{taken}; where it listens is not configured: name it with --server URL") from None
            _ask(server, key, work, configured=True)
    else:
        _ask(server, key, work)


def _with_folder(work: Work) -> Callable[[App], Awaitable[None]]:
    async def opened(app: App) -> None:
        from tavernkeep_history.operating import FolderOperator

        await work(FolderOperator.of(app))

    return opened


def _ask(server: str, key: str | None, work: Work, *, configured: bool = False) -> None:
    async def asked() -> None:
        from tavernkeep_history.served import ServerOperator, client_of

        try:
            async with client_of(server, key, near=configured) as client:
                await work(ServerOperator(client, _ELSEWHERE if configured else ""))
        except ApiError as error:
            raise click.ClickException(str(error)) from None

    asyncio.run(asked())


def _configured(app: App) -> str | None:
    """Where the server of a configuration is; `None` where it says so itself when it starts."""
    address = app.config.to_wire().get("server", {}).get("backend", {})
    host, port = str(address.get("host", "")), address.get("port")
    host = _EVERYWHERE.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}" if port else None


# What is meant


def _query(chosen: dict[str, Any], **more: Any) -> HistoryQuery:
    status = chosen.pop("status")
    try:
        return HistoryQuery(status=status and ExecutionStatus(status), limit=_PAGE, **chosen, **more)
    except ValueError as error:
        raise click.UsageError(str(error.args[0])) from None


async def _pages(operator: "Operator", query: HistoryQuery, limit: int | None = None) -> AsyncIterator[list[HistoryEntry]]:
    while True:
        page = await operator.page(attrs.evolve(query, limit=_PAGE if limit is None else min(limit, _PAGE)))
        yield page.executions
        limit = None if limit is None else limit - len(page.executions)
        if page.next is None or limit == 0:
            return
        query = attrs.evolve(query, cursor=page.next)


async def _whole(operator: "Operator", given: str) -> str:
    """The id that is, or begins with, what was given.

    Raises:
        ApiError: 404, none does, or 409, several do.
    """
    found = (await operator.page(HistoryQuery(id=given, limit=2))).executions if _ID.fullmatch(given) else []
    if not found:
        raise ApiError(404, f"There is no execution {given[:100]!r}.")
    if len(found) > 1 and all(entry.prompt_id != given for entry in found):
        raise ApiError(409, f"The ids of several executions begin with {given!r}.")
    return given if len(found) > 1 else found[0].prompt_id
