"""The user's characters: the cards in `user://library/SillyTavern/CharacterCard/`."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import structlog

from tavernkeep_characters.cards import read_card
from tavernkeep_characters.contracts import CardError
from tavernkeep_characters.fields import card_data, truth
from tavernkeep_files.contracts import LogicalPath

_log = structlog.get_logger(__name__)

FOLDER: Final = LogicalPath.parse("user://library/SillyTavern/CharacterCard/")
_PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp")
_LARGEST: Final = 64 * 1024 * 1024  # bytes of a card


def characters_in(folder: Path) -> Iterator[dict[str, Any]]:
    """The characters of a folder as lists show them; what is no card is left out and logged."""
    pictures: dict[str, dict[str, Any]] = {}  # by the file's name
    texts: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*")):
        suffix = path.suffix.lower()
        if suffix not in (*_PICTURES, ".json", ".charx") or not path.is_file():
            continue
        try:
            if path.stat().st_size > _LARGEST:
                raise CardError(f"it is larger than {_LARGEST} bytes")
            card = read_card(path.read_bytes())
        except (CardError, OSError) as error:
            _log.warning("character card is left out", file=path.name, problem=str(error))
            continue
        (pictures if suffix in _PICTURES else texts)[path.name] = card
    by_stem = {Path(name).stem: name for name in reversed(pictures)}
    by_name = {str(card_data(card).get("name")): name for name, card in pictures.items()}
    taken: set[str] = set()
    for name, card in texts.items():
        stem = Path(name).stem
        twin = by_stem.get(stem) or by_name.get(str(card_data(card).get("name")))
        if twin is None:
            yield _shown(_id(name, taken), None, card)
        else:
            pictures[twin] = {**pictures[twin], **card, "data": {**card_data(pictures[twin]), **card_data(card)}}
    for name, card in pictures.items():
        yield _shown(_id(name, taken), name, card)


def _id(name: str, taken: set[str]) -> str:
    """A file's name without its ending, unless another has that already."""
    stem = Path(name).stem
    chosen = name if stem in taken else stem
    taken.add(chosen)
    return chosen


def _shown(stem: str, picture: str | None, card: dict[str, Any]) -> dict[str, Any]:
    data = card_data(card)

    def first(*keys: str) -> Any:
        return next((value for key in keys for place in (data, card) if (value := place.get(key)) not in (None, "")), None)

    extensions = data.get("extensions", {})
    shown = {
        "id": stem,
        "name": data.get("name") or stem,
        "description": first("description"),
        "imageName": picture or "",
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


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, (str, int, float)) else None


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
