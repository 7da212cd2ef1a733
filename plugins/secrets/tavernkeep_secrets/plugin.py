"""The plugin: sealing secrets, as a service."""

import attrs

from tavernkeep import ConfigSection, Services, hookimpl
from tavernkeep.config import SecurityConfig
from tavernkeep.contracts.app import App
from tavernkeep_secrets import hookspecs
from tavernkeep_secrets.contracts import Secrets


@attrs.frozen
class SecretsConfig:
    """Sealing secrets.

    Attributes:
        previous_key: What `security.masterEncryptionKeyValue` was before, until `tavernkeep key rotate` has sealed everything anew.
    """

    previous_key: str | None = attrs.field(default=None, metadata={"secret": True}, repr=False)


class SecretsPlugin:
    """Encryption of what users entrust to the server."""

    @hookimpl
    def register_hookspecs(self) -> list[object]:
        return [hookspecs]

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        return [ConfigSection("secrets", SecretsConfig)]

    @hookimpl
    def register_services(self, app: App, services: Services, owner: str) -> None:
        from tavernkeep_secrets.box import SecretBox

        security, previous = app.config.section(SecurityConfig), app.config.section(SecretsConfig).previous_key
        encrypt, master = security.enable_credential_encryption, security.master_encryption_key_value
        box = SecretBox(encrypt=encrypt, master=master, data=app.config.data, old=previous)
        services.add(Secrets, box, owner=owner)
