"""A user's characters: the cards in `user://library/SillyTavern/CharacterCard/`."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import structlog

from tavernkeep_characters.cards import read_card
from tavernkeep_characters.contracts import CardError
from tavernkeep_characters.fields import card_data, in_short, truth
from tavernkeep_files.contracts import LogicalPath

_log = structlog.get_logger(__name__)

FOLDER: Final = LogicalPath.parse("user://library/SillyTavern/CharacterCard/")
PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp")
_TEXTS: Final = (".json", ".charx")
_NO_IDS: Final = ("image",)  # addresses of something else


@attrs.frozen
class Character:
    """A character.

    Attributes:
        id: The name of its file without the ending; with it, where another has that already.
        files: The names of its files: its picture, if it has one, then those whose cards are merged over what is in that.
        card: What they say together; in lists, only what these show.
    """

    id: str
    files: tuple[str, ...]
    card: Mapping[str, Any] = attrs.field(repr=False)

    @property
    def picture(self) -> str | None:
        """The name of its picture."""
        return self.files[0] if is_picture(self.files[0]) else None

    @property
    def name(self) -> str:
        """Its name, that of its file where it has none."""
        return str(card_data(self.card).get("name") or self.id)

    def shown(self) -> dict[str, Any]:
        """The character as lists show it."""
        data = card_data(self.card)

        def first(*keys: str) -> Any:
            return next((value for key in keys for place in (data, self.card) if (value := place.get(key)) not in (None, "")), None)

        extensions = data.get("extensions", {})
        shown = {
            "id": self.id,
            "name": data.get("name") or self.id,
            "description": first("description"),
            "imageName": self.picture or "",
            "tags": data.get("tags", []),
            "creator": first("creator"),
            "creatorComment": first("creator_notes"),
            "createDate": _text(first("create_date", "creation_date")),
            "characterVersion": first("character_version"),
            "talkativeness": _number(first("talkativeness") or extensions.get("talkativeness")),
            "favorite": truth(first("fav") or extensions.get("fav")),
            "avatar": first("avatar"),
            "chat": first("chat"),
        }
        return {key: value for key, value in shown.items() if value is not None}


def is_picture(name: str) -> bool:
    """Whether a file's name is that of a picture."""
    return Path(name).suffix.lower() in PICTURES


def characters_in(folder: Path, most_bytes: int) -> list[Character]:
    """The characters of a folder; what is no card is left out and logged.

    Args:
        most_bytes: The largest file that is read.
    """
    pictures: dict[str, dict[str, Any]] = {}  # by the file's name
    texts: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*")):
        if path.suffix.lower() not in (*PICTURES, *_TEXTS) or not path.is_file():
            continue
        try:
            if path.stat().st_size > most_bytes:
                raise CardError(f"it is larger than {most_bytes} bytes (characters.maxCardBytes)")
            card = in_short(read_card(path.read_bytes()))
        except (CardError, OSError) as error:
            _log.warning("character card is left out", file=path.name, problem=str(error))
            continue
        (pictures if is_picture(path.name) else texts)[path.name] = card
    by_stem = {Path(name).stem: name for name in reversed(pictures)}
    by_name = {str(card_data(card).get("name")): name for name, card in pictures.items()}
    files: dict[str, list[str]] = {}  # by the first of them
    for name, card in texts.items():
        twin = by_stem.get(Path(name).stem) or by_name.get(str(card_data(card).get("name")))
        files.setdefault(twin or name, []).append(name)
    for name in pictures:
        files.setdefault(name, []).insert(0, name)
    found, taken = [], set(_NO_IDS)
    for first in sorted(files, key=is_picture):
        stem = Path(first).stem
        chosen = first if stem in taken else stem
        taken.add(chosen)
        found.append(Character(chosen, tuple(files[first]), merged((pictures | texts)[name] for name in files[first])))
    return found


def merged(cards: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """What several cards say together: each says its own over those before it."""
    whole: Mapping[str, Any] | None = None
    for card in cards:
        whole = card if whole is None else {**whole, **card, "data": {**card_data(whole), **card_data(card)}}
    assert whole is not None, "a character has a file"
    return whole


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, (str, int, float)) else None


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
