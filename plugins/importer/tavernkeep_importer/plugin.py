"""The plugin: `tavernkeep import`."""

import click

from tavernkeep import hookimpl


class ImporterPlugin:
    """Takes over an installation of ComfyTavern, or a user's folder of SillyTavern: `tavernkeep import DIR`."""

    requires = ("accounts", "files")

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        from tavernkeep_importer.command import import_

        return [import_]
