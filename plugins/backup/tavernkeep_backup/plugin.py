"""Backups of the server, made while it runs, and putting them back: `tavernkeep backup` and `tavernkeep restore`."""

import click

from tavernkeep import hookimpl


@hookimpl
def register_commands() -> list[click.Command]:
    from tavernkeep_backup.command import backup, restore

    return [backup, restore]
