"""World books: which entries apply to a conversation, and where they go.

Two notations are read: that of SillyTavern's world files (`entries` by number, `key`, `order`, `position`, `disable`) and that of the
character card specification (`entries` as a list, `keys`, `insertion_order`, `enabled`).
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import attrs

_AT_DEPTH: Final = 4  # SillyTavern's number for "at depth"
_DEFAULT_ORDER: Final = 100

Place = Literal["before", "after", "depth"]


@attrs.frozen
class LoreEntry:
    """A piece of lore.

    Attributes:
        keys: It applies when one of them is in the text.
        secondary: When there are any, one of them must be too.
        constant: It always applies.
        order: Lower ones go first.
        place: Before or after the character's description, or `depth` messages from the end of the history.
    """

    content: str
    keys: tuple[str, ...] = ()
    secondary: tuple[str, ...] = ()
    constant: bool = False
    order: float = _DEFAULT_ORDER
    place: Place = "before"
    depth: int = 0
    case_sensitive: bool = False

    def applies_to(self, text: str) -> bool:
        """Whether the entry has something to say on a text."""
        if self.constant:
            return True
        return self._any(self.keys, text) and (not self.secondary or self._any(self.secondary, text))

    def _any(self, keys: Iterable[str], text: str) -> bool:
        if self.case_sensitive:
            return any(key in text for key in keys)
        folded = text.casefold()
        return any(key.casefold() in folded for key in keys)


def entries_of(book: Mapping[str, Any]) -> list[LoreEntry]:
    """The enabled entries of a world book, in their order; what is no entry is left out."""
    given = book.get("entries")
    listed = list(given.values()) if isinstance(given, dict) else given if isinstance(given, list) else []
    entries = [entry for raw in listed if isinstance(raw, dict) and (entry := _entry(raw)) is not None]
    return sorted(entries, key=lambda entry: entry.order)


def _entry(raw: Mapping[str, Any]) -> LoreEntry | None:
    content = raw.get("content")
    if not isinstance(content, str) or not content or raw.get("disable") is True or raw.get("enabled") is False:
        return None
    extensions = raw.get("extensions") if isinstance(raw.get("extensions"), dict) else {}
    assert isinstance(extensions, dict)
    position = raw.get("position", extensions.get("position", 0))
    depth = raw.get("depth", extensions.get("depth"))
    place: Place = "after" if position in (1, "after_char") else "before"
    if position in (_AT_DEPTH, "at_depth") or (isinstance(depth, int) and "position" not in raw and "position" not in extensions):
        place = "depth"
    selective = raw.get("selective", True)
    return LoreEntry(
        content=content,
        keys=_texts(raw.get("keys", raw.get("key"))),
        secondary=_texts(raw.get("secondary_keys", raw.get("keysecondary"))) if selective else (),
        constant=raw.get("constant") is True,
        order=_number(raw.get("insertion_order", raw.get("order"))),
        place=place,
        depth=depth if isinstance(depth, int) and depth >= 0 else 4 if place == "depth" else 0,
        case_sensitive=raw.get("case_sensitive", raw.get("caseSensitive")) is True,
    )


def _texts(value: Any) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    return tuple(item.strip() for item in listed if isinstance(item, str) and item.strip())


def _number(value: Any) -> float:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else _DEFAULT_ORDER
