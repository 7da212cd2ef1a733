"""`tavernkeep backup` and `tavernkeep restore`."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from tavernkeep.app import Application
from tavernkeep.cli import loaded_app
from tavernkeep.contracts.storage import ModelSet
from tavernkeep_storage.contracts import CopyError, CopyingProvider

_MOST_TOLD: Final = 20


class _Told:
    """Says on standard error what is left out, and counts what there is too much of to say."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, text: str) -> None:
        self._count += 1
        if self._count <= _MOST_TOLD:
            click.echo(f"tavernkeep: {_plain(text)}", err=True)

    def end(self) -> None:
        if self._count > _MOST_TOLD:
            click.echo(f"tavernkeep: … and {self._count - _MOST_TOLD} more like these", err=True)


@click.command()
@click.argument("target", metavar="FILE|DIR", type=click.Path(path_type=Path))
@click.option("--with-key", is_flag=True, help="With the key that secrets are sealed with; the backup is then as secret as they are.")
@click.option("--force", is_flag=True, help="In the place of a backup that has this name.")
@click.pass_context
def backup(context: click.Context, target: Path, with_key: bool, force: bool) -> None:
    """Back up everything that the server keeps, also while it runs.

    The database, all files and the configuration, into an archive (a name that ends in .tar.gz or .tgz) or a folder (any other name). It is
    read again from its beginning to its end before it gets its name.
    """
    from tavernkeep_backup.making import Making
    from tavernkeep_backup.manifest import KEY

    app, told = loaded_app(context), _Told()
    with _said("backed up"):
        manifest = Making(app.config, *_storage(app), _named(target), with_key, force, told).run()
    told.end()
    head = manifest.head
    click.echo(
        f"backed up {head.files} files, {head.bytes} bytes, into {target};"
        f" the database has {head.row_count} rows in {len(head.rows)} tables"
    )
    if not with_key:
        key = app.config.data / KEY
        click.echo(f"without the key that secrets are sealed with: keep {key} in another place, or give --with-key")


@click.command()
@click.argument("source", metavar="FILE|DIR", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Move aside what is in the data folder.")
@click.pass_context
def restore(context: click.Context, source: Path, force: bool) -> None:
    """Put a backup into the data folder of the configuration, which no server may use meanwhile.

    Nothing is changed before all of it has been unpacked and found to be whole.
    """
    from tavernkeep_backup.manifest import KEY
    from tavernkeep_backup.restoring import Restoring

    app, told = loaded_app(context), _Told()
    with _said("restored"):
        try:
            storage = _storage(app)
            app.open_data_folder(exclusive=True)
            manifest = Restoring(app.config, *storage, source, force, told).run()
        finally:
            asyncio.run(app.stop())
    if manifest is None:
        click.echo("finished a restore that had been cut off; to put another backup there, run it again with --force")
        return
    head = manifest.head
    made = _plain(f"as of {head.created_at} (version {head.version})")
    click.echo(f"restored {head.files} files, {head.bytes} bytes, {made}, into {app.config.data}")
    if KEY not in manifest.entries:
        here = app.config.data / KEY
        stays = f"; {here}, which was here, has stayed" if here.exists() else ""
        click.echo(
            "the key is not in it: credentials, and workflows that were running, can be opened only with that of the server that was"
            f" backed up. Before a server starts, put its master.key at {here}, or the key into the configuration"
            f" (security.masterEncryptionKeyValue){stays}"
        )


def _storage(app: Application) -> tuple[CopyingProvider, list[ModelSet]]:
    from tavernkeep_backup.manifest import BackupError

    models = app.choose_storage()
    if not isinstance(app.storage, CopyingProvider):
        raise BackupError("there is no database" if app.storage is None else f"a database of {app.storage.name!r} cannot be copied")
    return app.storage, models


def _named(target: Path) -> Path:
    """Where a new file or folder will be; a link that has its name is not followed."""
    absolute = Path(os.path.abspath(target))
    return absolute.parent.resolve() / absolute.name


@contextmanager
def _said(done: str) -> Iterator[None]:
    """End the program with one line for what stands in the way; to be told to end is to be interrupted, so that everything is tidied up."""
    from tavernkeep_backup.manifest import BackupError

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except (BackupError, CopyError) as error:
        raise click.ClickException(f"not {done}: {_plain(str(error))}") from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise click.ClickException(f"not {done}: {_plain(where)}{error.strerror or error}") from None


def _plain(text: str) -> str:
    """A text that may come from a backup, without what steers a terminal."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
