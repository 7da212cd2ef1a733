"""`tavernkeep import DIR`."""

import asyncio
from pathlib import Path

import click

from tavernkeep.cli import loaded_app
from tavernkeep_importer.installation import Installation
from tavernkeep_importer.takeover import Takeover


@click.command("import")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--database", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its database; looked for in DIR.")
@click.option("--user-data", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Its folder with a folder for each user.")
@click.option("--library", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Its shared library.")
@click.option("--master-key", envvar="MASTER_ENCRYPTION_KEY", help="What its credentials are sealed with; its config.json's when left out.")
@click.pass_context
def import_(
    context: click.Context,
    folder: Path,
    dry_run: bool,
    database: Path | None,
    user_data: Path | None,
    library: Path | None,
    master_key: str | None,
) -> None:
    """Take over an installation of ComfyTavern.

    Its configuration, users, API keys, credentials, LLM channels and models, the users' files and the shared library. What is here already
    is left as it is, so that it can be run again; nothing in DIR changes. Passwords are not taken over.
    """
    app = loaded_app(context)
    source = Installation.find(folder.resolve(), database, user_data, library, master_key)
    click.echo(f"{'What would be taken over' if dry_run else 'Taking over'} from {source.folder} into {app.config.data}:")
    asyncio.run(Takeover(app, source, dry_run).run())
