"""The surface's section of the configuration."""

import attrs

_MIB = 1024 * 1024


@attrs.frozen
class WebConfig:
    """The HTTP and WebSocket surface.

    Attributes:
        allowed_hosts: Names by which browsers reach this server, besides localhost and plain addresses.
        max_body_bytes: The longest request body and the longest WebSocket message.
        socket_queue_messages: How many messages may wait for a slow viewer before it is disconnected.
        socket_queue_bytes: How many bytes of messages may wait for a slow viewer before it is disconnected.
        socket_recheck_s: How often a socket's session or key is looked at again, in seconds.
        access_log: Log every request.
        trusted_proxies: Addresses of proxies whose word counts on where a request comes from, and whether by TLS.
    """

    allowed_hosts: list[str] = attrs.field(factory=list)
    max_body_bytes: int = attrs.field(default=32 * _MIB, validator=attrs.validators.ge(1024))
    socket_queue_messages: int = attrs.field(default=100_000, validator=attrs.validators.ge(16))
    socket_queue_bytes: int = attrs.field(default=32 * _MIB, validator=attrs.validators.ge(1024))
    socket_recheck_s: float = attrs.field(default=30.0, validator=attrs.validators.gt(0), metadata={"wire_name": "socketRecheckS"})
    access_log: bool = True
    trusted_proxies: list[str] = attrs.field(factory=lambda: ["127.0.0.1", "::1"])
