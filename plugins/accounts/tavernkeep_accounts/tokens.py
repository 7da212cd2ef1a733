"""What is kept of keys and tokens, and the cookie that a browser holds one in."""

import hashlib
from collections.abc import Mapping
from typing import Final

_PLAIN_COOKIE: Final = "tavernkeep"
_TLS_COOKIE: Final = "__Host-tavernkeep"


def digest_of(secret: str) -> str:
    """What is kept of a key or a token: its SHA-256, in hexadecimal.

    They have 256 random bits, so that nothing slower is needed against guessing.
    """
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def session_token(cookies: Mapping[str, str]) -> str | None:
    """The token in a browser's cookies, or `None`."""
    return cookies.get(_TLS_COOKIE) or cookies.get(_PLAIN_COOKIE) or None


def session_cookie(token: str | None, *, secure: bool) -> dict[str, str]:
    """See `Sessions.cookie`."""
    name = f"{_TLS_COOKIE}={token or ''}; Secure" if secure else f"{_PLAIN_COOKIE}={token or ''}"
    end = "" if token else "; Max-Age=0"
    return {"Set-Cookie": f"{name}; Path=/; HttpOnly; SameSite=Lax{end}"}
