"""Who may come in: checks that protect a server on this machine from web pages in the browser on this machine.

A page from anywhere may send requests here, or have a name that it controls point here (DNS rebinding). So a browser must have reached the
server under a known name, and what changes something must come from a known page. A client that is no browser sends no `Origin`.
"""

import ipaddress
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

import attrs

from tavernkeep_web.config import OriginsConfig, ServerConfig, WebConfig

_SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
_SHOWN: Final = 200  # characters of a name that is not known


class Denied(Exception):
    """The request may not come in; the message is for who set the server up."""


@attrs.frozen
class Gate:
    """Knows the names of this server and the pages that may use it."""

    hosts: frozenset[str]
    origins: frozenset[str]

    @classmethod
    def of(cls, web: WebConfig, server: ServerConfig, pages: OriginsConfig) -> "Gate":
        """The gate that the configuration describes."""
        port = server.frontend.port
        front_end = [f"http://localhost:{port}", f"http://127.0.0.1:{port}"]
        if server.frontend.base_url:
            front_end.append(server.frontend.base_url)
        origins = frozenset(map(_origin, (*front_end, *pages.cors_allowed_origins, *pages.panel_dev_origins)))
        hosts = {"localhost", server.backend.host.lower(), *map(str.lower, web.allowed_hosts)}
        return cls(frozenset(hosts), origins)

    def check(self, method: str, host: str | None, origins: Iterable[str]) -> None:
        """Let a request or a handshake (as the method `CONNECT`) through.

        Args:
            origins: The `Origin` headers, usually none or one.

        Raises:
            Denied: It comes under an unknown name, or from an unknown page.
        """
        if host is not None and not self._knows(host):
            raise Denied(f"add the name to web.allowedHosts: this server is not known as {host[:_SHOWN]!r}")
        if method in _SAFE_METHODS:
            return
        for origin in origins:
            if not self._may_call(origin, host or ""):
                raise Denied(f"add the origin to security.corsAllowedOrigins: pages of {origin[:_SHOWN]!r} may not use this server")

    def _may_call(self, origin: str, host: str) -> bool:
        try:
            return _origin(origin) in self.origins or urlsplit(origin).netloc.lower() == host.lower()
        except ValueError:  # no address at all
            return False

    def _knows(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self.hosts or name.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(name)  # an address cannot be made to point elsewhere
        except ValueError:
            return False
        return True


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()
