"""The user's characters: `user://library/SillyTavern/CharacterCard/*.png|json`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import structlog

from tavernkeep_characters.cards import card_data, read_card
from tavernkeep_characters.contracts import CardError
from tavernkeep_files.contracts import LogicalPath

_log = structlog.get_logger(__name__)

FOLDER: Final = LogicalPath.parse("user://library/SillyTavern/CharacterCard/")
_LARGEST: Final = 64 * 1024 * 1024  # bytes of a card


def characters_in(folder: Path) -> Iterator[dict[str, Any]]:
    """The characters of a folder as lists show them; what is no card is left out and logged."""
    pictures: dict[str, dict[str, Any]] = {}
    texts: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*")):
        if path.suffix.lower() not in (".png", ".json") or not path.is_file():
            continue
        try:
            if path.stat().st_size > _LARGEST:
                raise CardError(f"it is larger than {_LARGEST} bytes")
            card = read_card(path.read_bytes())
        except (CardError, OSError) as error:
            _log.warning("character card is left out", file=path.name, problem=str(error))
            continue
        (texts if path.suffix.lower() == ".json" else pictures)[path.stem] = card
    by_name = {str(card_data(card).get("name")): stem for stem, card in pictures.items()}
    for stem, card in texts.items():
        twin = stem if stem in pictures else by_name.get(str(card_data(card).get("name")))
        if twin is None:
            yield _shown(stem, None, card)
        else:
            pictures[twin] = {**pictures[twin], **card, "data": {**card_data(pictures[twin]), **card_data(card)}}
    for stem, card in pictures.items():
        yield _shown(stem, f"{stem}.png", card)


def _shown(stem: str, picture: str | None, card: dict[str, Any]) -> dict[str, Any]:
    data = card_data(card)

    def first(*keys: str) -> Any:
        return next((value for key in keys for place in (data, card) if (value := place.get(key)) not in (None, "")), None)

    extensions = data.get("extensions") if isinstance(data.get("extensions"), dict) else {}
    tags = first("tags")
    shown = {
        "id": stem,
        "name": str(first("name") or stem),
        "description": first("description"),
        "imageName": picture or "",
        "tags": [str(tag) for tag in tags] if isinstance(tags, list) else [],
        "creator": first("creator"),
        "creatorComment": first("creator_notes", "creatorcomment"),
        "createDate": first("create_date", "creation_date"),
        "characterVersion": first("character_version"),
        "talkativeness": first("talkativeness") or (extensions or {}).get("talkativeness"),
        "favorite": bool(first("fav") or (extensions or {}).get("fav")),
        "avatar": first("avatar"),
        "chat": first("chat"),
    }
    return {key: value for key, value in shown.items() if value is not None}
