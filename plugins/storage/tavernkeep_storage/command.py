"""`tavernkeep new-migration APP NAME`: for who changes a plugin's tables."""

import asyncio

import click

from tavernkeep import ModelSet
from tavernkeep.cli import loaded_app
from tavernkeep.config.sections import StorageConfig
from tavernkeep_storage.door import TortoiseDoor


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
