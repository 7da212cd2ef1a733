"""The plugin: sealing secrets, as a service."""

from tavernkeep import ConfigSection, Services, hookimpl
from tavernkeep.contracts.app import App
from tavernkeep_secrets import hookspecs
from tavernkeep_secrets.config import EncryptionConfig, SecretsConfig
from tavernkeep_secrets.contracts import Secrets


class SecretsPlugin:
    """Encryption of what users entrust to the server."""

    @hookimpl
    def register_hookspecs(self) -> list[object]:
        return [hookspecs]

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        return [ConfigSection("secrets", SecretsConfig), ConfigSection("security", EncryptionConfig)]

    @hookimpl
    def register_services(self, app: App, services: Services, owner: str) -> None:
        from tavernkeep_secrets.box import SecretBox

        encryption = app.config.section(EncryptionConfig)
        box = SecretBox(
            encrypt=encryption.enable_credential_encryption,
            master=encryption.master_encryption_key_value,
            data=app.config.data,
            old=app.config.section(SecretsConfig).previous_key,
        )
        services.add(Secrets, box, owner=owner)
