"""Identifiers."""

import secrets
from typing import Final

_LENGTH: Final = 21


def nanoid() -> str:
    """A new identifier in the form that clients know as a nanoid: 21 URL-safe characters, 126 random bits."""
    return secrets.token_urlsafe(16)[:_LENGTH]
