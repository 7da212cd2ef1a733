"""What the routes take and give."""

from typing import Any, Literal

import attrs


@attrs.frozen
class Characters:
    """Characters, as lists show them."""

    success: bool
    data: list[dict[str, Any]]


@attrs.frozen
class CharacterShown:
    """A character: as lists show it, with its whole `card` of version 3, and in `warnings` what of it could not be read."""

    success: bool
    data: dict[str, Any]


@attrs.frozen
class NewQuery:
    """How a new character is kept.

    Attributes:
        id: The name of its file, without the ending; made of the character's name where it is left out.
    """

    id: str | None = None


@attrs.frozen
class ExportQuery:
    """The form in which a character is given out.

    Attributes:
        spec: The version of the card, for JSON.
    """

    format: Literal["png", "json", "charx"] = "png"
    spec: Literal["1", "2", "3"] = "3"


@attrs.frozen
class Removed:
    """A character that is gone."""

    success: bool
    id: str
