"""Migrations, with aerich: each plugin's own, in order."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aerich.exceptions import NotSupportError
from tortoise import Tortoise
from tortoise.exceptions import BaseORMException, OperationalError

from tavernkeep import ModelSet, StartError
from tavernkeep.contracts.storage import Migration, Unavailable
from tavernkeep_storage.aerich_alone import Command
from tavernkeep_storage.orm import CONNECTION, orm_config


async def pending(models: Sequence[ModelSet], dialect: str) -> list[Migration]:
    """What is not applied yet.

    Raises:
        StartError: Some tables have no migrations for the dialect.
    """
    found = []
    for model_set in models:
        applied = await _applied(model_set.app)
        versions = sorted((path.name for path in _files(model_set, dialect)), key=lambda name: int(name.partition("_")[0]))
        found += [Migration(model_set.app, version) for version in versions if version not in applied]
    return found


def unknown(applied: Sequence[Migration], models: Sequence[ModelSet], dialect: str) -> list[Migration]:
    """Of migrations that are applied somewhere, those that the tables here do not have; of other tables nothing can be said."""
    versions = {model_set.app: {path.name for path in _files(model_set, dialect)} for model_set in models}
    return [migration for migration in applied if migration.version not in versions.get(migration.app, (migration.version,))]


def _folder(model_set: ModelSet, dialect: str) -> Path:
    return model_set.migrations / dialect / model_set.app


def _files(model_set: ModelSet, dialect: str) -> list[Path]:
    folder = _folder(model_set, dialect)
    if files := list(folder.glob("[0-9]*_*.py")):
        return files
    raise StartError(f"the tables of {model_set.app!r} have no migrations for {dialect}: there are none in {folder}")


async def _applied(app: str) -> set[str]:
    try:
        rows = await Tortoise.get_connection(CONNECTION).execute_query_dict("SELECT app, version FROM aerich")
    except OperationalError:  # nothing was ever applied
        return set()
    return {row["version"] for row in rows if row["app"] == app}


async def apply(models: Sequence[ModelSet], dialect: str, config: Mapping[str, Any]) -> list[Migration]:
    """Apply what is pending; gives what was. Each migration happens as a whole, or not.

    Raises:
        StartError: One of them failed.
    """
    waiting = await pending(models, dialect)  # looked at again: another process may have been here
    applied = []
    for model_set in models:
        if any(migration.app == model_set.app for migration in waiting):
            # aerich keeps its state on the class: one app after the other, and no connection closed in between.
            command = Command(dict(config), app=model_set.app, location=str(model_set.migrations / dialect))
            try:
                await command.init()
                applied += [Migration(model_set.app, version) for version in await command.upgrade()]
            except (BaseORMException, Unavailable) as error:
                raise StartError(f"the tables of {model_set.app!r} cannot be migrated: {error}") from None
    return applied


async def write(model_sets: Sequence[ModelSet], app: str, name: str, dialect: str, offline: Mapping[str, Any]) -> str | None:
    """Write the migration that brings a plugin's tables from its last one to its models; gives its file name, `None` where nothing changed.

    It goes into the plugin's own folder, so it is for plugins that are installed from their sources, and nothing else is written: no
    database is opened. Call it once in a process.

    Args:
        offline: A connection of the dialect to nothing.
    """
    model_set = next(entry for entry in model_sets if entry.app == app)
    folder = _folder(model_set, dialect)
    first = not any(folder.glob("[0-9]*_*.py"))
    # The first one is made of all tables that aerich sees: it is to see no other plugin's.
    config = orm_config(offline, [model_set] if first else model_sets)
    await Tortoise.init(config=config)
    command = Command(config, app=app, location=str(model_set.migrations / dialect))
    try:
        if first:
            await command.init_migrations(safe=True)
            return next(folder.glob("[0-9]*_*.py")).name
        await command.init(offline=True)  # what counts is the last migration's file, whatever any database has seen of it
        try:
            return await command.migrate(name, no_input=True, offline=True) or None
        except NotSupportError:  # of SQLite: that a column has changed
            written = await command.migrate(name, empty=True, no_input=True, offline=True)
            return f"{written}, without statements: aerich knows none for {dialect}, so they are yours to write"
    finally:
        await Tortoise.close_connections()
