"""`tavernkeep import DIR`."""

import asyncio
from pathlib import Path

import click

from tavernkeep import UserContext
from tavernkeep.cli import loaded_app, rehearsed_app, run_with_app
from tavernkeep.contracts.app import App
from tavernkeep_accounts.contracts import DEFAULT_UID, Accounts
from tavernkeep_importer.installation import Installation
from tavernkeep_importer.sillytavern.folder import user_folder
from tavernkeep_importer.sillytavern.takeover import SillyTavernTakeover
from tavernkeep_importer.takeover import Takeover


@click.command("import")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--user", metavar="NAME", help="Of SillyTavern: whose here it becomes; the default user's when left out.")
@click.option("--project", default="SillyTavern", show_default=True, help="Of SillyTavern: the project that its chats go into.")
@click.option("--with-keys", is_flag=True, help="Of SillyTavern: take the API keys of its connections over too.")
@click.option("--database", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its database; looked for in DIR.")
@click.option("--user-data", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Its folder with a folder for each user.")
@click.option("--library", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Its shared library.")
@click.option("--master-key", envvar="MASTER_ENCRYPTION_KEY", help="What its credentials are sealed with; its config.json's when left out.")
@click.pass_context
def import_(
    context: click.Context,
    folder: Path,
    dry_run: bool,
    user: str | None,
    project: str,
    with_keys: bool,
    database: Path | None,
    user_data: Path | None,
    library: Path | None,
    master_key: str | None,
) -> None:
    """Take over an installation of ComfyTavern, or a user's folder of SillyTavern.

    Of ComfyTavern its configuration, users, API keys, credentials, LLM channels and models, the users' files and the shared library.
    Passwords are not taken over. Of SillyTavern (data/default-user, an installation with one user, or the older public) characters, chats,
    groups, worlds, regex scripts, presets, themes, pictures, and of the settings names, what is active and connections, without keys.

    What is here already is left as it is, so that it can be run again; nothing in DIR changes.
    """
    app = loaded_app(context)
    try:
        silly = user_folder(folder.resolve())
    except OSError as error:
        raise click.ClickException(f"{folder} cannot be read: {error.strerror}") from None
    if silly is not None:
        click.echo(f"{'What would be taken over' if dry_run else 'Taking over'} from {silly} (SillyTavern) into {app.config.data}:")

        async def take_over(app: App) -> None:
            default = UserContext(DEFAULT_UID, DEFAULT_UID)
            of = default if dry_run and user is None else await _account(app.services.get(Accounts), user)
            await SillyTavernTakeover(app.services, silly, of, project, with_keys, dry_run).run()

        if dry_run and user is None:
            asyncio.run(take_over(rehearsed_app(context)))
        elif dry_run and not app.config.data.is_dir():
            raise click.ClickException(f"there is no user {user!r}: there is no {app.config.data} yet")
        else:  # whose files those are that are here already, the database alone knows
            run_with_app(context, take_over, alone=not dry_run)
        return
    source = Installation.find(folder.resolve(), database, user_data, library, master_key)
    click.echo(f"{'What would be taken over' if dry_run else 'Taking over'} from {source.folder} into {app.config.data}:")
    asyncio.run(Takeover(app, source, dry_run).run())


async def _account(accounts: Accounts, name: str | None) -> UserContext:
    account = await accounts.default() if name is None else await accounts.find(name) or await accounts.get(name)
    if account is None:
        raise click.ClickException(f"there is no user {name!r}")
    return UserContext(account.uid, account.username, account.is_admin)
