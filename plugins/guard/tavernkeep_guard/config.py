"""Its section of the configuration."""

import attrs


@attrs.frozen
class GuardConfig:
    """Where requests of workflows may go.

    Attributes:
        allow_private: Whether to this machine and private networks; in single-user mode alone when not set.
        allowed: What may be reached all the same: names, `name:port`, addresses, networks.
        max_picture_pixels: How many pixels a picture may have that users send.
        requests_per_minute: Of each user, and of each address without a login; 0 for any number, 6000 in multi-user mode when not set.
    """

    allow_private: bool | None = None
    allowed: list[str] = attrs.field(factory=list)
    max_picture_pixels: int = attrs.field(default=40_000_000, validator=attrs.validators.ge(1))
    requests_per_minute: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(0)))
