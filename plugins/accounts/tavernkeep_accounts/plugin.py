"""The plugin: users, in the database."""

from pathlib import Path
from typing import TYPE_CHECKING

from tavernkeep import ModelSet, Route, Services, hookimpl
from tavernkeep.app import App
from tavernkeep_accounts.contracts import Accounts
from tavernkeep_secrets.contracts import Secrets

if TYPE_CHECKING:
    from tavernkeep_accounts.service import UserAccounts


class AccountsPlugin:
    """Users, their API keys and credentials, and the service through which auth providers find them."""

    requires = ("secrets",)

    def __init__(self) -> None:
        self._accounts: UserAccounts | None = None

    @hookimpl
    def register_models(self) -> list[ModelSet]:
        return [ModelSet("accounts", "tavernkeep_accounts.models", Path(__file__).parent / "migrations")]

    @hookimpl
    def register_services(self, services: Services, owner: str) -> None:
        from tavernkeep_accounts.service import UserAccounts

        self._accounts = UserAccounts(services.get(Secrets))
        services.add(Accounts, self._accounts, owner=owner)

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        from tavernkeep_accounts.routes import AccountRoutes

        assert self._accounts is not None, "services are registered before routes"
        return AccountRoutes(self._accounts, app.config.folder("public") / "avatars").routes()
