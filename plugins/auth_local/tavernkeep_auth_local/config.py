"""What the plugin reads of the configuration: its own section, and its key in `userManagement`."""

import attrs


@attrs.frozen
class AuthLocalConfig:
    """Single-user mode.

    Attributes:
        allow_insecure: Serve other machines too, although nobody has to log in.
    """

    allow_insecure: bool = False


@attrs.frozen
class AccessConfig:
    """The password of the single user.

    Attributes:
        access_password_hash: Guards the single user's server; `tavernkeep access-password` makes one.
    """

    access_password_hash: str | None = attrs.field(default=None, metadata={"secret": True}, repr=False)
