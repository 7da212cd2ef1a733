"""The section of the configuration: a part of `security`."""

import attrs


@attrs.frozen
class BackendPanelConfig:
    """The login of the server's own page.

    Attributes:
        enable_auth: Ask for the name and the password.
    """

    enable_auth: bool = False
    username: str | None = None
    password: str | None = attrs.field(default=None, metadata={"secret": True}, repr=False)
