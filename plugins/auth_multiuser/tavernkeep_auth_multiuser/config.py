"""The section of the configuration."""

from typing import Final, Literal

import attrs

NAME: Final = "multiuser"  # in `auth.provider`


@attrs.frozen
class MultiuserConfig:
    """Multi-user mode.

    Attributes:
        registration: Who may make an account: nobody but by an administrator's hand (`closed`), who has an invitation, or everybody.
        shortest_password: How many characters a password must have.
        invitation_hours: How long an invitation is good, and a token for a new password.
        secure_cookies: Whether browsers may send the session's cookie over TLS alone; `auto` does so for who logs in over TLS.
    """

    registration: Literal["closed", "invitation", "open"] = "closed"
    shortest_password: int = attrs.field(default=10, validator=attrs.validators.ge(8))
    invitation_hours: float = attrs.field(default=72.0, validator=attrs.validators.gt(0))
    secure_cookies: Literal["auto", "always"] = "auto"
