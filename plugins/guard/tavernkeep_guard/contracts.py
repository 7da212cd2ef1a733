"""What this plugin publishes: the HTTP client through which everything that a workflow can steer goes out."""

from typing import Protocol

import httpx2


class OutgoingRefused(Exception):
    """The policy does not let a request go to an address; the message names it."""


class OutgoingHttp(Protocol):
    """Gives HTTP clients that reach only what the policy allows, after names are resolved and on every redirect."""

    def client(self, *, timeout_s: float = 30.0, connect_timeout_s: float = 10.0) -> httpx2.AsyncClient:
        """A new client; whoever asks for it closes it. A request that is not allowed raises `OutgoingRefused`."""
        ...
