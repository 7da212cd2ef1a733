"""`tavernkeep nodes`: the node types of the installed plugins."""

import json

import click

from tavernkeep.cli import loaded_app
from tavernkeep_plugin_admin.shown import shown_node


@click.command()
@click.argument("type_", metavar="[TYPE]", required=False)
@click.pass_context
def nodes(context: click.Context, type_: str | None) -> None:
    """List the node types, or show one whole."""
    app = loaded_app(context)
    app.collect_nodes()
    if type_ is None:
        for definition in sorted(app.nodes, key=lambda d: d.full_type):
            click.echo(f"{definition.full_type:34} {definition.description}")
        return
    found = app.nodes.get(type_)
    if found is None:
        raise click.ClickException(f"there is no node type {type_!r}; `tavernkeep nodes` lists them")
    shown = {"fullType": found.full_type, "from": app.nodes.owner_of(type_)} | shown_node(found)
    click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
