"""What the surface reads of the configuration: where it listens, and which pages may call it."""

from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from tavernkeep.wire import wire_name
from tavernkeep_web.addresses import network_of, path_of

_MIB: Final = 1024 * 1024


def _is_origin(instance: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    try:
        urlsplit(value)
    except ValueError as error:
        raise ValueError(f"{wire_name(attribute)} must be of the form https://app.example, which {value!r} is not: {error}") from None


def _is_network(instance: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    try:
        network_of(value)
    except ValueError as error:
        raise ValueError(f"{wire_name(attribute)} must be addresses or networks, such as 10.0.0.0/8: {error}") from None


def _is_path(instance: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    try:
        path_of(value)
    except ValueError as error:
        raise ValueError(f"{wire_name(attribute)}: {error}") from None


_ORIGINS: Final = attrs.validators.deep_iterable(_is_origin)


@attrs.frozen
class WebConfig:
    """The HTTP and WebSocket surface.

    Attributes:
        allowed_hosts: Names by which browsers reach this server, besides localhost and plain addresses.
        max_body_bytes: The longest request body and the longest WebSocket message.
        socket_queue_messages: How many events of executions may wait for a slow viewer; what comes after them it is told later, from where
            they are remembered. And how many other messages, notices and answers; with more of these it is disconnected.
        socket_queue_bytes: The same in bytes; a notice or an answer that is longer than a quarter of it counts as that.
        socket_recheck_s: How often the session or key behind a socket or a stream of events is looked at again, in seconds.
        stalled_s: How long whoever is sent something may take nothing of it before the connection is ended, in seconds; where the system
            can tell, as Linux can, and for connections that the server itself takes, which under the program `hypercorn` it does not.
        access_log: Log every request.
        trusted_proxies: Addresses of proxies, or networks of them, whose word counts on where a request comes from, whether by TLS, and
            below which path the server is shown.
    """

    allowed_hosts: list[str] = attrs.field(factory=list)
    max_body_bytes: int = attrs.field(default=32 * _MIB, validator=attrs.validators.ge(1024))
    socket_queue_messages: int = attrs.field(default=20_000, validator=attrs.validators.ge(16))
    socket_queue_bytes: int = attrs.field(default=8 * _MIB, validator=attrs.validators.ge(1024))
    socket_recheck_s: float = attrs.field(default=30.0, validator=attrs.validators.gt(0), metadata={"wire_name": "socketRecheckS"})
    stalled_s: float = attrs.field(default=120.0, validator=attrs.validators.gt(0), metadata={"wire_name": "stalledS"})
    access_log: bool = True
    trusted_proxies: list[str] = attrs.field(factory=lambda: ["127.0.0.1", "::1"], validator=attrs.validators.deep_iterable(_is_network))


@attrs.frozen
class BackendAddress:
    """Where the server listens.

    Attributes:
        host: Address to bind.
        port: TCP port.
    """

    host: str = "127.0.0.1"
    port: int = attrs.field(default=3233, validator=[attrs.validators.ge(0), attrs.validators.le(65535)])


@attrs.frozen
class FrontendAddress:
    """Where the browser application is served from: its origin may call this server.

    Attributes:
        port: Its port on localhost.
        base_url: Its address, when it is not on localhost.
    """

    port: int = 5573
    base_url: str | None = attrs.field(default=None, validator=attrs.validators.optional(_is_origin))


@attrs.frozen
class ServerConfig:
    """Addresses.

    Attributes:
        base_path: Below which path of the outside address a proxy shows the server, as `/tavern`, whether or not it takes that off; what a
            trusted proxy says by `X-Forwarded-Prefix` when not set, and `/` for none whatever it says.
    """

    backend: BackendAddress = attrs.field(factory=BackendAddress)
    frontend: FrontendAddress = attrs.field(factory=FrontendAddress)
    base_path: str | None = attrs.field(default=None, validator=attrs.validators.optional(_is_path))


@attrs.frozen
class OriginsConfig:
    """Which web pages may call the server.

    Attributes:
        cors_allowed_origins: Origins of web pages, besides the front end's, that may call this server.
        panel_dev_origins: Origins of development servers of panels.
    """

    cors_allowed_origins: list[str] = attrs.field(factory=list, validator=_ORIGINS)
    panel_dev_origins: list[str] = attrs.field(factory=list, validator=_ORIGINS)
