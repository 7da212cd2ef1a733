"""`tavernkeep serve`."""

import click

from tavernkeep.cli import loaded_app


@click.command()
@click.option("--host", help="Listen on this address instead of the configured one.")
@click.option("--port", type=click.IntRange(0, 65535), help="Listen on this port instead of the configured one; 0 takes any free one.")
@click.pass_context
def serve(context: click.Context, host: str | None, port: int | None) -> None:
    """Run the server, until Ctrl-C or SIGTERM."""
    from tavernkeep_web.server import run

    context.exit(run(loaded_app(context), host, port))
