"""The plugin: multi-user mode as an auth provider."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tavernkeep import ConfigSection, ModelSet, Route, Services, hookimpl
from tavernkeep.contracts.app import App, Role
from tavernkeep.contracts.auth import AuditLog, AuthProvider
from tavernkeep.contracts.storage import Storage
from tavernkeep_accounts.contracts import Accounts, Passwords, Sessions
from tavernkeep_auth_multiuser.command import user
from tavernkeep_auth_multiuser.config import NAME, MultiuserConfig
from tavernkeep_guard.contracts import Throttle
from tavernkeep_secrets.contracts import Resealing, Secrets

if TYPE_CHECKING:
    from tavernkeep_auth_multiuser.provider import MultiuserAuth


class AuthMultiuserPlugin:
    """Multi-user mode: registration, logins, sessions, roles, one-time codes."""

    requires = ("accounts", "guard", "secrets")

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        return [ConfigSection("auth.multiuser", MultiuserConfig)]

    @hookimpl
    def register_models(self) -> list[ModelSet]:
        return [ModelSet("auth_multiuser", "tavernkeep_auth_multiuser.models", Path(__file__).parent / "migrations")]

    @hookimpl
    def register_services(self, app: App, services: Services, owner: str) -> None:
        from tavernkeep_auth_multiuser.service import Logins

        logins = Logins(
            services.get(Storage),
            services.get(Accounts),
            services.get(Sessions),
            services.get(Passwords),
            services.get(Secrets),
            app.config.section(MultiuserConfig),
        )
        services.add(Logins, logins, owner=owner)

    @hookimpl
    def auth_provider(self, app: App) -> "MultiuserAuth":
        from tavernkeep_auth_multiuser.provider import MultiuserAuth
        from tavernkeep_auth_multiuser.service import Logins

        return MultiuserAuth(app.services.get(Accounts), app.services.get(Sessions), app.services.get(Logins))

    @hookimpl
    async def startup(self, app: App) -> None:
        from tavernkeep_auth_multiuser.service import Logins

        if (
            Role.FRONT in app.roles
            and app.services.get(AuthProvider).name == NAME
            and (token := await app.services.get(Logins).prepare_first())
        ):
            # On standard error and not in the log, which others may read later.
            print(
                f"tavernkeep: there is no administrator yet; register the first at /api/auth/register with the token {token}",
                file=sys.stderr,
                flush=True,
            )

    @hookimpl
    async def reseal(self, again: Resealing) -> int:
        from tavernkeep_auth_multiuser.models import Login

        return await again.rows(Login.all(), "totp")

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        if app.services.get(AuthProvider).name != NAME:
            return []
        from tavernkeep_auth_multiuser.oidc import Oidc
        from tavernkeep_auth_multiuser.routes import LoginRoutes
        from tavernkeep_auth_multiuser.service import Logins

        services, config = app.services, app.config.section(MultiuserConfig)
        return LoginRoutes(
            services.get(Logins),
            services.get(Accounts),
            services.get(Sessions),
            services.get(Throttle),
            services.get(AuditLog),
            config.secure_cookies == "always",
            Oidc(config.oidc, services.get(Storage), services.get(Secrets), services.get(Accounts)) if config.oidc.issuer else None,
        ).routes()

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        return [user]
