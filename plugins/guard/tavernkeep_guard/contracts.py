"""What this plugin publishes: the HTTP client for what a workflow can steer, and the brake on guessing passwords."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

import attrs
import httpx2

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_INVISIBLE: Final = "\u200b\u200c\u200d\u2060\ufeff"  # what copying brings along at the ends, beside blanks
_REASONS: Final[Sequence[tuple[type[httpx2.HTTPError], str]]] = (
    (httpx2.ConnectTimeout, "it could not be reached in time"),
    (httpx2.TimeoutException, "it did not answer in time"),
    (httpx2.ConnectError, "it cannot be reached: nobody answers there, the name is not known, or its certificate is not trusted"),
    (httpx2.LocalProtocolError, "the request cannot be sent: a header has a character that none may have"),
    (httpx2.RemoteProtocolError, "it broke off, or does not speak HTTP"),
    (httpx2.UnsupportedProtocol, "the address must begin with http:// or https://"),
    (httpx2.ProxyError, "the proxy refused"),
    (httpx2.TooManyRedirects, "it leads from one address to the next without an end"),
    (httpx2.DecodingError, "its answer is compressed in a way that cannot be read"),
    (httpx2.NetworkError, "the connection broke off"),
)
_OF_THE_BODY: Final = ("content-length", "transfer-encoding")
_NO_SECRETS: Final = ("accept", "accept-encoding", "accept-language", "content-type", "user-agent")


class OutgoingRefused(Exception):
    """The policy does not let a request go to an address; the message names it."""


@attrs.frozen
class Headers:
    """What may be sent as headers of a request: one place for what people type in, and for what must not be shown of it."""

    @staticmethod
    def name(given: str) -> str:
        """The name of a header, trimmed.

        Raises:
            ValueError: No header may be called that; the message does not repeat it, as it may be a value in the wrong place.
        """
        trimmed = given.strip()
        if not _NAME.fullmatch(trimmed):
            raise ValueError("the name of a header is made of letters, digits and -")
        return trimmed

    @staticmethod
    def further(given: str) -> str:
        """The name of a header beside those of a body that somebody else writes, trimmed.

        Raises:
            ValueError: As of `name`, or it says how long that body is: what is sent would be cut off, or waited for.
        """
        name = Headers.name(given)
        if name.lower() in _OF_THE_BODY:
            raise ValueError(f"{name.lower()} is said by the connection itself")
        return name

    @staticmethod
    def value(given: str) -> str:
        """The value of a header, such as a key, without blanks, line ends and what is invisible at its ends.

        Raises:
            ValueError: It holds what no header may; the message names the character alone, never the value.
        """
        trimmed = given
        while trimmed != (trimmed := trimmed.strip().strip(_INVISIBLE)):
            pass
        for position, char in enumerate(trimmed):
            if not (" " <= char <= "~" or char == "\t"):
                shown = "a line end" if char in "\r\n" else f"U+{ord(char):04X}" + (f" ({char})" if char.isprintable() else "")
                raise ValueError(f"a key or a header takes visible ASCII characters alone; character {position + 1} is {shown}")
        return trimmed

    @staticmethod
    def secrets(headers: Mapping[str, str]) -> Iterator[str]:
        """What must not be shown of headers: every value, and what stands in it after a scheme such as `Bearer`."""
        for name, value in headers.items():
            if name.strip().lower() not in _NO_SECRETS:
                yield value
                scheme, _, rest = value.strip().partition(" ")
                if scheme.isalpha() and rest:
                    yield rest.strip()


@attrs.frozen
class Unanswered:
    """Why a request got no answer, in words of our own: those of the libraries quote what was sent, keys included."""

    @staticmethod
    def reason(error: httpx2.HTTPError) -> str:
        """The words for an error of the transport."""
        for kind, reason in _REASONS:
            if isinstance(error, kind):
                return reason
        return f"the connection failed ({type(error).__name__})"


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
