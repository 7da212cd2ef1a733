"""What this plugin publishes: reading character cards."""

from typing import Any, Protocol


class CardError(ValueError):
    """A file is no character card; the message says why."""


class Cards(Protocol):
    """Reads character cards, of version 1, 2 or 3."""

    def character(self, data: bytes) -> dict[str, Any]:
        """The character's own fields (`name`, `description`, `system_prompt`, …), of a PNG or JSON file, wherever the version has them.

        Raises:
            CardError: There is none in it, or it is broken.
        """
