"""What this plugin publishes: reading character cards."""

from typing import Any, Protocol


class CardError(ValueError):
    """A file is no character card; the message says why."""


class Cards(Protocol):
    """Reads character cards, of version 1, 2 or 3."""

    def character(self, data: bytes) -> dict[str, Any]:
        """The character's own fields (`name`, `description`, `system_prompt`, …), wherever the card's version has them.

        The file is JSON, a PNG, JPEG or WebP picture or a `.charx` archive, by what it holds and not by its name.
        What is a number where a text belongs is a text; what is `null` is absent.

        Raises:
            CardError: There is none in it, or it is broken.
        """
