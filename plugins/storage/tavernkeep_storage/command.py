"""`tavernkeep migrate`, and `tavernkeep new-migration APP NAME` for who changes a plugin's tables."""

import asyncio

import click

from tavernkeep import ModelSet
from tavernkeep.app import Application
from tavernkeep.cli import loaded_app
from tavernkeep.config.sections import StorageConfig
from tavernkeep_storage.door import TortoiseDoor


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.pass_context
def migrate(context: click.Context, dry_run: bool) -> None:
    """Bring the database up to date."""
    asyncio.run(_migrate(loaded_app(context), dry_run))


async def _migrate(app: Application, dry_run: bool) -> None:
    try:
        await app.open_storage()
        if app.storage is None:
            click.echo("no plugin has tables")
            return
        migrations = await (app.storage.pending() if dry_run else app.storage.migrate())
        for migration in migrations:
            click.echo(f"{'would apply' if dry_run else 'applied'} {migration.app} {migration.version}")
        if not migrations:
            click.echo("the database is up to date")
    finally:
        await app.stop()


@click.command()
@click.argument("app_label", metavar="APP")
@click.argument("name")
@click.pass_context
def new_migration(context: click.Context, app_label: str, name: str) -> None:
    """Write a migration for the tables of APP, a plugin's app label. It is the only thing that is written."""
    from tavernkeep_storage.migrations import write

    app = loaded_app(context)
    wanted = app.config.section(StorageConfig).provider
    providers = [provider for _, provider in app.plugins.call("storage_provider", app=app) if provider.name == wanted]
    if not providers or not isinstance(providers[0], TortoiseDoor):
        raise click.UsageError(f"storage.provider is {wanted!r}, which has no migrations of this kind")
    models = [model_set for _, registered in app.plugins.collect("register_models", ModelSet) for model_set in registered]
    if app_label not in [model_set.app for model_set in models]:
        raise click.UsageError(f"no plugin has tables of {app_label!r}; there are {', '.join(model_set.app for model_set in models)}")
    written = asyncio.run(write(models, app_label, name, providers[0].dialect, providers[0].offline()))
    click.echo(f"wrote {written}" if written else f"the tables of {app_label} have not changed")
