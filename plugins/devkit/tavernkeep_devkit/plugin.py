"""A node pack to begin with, and fixtures for the tests of plugins."""

import click

from tavernkeep import hookimpl


@hookimpl
def register_commands() -> list[click.Command]:
    from tavernkeep_devkit.command import new_node_pack

    return [new_node_pack]
