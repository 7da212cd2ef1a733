"""What the routes take and give."""

import attrs


@attrs.frozen
class StatusLogin:
    """Who wants to see the status."""

    username: str
    password: str = attrs.field(repr=False)


@attrs.frozen
class StatusToken:
    """A token for the status, for twelve hours."""

    success: bool
    token: str
    username: str


@attrs.frozen
class AuthRequired:
    """Whether the status has a login."""

    auth_required: bool


@attrs.frozen
class Restarting:
    """The server begins anew."""

    success: bool
    message: str
