"""The plugin: single-user mode as an auth provider."""

import sys

import click

from tavernkeep import ConfigSection, Route, StartError, hookimpl
from tavernkeep.cli import run_with_app
from tavernkeep.contracts.app import App
from tavernkeep.contracts.auth import AuditLog, AuthProvider
from tavernkeep_accounts.contracts import Accounts, Passwords, Sessions
from tavernkeep_auth_local.config import AccessConfig, AuthLocalConfig
from tavernkeep_auth_local.provider import LocalAuth
from tavernkeep_guard.contracts import Throttle


class AuthLocalPlugin:
    """Single-user mode: one default user, reachable from the machine itself or with a password."""

    requires = ("accounts",)

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        return [ConfigSection("auth.local", AuthLocalConfig), ConfigSection("userManagement", AccessConfig)]

    @hookimpl
    def auth_provider(self, app: App) -> LocalAuth:
        config, hashed = app.config.section(AuthLocalConfig), app.config.section(AccessConfig).access_password_hash
        return LocalAuth(app.services.get(Accounts), app.services.get(Sessions), config, has_password=hashed is not None)

    @hookimpl
    def startup(self, app: App) -> None:
        hashed = app.config.section(AccessConfig).access_password_hash
        local = isinstance(app.services.get(AuthProvider), LocalAuth)
        if local and hashed and not app.services.get(Passwords).is_hash(hashed):
            raise StartError(
                "userManagement.accessPasswordHash is not an argon2 hash, so nobody could log in with it: "
                "make one with `tavernkeep access-password`"
            )

        if local and hashed and app.services.find(Throttle) is None:
            raise StartError("userManagement.accessPasswordHash needs the plugin guard, which slows down who guesses: enable it")

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        hashed, services = app.config.section(AccessConfig).access_password_hash, app.services
        provider = services.get(AuthProvider)
        if not isinstance(provider, LocalAuth) or not hashed:
            return []
        from tavernkeep_auth_local.login import AccessRoutes

        return AccessRoutes(
            provider,
            hashed,
            services.get(Sessions),
            services.get(Passwords),
            services.get(Throttle),
            services.find(AuditLog),
        ).routes()

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        return [access_password]


@click.command("access-password")
@click.pass_context
def access_password(context: click.Context) -> None:
    """Hash a password for `userManagement.accessPasswordHash`; it is asked for, or read from standard input."""
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if len(password) < 10:
        raise click.ClickException("a password has at least 10 characters")

    async def work(app: App) -> None:
        click.echo(await app.services.get(Passwords).hash(password))

    run_with_app(context, work)
