"""Its section of the configuration."""

from typing import Final, Literal

import attrs

NAME: Final = "multiuser"  # in `auth.provider`


@attrs.frozen
class OidcConfig:
    """Login through an identity provider (OpenID Connect).

    Attributes:
        issuer: Its address, as it calls itself; there is no such login when not set.
        client_id: What it calls this server.
        client_secret: What this server shows it; none for a public client.
        scopes: What is asked of it.
        username_claim: Where it says what a new user is to be called.
        create_users: Make an account for whoever it knows; else only those who have logged in so before.
        redirect_uri: Where it sends browsers back, `…/api/auth/oidc/callback`; by the request's own address when not set.
        return_to: Where a browser goes when it is logged in; a path may leave out what the server is shown below (`server.basePath`).
    """

    issuer: str = ""
    client_id: str = ""
    client_secret: str | None = attrs.field(default=None, metadata={"secret": True}, repr=False)
    scopes: list[str] = attrs.field(factory=lambda: ["openid", "profile"])
    username_claim: str = "preferred_username"
    create_users: bool = True
    redirect_uri: str | None = None
    return_to: str = "/"


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
    oidc: OidcConfig = attrs.field(factory=OidcConfig)
