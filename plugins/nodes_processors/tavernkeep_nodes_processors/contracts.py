"""What this plugin publishes: filling in the macros of character cards."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol


class CardMacros(Protocol):
    """Replaces `{{char}}`, `{{user}}` and the other macros of cards, as `ContextBuilder` does."""

    def filled(self, texts: Iterable[str], character: Mapping[str, Any], user: str) -> list[str]:
        """Texts of a character's with their macros replaced; those that nobody knows are left as they are.

        Raises:
            NodeFailure: All together grow too long.
        """
