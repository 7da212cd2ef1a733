"""The plugin: single-user mode as an auth provider."""

import click

from tavernkeep import ConfigSection, Route, StartError, hookimpl
from tavernkeep.contracts.app import App
from tavernkeep.contracts.auth import AuditLog, AuthProvider
from tavernkeep_accounts.contracts import Accounts, Passwords, Sessions
from tavernkeep_auth_local.command import access_password
from tavernkeep_auth_local.config import AccessConfig, AuthLocalConfig
from tavernkeep_auth_local.provider import LocalAuth
from tavernkeep_guard.contracts import Throttle


class AuthLocalPlugin:
    """Single-user mode: one default user, reachable from the machine itself or with a password."""

    requires: tuple[str, ...] = ("accounts",)

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        return [ConfigSection("auth.local", AuthLocalConfig), ConfigSection("userManagement", AccessConfig)]

    @hookimpl
    def auth_provider(self, app: App) -> LocalAuth:
        config, hashed = app.config.section(AuthLocalConfig), app.config.section(AccessConfig).access_password_hash
        if hashed and app.config.auth_provider == LocalAuth.name:
            self.requires = ("accounts", "guard")  # which slows down who guesses the password
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
        from tavernkeep_auth_local.routes import AccessRoutes

        return AccessRoutes(
            provider,
            hashed,
            services.get(Sessions),
            services.get(Passwords),
            services.get(Throttle),
            services.get(AuditLog),
        ).routes()

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        return [access_password]
