"""What the routes take and give."""

from typing import Any

import attrs


@attrs.frozen
class Characters:
    """Characters, as lists show them."""

    success: bool
    data: list[dict[str, Any]]
