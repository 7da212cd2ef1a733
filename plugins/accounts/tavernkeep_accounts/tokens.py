"""What is kept of keys and tokens, and the cookie that a browser holds one in."""

import hashlib
from collections.abc import Mapping
from typing import Final

_PLAIN_COOKIE: Final = "tavernkeep"
_TLS_COOKIE: Final = "__Host-tavernkeep"  # which is for the whole of a host
_TLS_COOKIE_BELOW: Final = "__Secure-tavernkeep"


def digest_of(secret: str) -> str:
    """What is kept of a key or a token: its SHA-256, in hexadecimal.

    They have 256 random bits, so that nothing slower is needed against guessing.
    """
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def session_tokens(cookies: Mapping[str, str]) -> list[str]:
    """The tokens in a browser's cookies, those first that are the hardest to plant there.

    There may be several where another server is shown on the same host, below another path.
    """
    return [token for name in (_TLS_COOKIE, _TLS_COOKIE_BELOW, _PLAIN_COOKIE) if (token := cookies.get(name))]


def session_cookie(token: str | None, *, secure: bool, base_path: str) -> dict[str, str]:
    """See `Sessions.cookie`."""
    name = (_TLS_COOKIE_BELOW if base_path else _TLS_COOKIE) if secure else _PLAIN_COOKIE
    guards = f"Path={base_path or '/'}; HttpOnly; SameSite=Lax{'; Secure' if secure else ''}{'' if token else '; Max-Age=0'}"
    return {"Set-Cookie": f"{name}={token or ''}; {guards}"}
