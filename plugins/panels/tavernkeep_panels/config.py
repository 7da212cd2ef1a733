"""Its section of the configuration."""

from typing import Literal

import attrs


@attrs.frozen
class PanelsConfig:
    """Panels.

    Attributes:
        same_origin: Which panels run with the front end's origin, and so with all that the user who looks at them may: those in projects
            that are this user's alone (`own`), or none (`never`). When it is not set, `own` in single-user mode, and else `never`.
    """

    same_origin: Literal["own", "never"] | None = None
