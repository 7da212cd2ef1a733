"""The plugin: sealing secrets, as a service."""

from tavernkeep import Services, hookimpl
from tavernkeep.app import App
from tavernkeep.config import SecurityConfig
from tavernkeep_secrets.contracts import Secrets


class SecretsPlugin:
    """Encryption of what users entrust to the server."""

    @hookimpl
    def register_services(self, app: App, services: Services, owner: str) -> None:
        from tavernkeep_secrets.box import SecretBox

        security = app.config.section(SecurityConfig)
        box = SecretBox(encrypt=security.enable_credential_encryption, master=security.master_encryption_key_value, data=app.config.data)
        services.add(Secrets, box, owner=owner)
