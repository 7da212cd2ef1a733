"""World books as people have them, made into one kind of entry.

Read are SillyTavern's world files (`entries` by number, `key`, `order`, `position`, `disable`), the `character_book` of cards of version 2
and 3 (`entries` as a list, `keys`, `insertion_order`, `enabled`), and a card around one. What stands in an entry's `extensions` wins
over what stands beside them, as SillyTavern writes there what the specification has no word for.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

import attrs

from tavernkeep.wire import describe

Place = Literal["before", "after", "depth"]
Warn = Callable[..., Any]

_DEFAULT_ORDER: Final = 100.0
_DEFAULT_DEPTH: Final = 4
_PLACES: Final[Mapping[Any, Place]] = {
    0: "before",
    "before_char": "before",
    1: "after",
    "after_char": "after",
    4: "depth",
    "at_depth": "depth",
}
_NEAREST: Final[Mapping[Any, tuple[Place, str]]] = {  # places that a context here does not have
    2: ("depth", "above the author's note"),
    3: ("depth", "below the author's note"),
    5: ("after", "above the example messages"),
    6: ("after", "below the example messages"),
}
_ROLES: Final = {0: "system", 1: "user", 2: "assistant", "system": "system", "user": "user", "assistant": "assistant"}
_WITHOUT_MEANING: Final = (
    *("sticky", "cooldown", "vectorized", "automationId", "triggers", "useGroupScoring", "outletName"),
    *("matchPersonaDescription", "matchCharacterDescription", "matchCharacterPersonality", "matchCharacterDepthPrompt"),
    *("matchScenario", "matchCreatorNotes"),
)
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off", ""})
_PATTERN: Final = re.compile(r"/((?:[^/\\]|\\[\s\S])+)/([a-z]*)", re.DOTALL)


@attrs.frozen
class Key:
    """What wakes an entry: a text, or a JavaScript pattern when there are flags, be they none (`""`)."""

    text: str
    flags: str | None = None


@attrs.frozen
class LoreEntry:
    """A piece of lore.

    Attributes:
        name: What it is called in messages.
        keys: It applies when one of them is in the text.
        secondary: Asked too, as `logic` says, when there are any.
        logic: Of the secondary keys: 0 any is there, 1 not all are, 2 none is, 3 all are.
        constant: It always applies.
        order: Lower ones go first.
        place: Before or after the character's description, or `depth` messages from the end of the history.
        scan_depth: How many of the last messages are looked at; all for `None`.
        probability: From 0 to 1, that it applies when it would.
        delay: It applies only when the conversation has so many messages.
        recursive: Whether lore wakes lore in its book; `woken_by_lore`, `woken_by_talk` and `wakes_lore` say what of it holds for this one.
        groups: Of those that apply and share one, a single one stays: the last by order that `group_wins`, else one by chance and weight.
    """

    name: str
    content: str
    keys: tuple[Key, ...] = ()
    secondary: tuple[Key, ...] = ()
    logic: int = 0
    constant: bool = False
    order: float = _DEFAULT_ORDER
    place: Place = "before"
    depth: int = 0
    role: str = "system"
    case_sensitive: bool = False
    whole_words: bool = False
    scan_depth: int | None = None
    probability: float = 1.0
    delay: int = 0
    recursive: bool = False
    woken_by_lore: bool = True
    woken_by_talk: bool = True
    wakes_lore: bool = True
    groups: tuple[str, ...] = ()
    group_wins: bool = False
    group_weight: float = 100.0


def entries_of(book: Mapping[str, Any], warn: Warn) -> list[LoreEntry]:
    """The enabled entries of a world book, in their order; what is no entry, or has no meaning here, is named in a warning."""
    book = _inner(book)
    given = book.get("entries")
    if isinstance(given, dict):
        listed: Iterable[tuple[Any, Any]] = given.items()
    elif isinstance(given, list):
        listed = enumerate(given)
    else:
        if book:
            warn("a world book has no entries", found=describe(given))
        return []
    entries = []
    for number, raw in listed:
        if isinstance(raw, dict):
            entry = _Reader(raw, str(raw.get("comment") or raw.get("name") or number), warn).entry(book)
            if entry is not None:
                entries.append(entry)
        else:
            warn("left out what is no entry of a world book", entry=str(number), found=describe(raw))
    return sorted(entries, key=lambda entry: entry.order)


def _inner(book: Mapping[str, Any]) -> Mapping[str, Any]:
    """The book in a card, or in what a lorebook of version 3 is exported as."""
    for place in (book, book.get("data")):
        if isinstance(place, dict) and "entries" in place:
            return place
        if isinstance(place, dict) and isinstance(place.get("character_book"), dict):
            inner: Mapping[str, Any] = place["character_book"]
            return inner
    return book


@attrs.frozen
class _Reader:
    """Reads the fields of one entry, whichever of their names and kinds they have."""

    raw: Mapping[str, Any]
    name: str
    warn: Warn

    def entry(self, book: Mapping[str, Any]) -> LoreEntry | None:
        content = self._content()
        if not content or self._truth("disable") or not self._truth("enabled", default=True):
            return None
        place, depth = self._place()
        without = [name for name in _WITHOUT_MEANING if self._field(name) not in (None, False, 0, "", "0", [], {})]
        without += ["characterFilter"] if self._filtered() else []
        if without:
            self.warn("an entry of a world book says what has no meaning here", entry=self.name, fields=without)
        patterns = self._truth("use_regex")
        scan_depth = self._number("scanDepth", None)
        if scan_depth is None:
            scan_depth = _Reader(book, "the book", self.warn)._number("scan_depth", None)
            scan_depth = scan_depth if scan_depth and scan_depth > 0 else None
        chance = self._number("probability", 100.0) if self._truth("useProbability", default=True) else 100.0
        return LoreEntry(
            name=self.name,
            content=content,
            keys=_keys(self._field("keys", "key"), patterns),
            secondary=_keys(self._field("secondary_keys", "keysecondary"), patterns) if self._truth("selective") else (),
            logic=int(self._number("selectiveLogic", 0.0)),
            constant=self._truth("constant"),
            order=self._number("insertion_order", None, "order") if self._field("insertion_order", "order") is not None else _DEFAULT_ORDER,
            place=place,
            depth=depth,
            role=_ROLES.get(_plain(self._field("role")), "system"),
            case_sensitive=self._truth("caseSensitive"),
            whole_words=self._truth("matchWholeWords"),
            scan_depth=None if scan_depth is None else max(0, int(scan_depth)),
            probability=min(1.0, max(0.0, chance / 100)),
            delay=int(self._number("delay", 0.0)),
            recursive=_Reader(book, "the book", self.warn)._truth("recursive_scanning"),
            woken_by_lore=not self._truth("excludeRecursion"),
            woken_by_talk=not self._truth("delayUntilRecursion"),
            wakes_lore=not self._truth("preventRecursion"),
            groups=tuple(filter(None, map(str.strip, str(self._field("group") or "").split(",")))),
            group_wins=self._truth("groupOverride"),
            group_weight=max(0.0, self._number("groupWeight", 100.0)),
        )

    def _content(self) -> str:
        content = self._field("content")
        if content is not None and not isinstance(content, (str, int, float)):
            self.warn("left out an entry of a world book", entry=self.name, problem=f"its content is {describe(content)}")
            return ""
        lines = str("" if content is None else content).split("\n")
        while lines and lines[0].startswith("@@"):  # a decorator of version 3 is no text, whoever knows it or not
            self.warn("left out a decorator of an entry of a world book", entry=self.name, decorator=lines.pop(0)[:100])
        return "\n".join(lines)

    def _place(self) -> tuple[Place, int]:
        position, depth = _plain(self._field("position")), self._number("depth", None)
        place: Place = _PLACES.get(position, "before")
        if position is None and depth is not None:
            place = "depth"
        elif position in _NEAREST:
            place, where = _NEAREST[position]
            depth = None
            self.warn("an entry of a world book goes to the nearest place that there is", entry=self.name, wanted=where, place=place)
        elif position is not None and position not in _PLACES:
            self.warn("an entry of a world book goes before the character", entry=self.name, position=str(position)[:100])
        return place, max(0, int(depth)) if depth is not None else _DEFAULT_DEPTH if place == "depth" else 0

    def _filtered(self) -> bool:
        wanted = self._field("characterFilter")
        return isinstance(wanted, dict) and bool(wanted.get("names") or wanted.get("tags"))

    def _field(self, *names: str) -> Any:
        """The field by its name in camels or snakes, in the extensions first; `None` is not there."""
        extensions = self.raw.get("extensions")
        spelt = [form for name in names for form in dict.fromkeys((name, _snake(name), _camel(name)))]
        for place in (extensions if isinstance(extensions, dict) else {}, self.raw):
            for name in spelt:
                if place.get(name) is not None:
                    return place[name]
        return None

    def _truth(self, name: str, default: bool = False) -> bool:
        value = self._field(name)
        if isinstance(value, (bool, int, float)):
            return bool(value)
        if isinstance(value, str) and value.strip().lower() in _TRUE | _FALSE:
            return value.strip().lower() in _TRUE
        if value is not None:
            self.warn("a field of a world book is neither true nor false", entry=self.name, field=name, found=describe(value))
        return default

    def _number(self, name: str, default: Any, *others: str) -> Any:
        value = self._field(name, *others)
        if value is None:
            return default
        try:
            number = float(value)
            if math.isfinite(number):
                return number
        except (TypeError, ValueError, OverflowError):
            pass
        self.warn("a field of a world book is no number", entry=self.name, field=name, found=describe(value))
        return default


def _keys(given: Any, patterns: bool) -> tuple[Key, ...]:
    if isinstance(given, str):
        given = [given] if patterns or _PATTERN.fullmatch(given.strip()) else given.split(",")
    listed = given if isinstance(given, list) else [given]
    return tuple(_key(str(item), patterns) for item in listed if isinstance(item, (str, int, float)) and str(item).strip())


def _key(text: str, patterns: bool) -> Key:
    text = text.strip()
    if found := _PATTERN.fullmatch(text):
        return Key(found[1].replace("\\/", "/"), found[2])
    return Key(text, "" if patterns else None)


def _plain(value: Any) -> Any:
    """A number that stands in a text, as a number; a text in lower case."""
    if isinstance(value, str):
        return int(value) if value.strip().isdecimal() and len(value) < 10 else value.strip().lower()
    return value if isinstance(value, (int, float)) else None if value is None else str(value)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
