"""The plugin: users, in the database."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tavernkeep import ConfigSection, ModelSet, Route, Services, hookimpl
from tavernkeep.contracts.app import App
from tavernkeep.contracts.auth import AuditLog, Revocations
from tavernkeep.contracts.storage import Storage
from tavernkeep_accounts import hookspecs
from tavernkeep_accounts.command import key
from tavernkeep_accounts.config import SessionConfig
from tavernkeep_accounts.contracts import Accounts, Passwords, Sessions
from tavernkeep_guard.contracts import Pictures
from tavernkeep_secrets.contracts import Resealing, Secrets

if TYPE_CHECKING:
    from tavernkeep_accounts.service import UserAccounts


class AccountsPlugin:
    """Users, their API keys and credentials, and the service through which auth providers find them."""

    requires = ("secrets",)

    def __init__(self) -> None:
        self._accounts: UserAccounts | None = None

    @hookimpl
    def register_hookspecs(self) -> list[object]:
        return [hookspecs]

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        return [ConfigSection("sessions", SessionConfig)]

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        return [key]

    @hookimpl
    def register_models(self) -> list[ModelSet]:
        return [ModelSet("accounts", "tavernkeep_accounts.models", Path(__file__).parent / "migrations")]

    @hookimpl
    def register_services(self, app: App, services: Services, owner: str) -> None:
        from tavernkeep_accounts.passwords import Argon2Passwords
        from tavernkeep_accounts.service import UserAccounts
        from tavernkeep_accounts.sessions import UserSessions

        storage, revocations, config = services.get(Storage), services.get(Revocations), app.config.section(SessionConfig)
        self._accounts = UserAccounts(storage, services.get(Secrets), revocations)
        services.add(Accounts, self._accounts, owner=owner)
        services.add(Sessions, UserSessions(storage, revocations, config), owner=owner)
        services.add(Passwords, Argon2Passwords(), owner=owner)

    @hookimpl
    async def hand_over(self, source: str, target: str) -> list[str]:
        from tavernkeep_accounts.models import Credential, ServiceKey

        await ServiceKey.filter(user_id=source).update(user_id=target)
        await Credential.filter(user_id=source).update(user_id=target)
        return []

    @hookimpl
    async def reseal(self, again: Resealing) -> int:
        from tavernkeep_accounts.models import Credential

        return await again.rows(Credential.all(), "sealed")

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        from tavernkeep_accounts.routes import AccountRoutes
        from tavernkeep_accounts.scopes import known_scopes

        assert self._accounts is not None, "services are registered before routes"
        services = app.services
        avatars = app.config.folder("public") / "avatars"
        audit, pictures = services.get(AuditLog), services.find(Pictures)
        return AccountRoutes(self._accounts, avatars, audit, lambda: known_scopes(app), pictures).routes()
