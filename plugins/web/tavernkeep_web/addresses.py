"""How addresses are written: those of hosts, of networks, and the path below which a server is shown."""

import ipaddress
import re
from typing import Final

_PORT: Final = re.compile(r":(?:[0-9]{1,5}|_[A-Za-z0-9._-]+)?")  # RFC 7239, section 6
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_LONGEST_PATH: Final = 200  # characters


def address_of(text: str) -> str | None:
    """The address in what stands for a hop, in its usual spelling, without quotes, brackets and port; `None` where there is none.

    >>> address_of("203.0.113.7:40000"), address_of('"[2001:DB8::7]:4711"'), address_of("2001:db8::7"), address_of("::ffff:203.0.113.7")
    ('203.0.113.7', '2001:db8::7', '2001:db8::7', '203.0.113.7')
    >>> address_of("unknown"), address_of("_hidden"), address_of("203.0.113.7 evil")
    (None, None, None)
    """
    plain = text.strip().removeprefix('"').removesuffix('"').strip()
    if plain.startswith("["):
        plain, bracket, port = plain[1:].partition("]")
        if not bracket or not (port == "" or _PORT.fullmatch(port)):
            return None
    elif plain.count(":") == 1:
        plain, _, port = plain.partition(":")
        if not _PORT.fullmatch(f":{port}"):
            return None
    try:
        address = ipaddress.ip_address(plain.partition("%")[0])
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


def network_of(text: str) -> "ipaddress.IPv4Network | ipaddress.IPv6Network":
    """The network of an address, of one in CIDR form, or of this machine by its name.

    Raises:
        ValueError: It is none.
    """
    return ipaddress.ip_network("127.0.0.1" if text.strip().lower() == "localhost" else text.strip(), strict=False)


def path_of(text: str) -> str:
    """A path below which the server is shown; empty for none.

    >>> path_of("/tavern/"), path_of("tavern"), path_of("/")
    ('/tavern', '/tavern', '')

    Raises:
        ValueError: It leads elsewhere, or has characters that mean something in a page, a cookie or a header.
    """
    path = text.strip().removesuffix("/")
    path = path if path.startswith("/") or not path else f"/{path}"
    if len(path) > _LONGEST_PATH or not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise ValueError(f"a path of letters, digits and -._~ is expected, such as /tavern, not {text[:100]!r}")
    return path
