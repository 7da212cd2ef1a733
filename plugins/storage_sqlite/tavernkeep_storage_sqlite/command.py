"""`tavernkeep new-migration APP NAME`: for who changes a plugin's tables."""

import asyncio

import click

from tavernkeep.app import Application
from tavernkeep.cli import loaded_app
from tavernkeep_storage_sqlite.provider import SqliteStorage


@click.command()
@click.argument("app_label", metavar="APP")
@click.argument("name")
@click.pass_context
def new_migration(context: click.Context, app_label: str, name: str) -> None:
    """Write a migration for the tables of APP, a plugin's app label."""
    written = asyncio.run(_write(loaded_app(context), app_label, name))
    click.echo(f"wrote {written}" if written else f"the tables of {app_label} have not changed")


async def _write(app: Application, label: str, name: str) -> str | None:
    await app.open_storage()
    try:
        if not isinstance(app.storage, SqliteStorage):
            raise click.UsageError("storage.provider is not 'sqlite'")
        if label not in app.storage.apps:
            raise click.UsageError(f"no plugin has tables of {label!r}; there are {', '.join(app.storage.apps)}")
        return await app.storage.write_migration(label, name)
    finally:
        await app.stop()
