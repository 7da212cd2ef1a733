"""The plugin: users, in the database."""

from pathlib import Path

from tavernkeep import ModelSet, Services, hookimpl
from tavernkeep_accounts.contracts import Accounts


class AccountsPlugin:
    """Users, and the service through which auth providers find them."""

    @hookimpl
    def register_models(self) -> list[ModelSet]:
        return [ModelSet("accounts", "tavernkeep_accounts.models", Path(__file__).parent / "migrations")]

    @hookimpl
    def register_services(self, services: Services, owner: str) -> None:
        from tavernkeep_accounts.service import UserAccounts

        services.add(Accounts, UserAccounts(), owner=owner)  # type: ignore[type-abstract]
