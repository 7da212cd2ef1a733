"""`tavernkeep access-password`."""

import sys

import click

from tavernkeep.cli import run_with_app
from tavernkeep.contracts.app import App
from tavernkeep_accounts.contracts import Passwords


@click.command("access-password")
@click.pass_context
def access_password(context: click.Context) -> None:
    """Hash a password for `userManagement.accessPasswordHash`; it is asked for, or read from standard input."""
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if len(password) < 10:
        raise click.ClickException("a password has at least 10 characters")

    async def work(app: App) -> None:
        click.echo(await app.services.get(Passwords).hash(password))

    run_with_app(context, work)
