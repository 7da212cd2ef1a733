"""`tavernkeep audit`."""

import json

import click

from tavernkeep.cli import run_with_app
from tavernkeep.contracts.app import App
from tavernkeep.contracts.auth import AuditLog
from tavernkeep.wire import unstructure


@click.command()
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, help="How many of the last entries.")
@click.option("--action", help="Only those whose action begins so: login, key.")
@click.option("--json", "as_json", is_flag=True, help="For programs: an object a line.")
@click.pass_context
def audit(context: click.Context, limit: int, action: str | None, as_json: bool) -> None:
    """Show the audit log: logins, keys, roles, changes of plugins and configuration."""

    async def work(app: App) -> None:
        from tavernkeep_guard.audit import Audit

        log = app.services.get(AuditLog)
        assert isinstance(log, Audit), "this command is the audit log's own"
        for entry in await log.entries(limit=limit, action=action):
            if as_json:
                click.echo(json.dumps(unstructure(entry), ensure_ascii=False))
            else:
                details = " ".join(f"{key}={value}" for key, value in entry.details.items())
                click.echo(f"{entry.at} {entry.action:20} {entry.username or '-':20} {entry.address or '-':15} {entry.target} {details}")

    run_with_app(context, work)
