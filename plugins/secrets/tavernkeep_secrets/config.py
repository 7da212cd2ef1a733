"""What the plugin reads of the configuration: its own section, and its keys in `security`."""

import attrs


@attrs.frozen
class SecretsConfig:
    """Sealing secrets.

    Attributes:
        previous_key: What `security.masterEncryptionKeyValue` was before, until `tavernkeep key rotate` has sealed everything anew.
    """

    previous_key: str | None = attrs.field(default=None, metadata={"secret": True}, repr=False)


@attrs.frozen
class EncryptionConfig:
    """With what secrets are sealed.

    Attributes:
        enable_credential_encryption: Seal what users entrust to the server; without, only what was sealed before can still be read.
        master_encryption_key_value: The key; one that was made at the first start, in the data folder, when not set.
    """

    enable_credential_encryption: bool = True
    master_encryption_key_value: str | None = attrs.field(default=None, metadata={"secret": True}, repr=False)
