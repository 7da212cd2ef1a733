"""The section of the configuration."""

import attrs


@attrs.frozen
class SqliteConfig:
    """SQLite.

    Attributes:
        busy_timeout_s: How long a write waits for another process's, in seconds.
        longest_wait_s: How long a request waits for those of this server that were asked before, in seconds; then it is answered 503.
    """

    busy_timeout_s: float = attrs.field(default=5.0, metadata={"wire_name": "busyTimeoutS"})
    longest_wait_s: float = attrs.field(default=60.0, validator=attrs.validators.gt(0), metadata={"wire_name": "longestWaitS"})
