"""`tavernkeep new-node-pack`."""

from pathlib import Path

import click

from tavernkeep_devkit.new_pack import make_node_pack


@click.command()
@click.argument("name")
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="The folder to make it in (default: here).")
def new_node_pack(name: str, into: Path) -> None:
    """Make a node pack called NAME, with tests that pass.

    NAME is made of lower-case letters, digits and `_` or `-`; its node types are NAME:Something.
    """
    folder = make_node_pack(name, into)
    click.echo(f"made {folder}\n  try: pip install -e '{folder}[test]' && pytest {folder}")
