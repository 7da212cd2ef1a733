"""`tavernkeep user …`."""

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import click

from tavernkeep import ApiError
from tavernkeep.cli import run_with_app
from tavernkeep.contracts.app import App
from tavernkeep.contracts.auth import AuditLog
from tavernkeep.contracts.storage import Storage
from tavernkeep_accounts.contracts import DEFAULT_UID, Account, Accounts

if TYPE_CHECKING:
    from tavernkeep_auth_multiuser.service import Logins

ROLES = click.Choice(["admin", "user", "viewer"])


@click.group()
def user() -> None:
    """Make and manage the users of multi-user mode."""


def _run(context: click.Context, work: Callable[[Accounts, "Logins"], Awaitable[None]], action: str, target: str) -> None:
    async def noted(app: App) -> None:
        from tavernkeep_auth_multiuser.service import Logins

        await work(app.services.get(Accounts), app.services.get(Logins))
        if action:
            app.services.get(AuditLog).note(action, None, target=target, by="command line")

    run_with_app(context, noted)


async def _named(accounts: Accounts, name: str) -> Account:
    account = await accounts.find(name)
    if account is None:
        raise ApiError(404, f"There is no user {name!r}.")
    return account


def _password(given: str | None) -> str:
    if given is not None:
        return given
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    text: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return text


@user.command()
@click.argument("name")
@click.option("--admin", is_flag=True, help="As an administrator; short for --role admin.")
@click.option("--role", type=ROLES, default="user", help="What the user may do.")
@click.option("--password", envvar="TAVERNKEEP_NEW_PASSWORD", help="The password; asked for, or read from standard input, when left out.")
@click.pass_context
def create(context: click.Context, name: str, admin: bool, role: Any, password: str | None) -> None:
    """Make a user."""
    secret = _password(password)

    async def work(accounts: Accounts, logins: "Logins") -> None:
        account = await logins.create(name, secret, "admin" if admin else role)
        click.echo(f"made {account.role} {account.username}, {account.uid}")

    _run(context, work, "user.created", name)


@user.command("list")
@click.pass_context
def list_(context: click.Context) -> None:
    """List the users."""

    async def work(accounts: Accounts, logins: "Logins") -> None:
        for account in await accounts.everyone():
            state = "disabled" if account.disabled else ""
            click.echo(f"{account.uid:38} {account.role:8} {account.username} {state}".rstrip())

    _run(context, work, "", "")


@user.command()
@click.argument("name")
@click.option("--undo", is_flag=True, help="Let the user in again.")
@click.pass_context
def disable(context: click.Context, name: str, undo: bool) -> None:
    """Shut a user out: no login, no session, no key of theirs is good."""

    async def work(accounts: Accounts, logins: "Logins") -> None:
        account = await accounts.change((await _named(accounts, name)).uid, disabled=not undo)
        click.echo(f"{account.username} is {'disabled' if account.disabled else 'enabled'}")

    _run(context, work, "user.changed", name)


@user.command()
@click.argument("name")
@click.option("--password", envvar="TAVERNKEEP_NEW_PASSWORD", help="The password; asked for, or read from standard input, when left out.")
@click.option("--totp", is_flag=True, help="Ask for no one-time codes any more, either.")
@click.pass_context
def reset(context: click.Context, name: str, password: str | None, totp: bool) -> None:
    """Give a user another password."""
    secret = _password(password)

    async def work(accounts: Accounts, logins: "Logins") -> None:
        account = await _named(accounts, name)
        await logins.set_password(account, secret)
        if totp:
            await logins.end_totp(account.uid)
        click.echo(f"{account.username} has another password")

    _run(context, work, "user.reset", name)


@user.command()
@click.argument("name")
@click.option("--back", is_flag=True, help="From the account back to the local user.")
@click.pass_context
def adopt(context: click.Context, name: str, back: bool) -> None:
    """Give an account all that the local user of single-user mode has, or back.

    Nothing is overwritten: what the other has already under the same name stays with both, and is named.
    """

    async def work(app: App) -> None:
        accounts = app.services.get(Accounts)
        await accounts.default()
        account = await accounts.find(name)
        if account is None or account.uid == DEFAULT_UID:
            raise click.ClickException(f"there is no account {name!r}")
        source, target = (account.uid, DEFAULT_UID) if back else (DEFAULT_UID, account.uid)
        stays: list[str] = []
        async with app.services.get(Storage).transaction():
            async for plugin, error, left in app.plugins.agather("hand_over", source=source, target=target, app=app):
                if error is not None:
                    raise click.ClickException(f"{plugin.name}: {error}; nothing in the database has changed hands")
                stays += [f"{plugin.name}: {line}" for line in left or ()]
        for line in stays:
            click.echo(line)
        click.echo(f"{name} has given back all" if back else f"{name} has all that the local user had")
        app.services.get(AuditLog).note("user.adopted", None, target=account.uid, back=back)

    run_with_app(context, work, alone=True)
