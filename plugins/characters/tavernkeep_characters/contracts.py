"""What this plugin publishes: reading and writing character cards."""

from collections.abc import Mapping
from typing import Any, Protocol


class CardError(ValueError):
    """A file is no character card; the message says why."""


class CardTooLarge(CardError):
    """It is one, but larger than what is taken."""


class Cards(Protocol):
    """Reads and writes character cards, of version 1, 2 or 3."""

    def character(self, data: bytes) -> dict[str, Any]:
        """The character's own fields (`name`, `description`, `system_prompt`, …), wherever the card's version has them.

        The file is JSON, a PNG, JPEG or WebP picture or a `.charx` archive, by what it holds and not by its name.
        What is a number where a text belongs is a text; what is `null` is absent.

        Raises:
            CardError: There is none in it, or it is broken.
        """

    def write_card(self, picture: bytes, card: Mapping[str, Any]) -> bytes:
        """A PNG of a picture (PNG, JPEG, WebP) with a card in it, for readers of all versions, and without any that it had before.

        Raises:
            CardError: It is no picture, or broken.
            CardTooLarge: The picture has too many pixels, or the card is too long.
        """
