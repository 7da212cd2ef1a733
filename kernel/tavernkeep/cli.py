"""The `tavernkeep` program. The kernel's own commands are here; plugins add theirs with `register_commands`."""

import asyncio
import difflib
import json
import platform
import sys
from collections.abc import Awaitable, Callable, Iterator
from importlib.metadata import version as installed_version
from typing import Any, NoReturn

import click

from tavernkeep.app import Application
from tavernkeep.asgi import load
from tavernkeep.config import ConfigError, StartError
from tavernkeep.config.schema import config_schema
from tavernkeep.config.sections import PluginsConfig
from tavernkeep.contracts.app import Role
from tavernkeep.contracts.http import ApiError
from tavernkeep.wire import Invalid

Work = Callable[[Application], Awaitable[None]]


class _Program(click.Group):
    """The program: loads the app when a command that needs it, or that a plugin provides, is asked for."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted({*super().list_commands(context), *loaded_app(context).commands})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return super().get_command(context, name) or loaded_app(context).commands.get(name)

    def resolve_command(self, context: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(context, args)
        except click.UsageError as error:
            if inactive := loaded_app(context).plugins.inactive():
                message = f"{error.message} (commands come from plugins; not active: {inactive})"
                raise click.UsageError(message, context) from None
            raise


def loaded_app(context: click.Context) -> Application:
    """The app of this run of the program: configuration read and plugins imported, nothing started."""
    root = context.find_root()
    if not isinstance(root.obj, Application):
        root.obj = load(root.params.get("config"))
    return root.obj


def rehearsed_app(context: click.Context) -> Application:
    """Another app of a command's configuration, with everything registered as for a server; see `Application.rehearse`."""
    app = Application.load(loaded_app(context).source)
    _rehearsed(app)
    return app


def run_with_app(context: click.Context, work: Work, *, alone: bool = False, roles: Role = Role.NONE) -> None:
    """Do what a command does with the app started, which is stopped again; an `ApiError` or `Invalid` ends it with its message.

    Args:
        alone: No server may run on the same data folder meanwhile.
        roles: See `Application.start`.
    """

    async def run() -> None:
        app = loaded_app(context)
        await app.start(roles, alone=alone)
        try:
            await work(app)
        except Invalid as invalid:
            raise click.ClickException("; ".join(f"{problem.path} {problem.message}" for problem in invalid.problems)) from None
        except ApiError as error:
            raise click.ClickException(str(error)) from None
        finally:
            await app.stop()

    asyncio.run(run())


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", metavar="FILE", help="The configuration file (default: $TAVERNKEEP_CONFIG, else ./config.json).")
def program(config: str | None) -> None:
    """An open server for AI node workflows."""


@program.command()
def version() -> None:
    """Show the version of the kernel and of Python."""
    click.echo(f"tavernkeep {installed_version('tavernkeep-kernel')} (Python {platform.python_version()})")


@program.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def plugins(context: click.Context, as_json: bool) -> None:
    """List the installed plugins and what becomes of them when a server starts: all that can be known before one does."""
    app = loaded_app(context)
    for problem in _rehearsed(app):
        click.echo(f"tavernkeep: {problem}", err=True)
    rows = [
        {
            "name": plugin.name,
            "status": plugin.status.value,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "description": plugin.description,
            "error": plugin.error,
        }
        for plugin in app.plugins
    ]
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        click.echo(f"{row['name']:18} {row['status']:12} {row['distribution']} {row['version']}")
        click.echo(f"{'':18} {row['error'] or row['description']}")


@program.group()
def config() -> None:
    """Check and show the configuration."""


@config.command()
@click.pass_context
def check(context: click.Context) -> None:
    """Report everything that is wrong with the configuration; exit code 1 if anything is."""
    app = loaded_app(context)
    problems = [*map(str, app.config.warnings), *_unknown_names(app), *_rehearsed(app)]
    problems += [f"{plugin} is {plugin.status}: {plugin.error}" for plugin in app.plugins if plugin.has_failed]
    for problem in problems:
        click.echo(f"{app.config.file}: {problem}", err=True)
    if problems:
        context.exit(1)
    click.echo(
        f"{app.config.file}: no problems" if app.config.file.exists() else f"{app.config.file}: not there; every key has its default"
    )


def _rehearsed(app: Application) -> list[str]:
    """What would end the start of a server, where anything would."""

    async def rehearse() -> None:
        app.rehearse()

    try:
        asyncio.run(rehearse())
    except StartError as error:
        return [str(error)]
    return []


def _unknown_names(app: Application) -> Iterator[str]:
    names, section = [plugin.name for plugin in app.plugins], app.config.section(PluginsConfig)
    for key, named in (("disabled", section.disabled), ("only", section.only or [])):
        for name in named:
            if name not in names:
                near = difflib.get_close_matches(name, names, 1)
                yield f"plugins.{key} names {name!r}, which is not installed" + (f"; there is {near[0]!r}" if near else "")


@config.command()
@click.pass_context
def show(context: click.Context) -> None:
    """Show every key with the value in force; secrets are hidden."""
    _print_json(loaded_app(context).config.to_wire())


@config.command()
@click.pass_context
def schema(context: click.Context) -> None:
    """Print the JSON Schema of the configuration file."""
    _print_json(config_schema(loaded_app(context).sections))


def fail(message: str) -> NoReturn:
    """End the program with one line on standard error."""
    print(f"tavernkeep: {message}", file=sys.stderr, flush=True)
    sys.exit(1)


def main() -> None:
    """Run the program; what stands in the way of starting is one line and exit code 1, never a traceback."""
    try:
        program(prog_name="tavernkeep")
    except ConfigError as error:
        fail("\ntavernkeep: ".join(f"{error.source}: {problem}" for problem in error.problems))
    except StartError as error:
        fail(str(error))
