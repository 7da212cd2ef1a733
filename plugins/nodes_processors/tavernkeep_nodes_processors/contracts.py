"""What this plugin publishes: filling in the macros of character cards."""

from collections.abc import Mapping
from typing import Any, Protocol


class CardMacros(Protocol):
    """Replaces `{{char}}`, `{{user}}` and the other macros of cards, as `ContextBuilder` does."""

    def filled(self, text: str, character: Mapping[str, Any], user: str) -> str:
        """A text of a character's with its macros replaced; those that nobody knows are left as they are.

        Raises:
            NodeFailure: It grows too long.
        """
