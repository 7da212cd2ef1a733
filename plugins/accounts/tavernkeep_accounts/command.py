"""`tavernkeep key …`."""

from datetime import timedelta
from typing import Any

import click

from tavernkeep import ApiError
from tavernkeep.cli import rehearsed_app, run_with_app
from tavernkeep.clock import now
from tavernkeep.contracts.app import App
from tavernkeep.contracts.auth import AuditLog
from tavernkeep.contracts.plugins import PluginStatus
from tavernkeep.contracts.storage import Storage
from tavernkeep_accounts.contracts import Accounts
from tavernkeep_accounts.scopes import check_scopes, known_scopes
from tavernkeep_secrets.contracts import Secrets


@click.group()
def key() -> None:
    """Make and revoke API keys, and rotate the key that secrets are sealed with."""


def _note(app: App, action: str, target: str, **details: Any) -> None:
    app.services.get(AuditLog).note(action, None, target=target, by="command line", **details)


@key.command()
@click.option("--user", "username", help="Whose; the local user's when left out.")
@click.option("--name", help="What it is for.")
@click.option("--scope", "scopes", multiple=True, help="What it may do; everything that its user may when left out.")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="How long it is good.")
@click.pass_context
def create(context: click.Context, username: str | None, name: str | None, scopes: tuple[str, ...], days: float | None) -> None:
    """Make an API key and print it, this once."""

    known = known_scopes(rehearsed_app(context)) if scopes else frozenset()

    async def work(app: App) -> None:
        check_scopes(scopes, known)
        accounts = app.services.get(Accounts)
        account = await accounts.find(username) if username else await accounts.default()
        if account is None:
            raise ApiError(404, f"There is no user {username!r}.")
        expires = now() + timedelta(days=days) if days else None
        made = await accounts.make_key(account.uid, name, scopes or ("*",), expires)
        _note(app, "key.created", made["id"], scopes=list(scopes) or ["*"], owner=account.uid)
        click.echo(made["secret"])

    run_with_app(context, work)


@key.command()
@click.argument("which", metavar="KEY")
@click.pass_context
def revoke(context: click.Context, which: str) -> None:
    """Revoke an API key: its id, the key itself, or what it begins with. A running server refuses it from its next request on."""

    async def work(app: App) -> None:
        accounts = app.services.get(Accounts)
        found = [entry for entry in await accounts.every_key() if entry.id == which or which.startswith(entry.prefix)]
        if len(found) != 1:
            raise ApiError(404, "There is no such key." if not found else "Several keys begin so; name one by its id.")
        await accounts.delete_key(found[0].uid, found[0].id)
        _note(app, "key.revoked", found[0].id)
        click.echo(f"revoked {found[0].prefix}… of {found[0].uid}")

    run_with_app(context, work)


async def _silent(app: App) -> list[str]:
    """Who may keep secrets and is not there to seal them anew: plugins that are not active, and tables of which nobody knows."""
    failed = {p.name for p in app.plugins if p.status is not PluginStatus.ACTIVE and hasattr(p.implementation, "reseal")}
    return sorted(failed | set(await app.services.get(Storage).left_over()))


@key.command()
@click.option("--forget", is_flag=True, help="Also where plugins that are not active may keep secrets: nobody can open those any more.")
@click.pass_context
def rotate(context: click.Context, forget: bool) -> None:
    """Seal every stored secret anew, with a new key.

    The key file gets a new key. Where the key is configured instead, set the new one there and the one before in `secrets.previousKey`.
    Should it be cut off, run it again: nothing is lost.
    """

    async def work(app: App) -> None:
        secrets = app.services.get(Secrets)
        if not forget and (silent := await _silent(app)):
            raise ApiError(
                409,
                f"These are not active, so that nobody could open any more what they keep sealed: {', '.join(silent)}."
                " Activate them first, or give --forget.",
            )
        total = 0
        async for plugin, error, count in app.plugins.agather("reseal", again=secrets.begin_rotation()):
            if error is not None:
                raise ApiError(500, f"{plugin.name}: {error}; the keys before are kept, so nothing is lost")
            total += count or 0
        secrets.end_rotation()
        _note(app, "secrets.rotated", "", count=total)
        click.echo(f"sealed {total} secrets anew")

    run_with_app(context, work, alone=True)
