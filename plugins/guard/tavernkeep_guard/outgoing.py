"""HTTP clients that reach only what the policy allows.

The check is made on the addresses that a name resolves to, at the moment of connecting, and the connection goes to the very address that
was checked. So a name that resolves differently the next time, a redirect, and every odd way to write an address are all the same case.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from typing import Any, Final

import attrs
import httpcore2
import httpx2

from tavernkeep_guard.contracts import OutgoingRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


@attrs.frozen
class OutgoingPolicy:
    """Which addresses may be reached.

    Attributes:
        private: Whether those of this machine and of private networks may be. Link-local ones, where clouds answer with keys, never may.
        hosts: Names, and `name:port`, that may be reached wherever they lead.
        networks: Networks that may be reached.
    """

    private: bool
    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, private: bool, allowed: Iterable[str]) -> "OutgoingPolicy":
        """A policy with exceptions, each a name, `name:port`, an address or a network."""
        hosts, networks = set(), []
        for entry in allowed:
            try:
                networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                hosts.add(entry.lower())
        return cls(private, frozenset(hosts), tuple(networks))

    def names(self, host: str, port: int) -> bool:
        """Whether a host is allowed by its name."""
        return host.lower() in self.hosts or f"{host.lower()}:{port}" in self.hosts

    def allows(self, address: Address) -> bool:
        """Whether an address may be reached; one that wraps another (mapped, 6to4, NAT64, Teredo) counts as both."""
        return all(self._allows(one) for one in (address, *_embedded(address)))

    def _allows(self, address: Address) -> bool:
        if any(address.version == network.version and address in network for network in self.networks):
            return True
        if address.is_link_local or address.is_multicast or address.is_unspecified:
            return False
        local = address.is_loopback or address.is_private
        return self.private if local else address.is_global


def _embedded(address: Address) -> list[Address]:
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found: list[Address | None] = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in found if one is not None]


class _Backend(httpcore2.AnyIOBackend):
    """Connects to checked addresses only."""

    def __init__(self, policy: OutgoingPolicy) -> None:
        self._policy = policy

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **kwargs: Any
    ) -> httpcore2.AsyncNetworkStream:
        addresses = await _resolve(host, port)
        if not self._policy.names(host, port):
            refused = [address for address in addresses if not self._policy.allows(address)]
            if refused:  # one bad address among good ones is an attack, or a mistake that should be seen
                raise OutgoingRefused(f"{host} is at {refused[0]}, which workflows may not reach (guard.allowed)")
        error: Exception | None = None
        for address in addresses:
            try:
                return await super().connect_tcp(str(address), port, timeout, *args, **kwargs)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as failed:
                error = failed
        assert error is not None, "a name that resolves has an address"
        raise error

    async def connect_unix_socket(self, path: str, *args: Any, **kwargs: Any) -> httpcore2.AsyncNetworkStream:
        raise OutgoingRefused(f"workflows may not reach the socket {path}")


async def _resolve(host: str, port: int) -> list[Address]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore2.ConnectError(f"{host} cannot be found: {error}") from None
    return list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


@attrs.frozen
class GuardedHttp:
    """See `OutgoingHttp`."""

    policy: OutgoingPolicy

    def client(self, *, timeout_s: float = 30.0, connect_timeout_s: float = 10.0) -> httpx2.AsyncClient:
        """See `OutgoingHttp`. Proxies of the environment are not used: behind one, nobody here would see where a request goes."""
        transport = httpx2.AsyncHTTPTransport()
        transport._pool = httpcore2.AsyncConnectionPool(
            ssl_context=httpx2.create_ssl_context(),
            network_backend=_Backend(self.policy),
            max_connections=None,
            max_keepalive_connections=20,
        )
        timeout = httpx2.Timeout(timeout_s, connect=connect_timeout_s)
        return httpx2.AsyncClient(transport=transport, timeout=timeout, trust_env=False)
