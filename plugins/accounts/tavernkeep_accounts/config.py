"""Its section of the configuration."""

import attrs


@attrs.frozen
class SessionConfig:
    """How long a login is good.

    Attributes:
        idle_hours: A session that is not used for so long ends.
        longest_days: A session ends so long after its login in any case.
    """

    idle_hours: float = attrs.field(default=24.0 * 7, validator=attrs.validators.gt(0))
    longest_days: float = attrs.field(default=30.0, validator=attrs.validators.gt(0))
