"""Its section of the configuration."""

from typing import Final

import attrs

_MIB: Final = 1024 * 1024


@attrs.frozen
class CharactersConfig:
    """Character cards.

    Attributes:
        max_card_bytes: The largest file of a character, its picture and assets included.
        max_unpacked_bytes: How much all files of a `.charx` archive may be, unpacked.
        max_pixels: How many pixels a picture may have.
    """

    max_card_bytes: int = attrs.field(default=64 * _MIB, validator=attrs.validators.ge(1024))
    max_unpacked_bytes: int = attrs.field(default=256 * _MIB, validator=attrs.validators.ge(1024))
    max_pixels: int = attrs.field(default=40_000_000, validator=attrs.validators.ge(1))
