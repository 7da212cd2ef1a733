"""The plugin: single-user mode as an auth provider."""

from tavernkeep import ConfigSection, StartError, hookimpl
from tavernkeep.app import App
from tavernkeep.config import UserManagementConfig
from tavernkeep_accounts.contracts import Accounts
from tavernkeep_auth_local.provider import AuthLocalConfig, LocalAuth


class AuthLocalPlugin:
    """Single-user mode: one default user, reachable from the machine itself."""

    requires = ("accounts",)

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        return [ConfigSection("auth.local", AuthLocalConfig)]

    @hookimpl
    def auth_provider(self, app: App) -> LocalAuth:
        config = app.config.section(AuthLocalConfig)
        return LocalAuth(app.services.get(Accounts), config)

    @hookimpl
    def startup(self, app: App) -> None:
        if isinstance(app.auth, LocalAuth) and app.config.section(UserManagementConfig).access_password_hash:
            raise StartError(
                "userManagement.accessPasswordHash is set, and single-user mode has no login to ask for it: "
                "remove it, or choose an auth provider with a login (auth.provider)"
            )
