"""What the routes take and give."""

from typing import Any, Final

import attrs

_NAME: Final[Any] = [attrs.validators.min_len(1), attrs.validators.max_len(100)]


@attrs.frozen
class NewKey:
    """An API key to be made.

    Attributes:
        scopes: What it may do; everything that its user may when left out. `project:read:ID` is for one project alone.
        expires_at: When it ends, in ISO 8601; never when left out.
    """

    name: str | None = attrs.field(default=None, validator=attrs.validators.optional(_NAME))
    scopes: list[str] | None = None
    expires_at: str | None = None


@attrs.frozen
class NewCredential:
    """A credential for a service elsewhere."""

    service_name: str = attrs.field(validator=_NAME)
    credential: str = attrs.field(validator=[attrs.validators.min_len(1), attrs.validators.max_len(10_000)], repr=False)
    display_name: str | None = attrs.field(default=None, validator=attrs.validators.optional(_NAME))


@attrs.frozen
class NewName:
    """Another name for the user."""

    username: str = attrs.field(validator=_NAME)


@attrs.frozen
class KeyShown:
    """An API key, without its secret. Times are ISO 8601."""

    id: str
    prefix: str
    scopes: list[str]
    created_at: str
    name: str | None = None
    last_used_at: str | None = None
    expires_at: str | None = None


@attrs.frozen
class MadeKey(KeyShown):
    """An API key that was made; its secret is shown this once."""

    secret: str = attrs.field(kw_only=True, repr=False)


@attrs.frozen
class Hint:
    """What is shown of a credential: how it begins, and where it is long enough how it ends."""

    prefix: str
    suffix: str | None = None


@attrs.frozen
class CredentialShown:
    """A credential, with a hint. Times are ISO 8601."""

    id: str
    service_name: str
    display_hint: Hint
    created_at: str
    display_name: str | None = None


@attrs.frozen
class Keys:
    """A user's API keys."""

    keys: list[KeyShown]


@attrs.frozen
class UserCredentials:
    """A user's credentials."""

    credentials: list[CredentialShown]


@attrs.frozen
class Renamed:
    """The user has another name."""

    success: bool
    message: str
    username: str


@attrs.frozen
class AvatarSet:
    """The user has another picture."""

    success: bool
    message: str
    avatar_url: str
