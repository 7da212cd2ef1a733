"""What this plugin publishes: the HTTP client for what a workflow can steer, and the brake on guessing passwords."""

from collections.abc import Sequence
from typing import Protocol

import httpx2


class OutgoingRefused(Exception):
    """The policy does not let a request go to an address; the message names it."""


class OutgoingHttp(Protocol):
    """Gives HTTP clients that reach only what the policy allows, after names are resolved and on every redirect."""

    def client(self, *, timeout_s: float = 30.0, connect_timeout_s: float = 10.0) -> httpx2.AsyncClient:
        """A new client; whoever asks for it closes it. A request that is not allowed raises `OutgoingRefused`."""


class Throttle(Protocol):
    """Slows down who guesses passwords, with delays that grow, and that end: nobody can lock another out for good."""

    def attempt(self, account: str, address: str | None) -> None:
        """Note an attempt to log in, before the password is looked at: many at once are many.

        Raises:
            ApiError: 429, with `Retry-After`: it comes too soon after others that failed.
        """

    def passed(self, account: str, address: str | None) -> None:
        """The attempt was a good one: what was held against this account at this address is forgotten."""


class Pictures(Protocol):
    """Looks at pictures from outside before anything else does.

    Attributes:
        endings: The usual endings of the kinds that are taken.
    """

    endings: Sequence[str]

    async def ending_of(self, data: bytes) -> str:
        """The usual ending of a picture's kind, told by its content.

        Raises:
            ApiError: It is none of the kinds that are taken (415), broken (415), or has too many pixels (413).
        """
