"""Base URLs, in whatever form people write them."""

import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

_SECRET: Final = re.compile(r"key|token|secret|pass|auth|sig|code|cred", re.IGNORECASE)


def endpoint(base_url: str, path: str, default_path: str = "/v1", endpoints: Sequence[str] = ()) -> str:
    """The address of an endpoint below a base URL.

    Args:
        path: Below it; a whole address stands for itself.
        default_path: Of a base URL that has none.
        endpoints: What people leave at the end of a base URL.

    Raises:
        ValueError: It is no URL.

    >>> endpoint(" HTTP://localhost:8080/ ", "/models")
    'http://localhost:8080/v1/models'
    >>> endpoint("https://there/api/v1/chat/completions", "/models", endpoints=["/chat/completions"])
    'https://there/api/v1/models'
    """
    if "://" in path:
        return path
    trimmed = base_url.strip()
    if "://" not in trimmed:
        host = trimmed.partition("/")[0].partition(":")[0]
        trimmed = ("http://" if host == "localhost" or host.replace(".", "").isdigit() else "https://") + trimmed
    parts = urlsplit(trimmed)
    below = parts.path.rstrip("/")
    for end in sorted(endpoints, key=len, reverse=True):
        if below.lower().endswith(end):
            below = below[: -len(end)].rstrip("/")
            break
    path, _, query = path.partition("?")
    return urlunsplit((parts.scheme, parts.netloc, (below or default_path) + path, "&".join(filter(None, (parts.query, query))), ""))


def below(base_url: str, given: str) -> str:
    """A path below a base URL as people write it: with or without a slash, with what the base URL ends in or without it.

    >>> below("https://there/v1/", "v1/models"), below("https://there/v1", "models"), below("there", "https://elsewhere/list ")
    ('/models', '/models', 'https://elsewhere/list')
    """
    given = given.strip()
    if "://" in given:
        return given
    path, own = "/" + given.lstrip("/"), urlsplit(base_url.strip()).path.rstrip("/")
    return path.removeprefix(own) if own and path.startswith(own + "/") else path


def secrets_in(address: str) -> Iterator[str]:
    """What must not be shown of an address: the password in it, and what its query says to be a key.

    >>> list(secrets_in("https://me:pass%20word@there/v1?api-version=2024-02-01&key=sk-1"))
    ['pass%20word', 'pass word', 'sk-1']
    """
    try:
        parts = urlsplit(address.strip())
        login = parts.netloc.rpartition("@")[0]
        given = [login.partition(":")[2] or login, *(value for name, value in parse_qsl(parts.query) if _SECRET.search(name))]
    except ValueError:
        return
    for secret in filter(None, given):
        yield from dict.fromkeys((secret, unquote(secret), quote(unquote(secret), safe="")))
