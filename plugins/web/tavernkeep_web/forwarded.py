"""What proxies say of a request: whom it is from, whether it came by TLS, and below which path they show the server.

It is read here and nowhere else, and counts where the peer is a trusted proxy alone. Each proxy puts what it has seen behind what it was
sent, so that a chain is read from its end; what stands before the first address that is no trusted proxy's may be anybody's invention.

Sources: RFC 7239 for `Forwarded`; `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Prefix` and `X-Real-IP` as proxies send them.
"""

import ipaddress
from collections.abc import Iterable
from typing import Any, Final

import attrs
import structlog

from tavernkeep_web.addresses import address_of, network_of, path_of
from tavernkeep_web.config import ServerConfig, WebConfig

_log = structlog.get_logger(__name__)

_HOPS: Final = 32  # that are told apart, from the end of a chain
_SHOWN: Final = 200  # characters of what contradicts itself, or cannot be read
_TLS: Final = ("https", "wss")
_SCOPE: Final = "tavernkeep.arrival"
_ADDRESSES: Final = (b"forwarded", b"x-forwarded-for", b"x-real-ip")


@attrs.frozen
class Arrival:
    """Where a request comes from.

    Attributes:
        client: The address of who sent it, without a port; `None` where there is no network.
        secure: It came by TLS.
        base_path: Below which path of the outside address the server is, as `/tavern`; empty where it is the whole of it.
        named: Every address that is named on the way, whoever named it; what cannot be read as it stands.
    """

    client: str | None
    secure: bool = False
    base_path: str = ""
    named: tuple[str, ...] = ()


def told(scope: Any, arrival: Arrival) -> Any:
    """The scope of a request, of which it is known where it comes from."""
    return {**scope, _SCOPE: arrival}


def arrival_of(scope: Any) -> Arrival:
    """Where it comes from."""
    arrival: Arrival = scope[_SCOPE]
    return arrival


@attrs.frozen
class Proxies:
    """Whose word counts.

    Attributes:
        base_path: The configured one, which no proxy has a say in; `None` where there is none.
    """

    trusted: tuple["ipaddress.IPv4Network | ipaddress.IPv6Network", ...]
    base_path: str | None = None

    @classmethod
    def of(cls, web: WebConfig, server: ServerConfig) -> "Proxies":
        """Those that are configured."""
        return cls(tuple(map(network_of, web.trusted_proxies)), None if server.base_path is None else path_of(server.base_path))

    def arrival(self, scope: Any) -> Arrival:
        """Where the request or the handshake of an ASGI scope comes from."""
        peer = scope["client"][0] if scope.get("client") else None
        client = None if peer is None else address_of(peer) or peer
        secure, base_path = scope.get("scheme") in _TLS, self.base_path or scope.get("root_path", "")
        said = _said(scope["headers"])
        if not said:
            return Arrival(client, secure, base_path)
        chains = [chain for name in _ADDRESSES if (chain := _chain(said, name))]
        named = tuple(address_of(hop) or hop[:_SHOWN] for chain in chains for hop in chain)
        if client is None or not self._trusts(client):
            return Arrival(client, secure, base_path, named)
        if self.base_path is None:
            base_path = _prefix(said.get(b"x-forwarded-prefix", "")) or base_path
        return Arrival(self._outside(chains) or client, secure or _by_tls(said), base_path, named)

    def _trusts(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self.trusted)

    def _outside(self, chains: Iterable[list[str]]) -> str | None:
        """Whom the proxies have it from; `None` where they do not say it, or one header says another than the next.

        A proxy that writes one of them passes on what a client has put into the others.
        """
        found = {address for chain in chains if (address := self._first_outside(chain)) is not None}
        if len(found) > 1:
            _log.warning("a request is taken for its proxy's: headers say different things of where it comes from", said=sorted(found))
        return found.pop() if len(found) == 1 else None

    def _first_outside(self, chain: list[str]) -> str | None:
        for hop in reversed(chain):
            address = address_of(hop)
            if address is None or not self._trusts(address):
                return address
        return None


def _said(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, str]:
    """What stands in the headers of proxies; one that is there several times goes on where it ended."""
    said: dict[bytes, str] = {}
    for name, value in headers:
        lower = name.lower()
        if lower in _ADDRESSES or lower.startswith(b"x-forwarded-"):
            text = value.decode("latin-1")
            said[lower] = f"{said[lower]},{text}" if lower in said else text
    return said


def _chain(said: dict[bytes, str], name: bytes) -> list[str]:
    hops = [hop for part in said.get(name, "").rsplit(",", _HOPS) if (hop := part.strip())]
    # A comma in quotes ends an element as any other: an open quote in what a client has sent must not swallow what a proxy puts behind it.
    return [_of_element(hop, "for") or hop for hop in hops] if name == b"forwarded" else hops


def _of_element(element: str, wanted: str) -> str:
    """What an element of `Forwarded` says of something; empty where it says nothing."""
    pairs = (pair.partition("=") for pair in element.split(";"))
    return next((value.strip() for name, _, value in pairs if name.strip().lower() == wanted), "")


def _by_tls(said: dict[bytes, str]) -> bool:
    first = said.get(b"x-forwarded-proto", "").partition(",")[0]
    told = (first, _of_element(said.get(b"forwarded", "").partition(",")[0], "proto"))
    return any(protocol.strip().strip('"').lower() in _TLS for protocol in told)


def _prefix(text: str) -> str:
    """The path that proxies, of several the outermost first, have taken from the front of what they were asked for."""
    try:
        return path_of("".join(path_of(part) for part in text.split(",", 8)))
    except ValueError:
        _log.warning("a prefix that no path can have is passed over", prefix=text[:_SHOWN])
        return ""
