"""Character cards, versions 1 to 3: JSON, or base64 of it in a text chunk of a PNG picture.

The chunks are `ccv3` (version 3), which goes first, and `chara` (versions 1 and 2).
Source: https://github.com/kwaroran/character-card-spec-v3
"""

import base64
import binascii
import struct
import zlib
from collections.abc import Iterator
from typing import Any, Final

from tavernkeep.wire import Invalid, describe, loads
from tavernkeep_characters.contracts import CardError

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_KEYWORDS: Final = (b"ccv3", b"chara")
_LONGEST: Final = 16 * 1024 * 1024  # bytes of a card's text


class CardReader:
    """See `Cards`."""

    def character(self, data: bytes) -> dict[str, Any]:
        """See `Cards`."""
        return card_data(read_card(data))


def read_card(data: bytes) -> dict[str, Any]:
    """The card as it stands in a PNG or JSON file.

    Raises:
        CardError: There is none in it, or it is broken.
    """
    if data.startswith(_SIGNATURE):
        data = _from_png(data)
    try:
        card = loads(data.removeprefix(b"\xef\xbb\xbf"))
    except Invalid as invalid:
        raise CardError(f"the card is {invalid}") from None
    if not isinstance(card, dict):
        raise CardError(f"a card is an object, not {describe(card)}")
    if not isinstance(card.get("data", {}), dict):
        raise CardError("the card's data is no object")
    return card


def card_data(card: dict[str, Any]) -> dict[str, Any]:
    """The character's own fields (`name`, `description`, `system_prompt`, …), wherever the card's version has them."""
    data = card.get("data")
    return data if isinstance(data, dict) else card


def _from_png(data: bytes) -> bytes:
    texts: dict[bytes, bytes] = {}
    for kind, body in _chunks(data):
        keyword, separator, text = body.partition(b"\0")
        if kind == b"tEXt" and separator and keyword.lower() in _KEYWORDS:
            texts[keyword.lower()] = text
    for keyword in _KEYWORDS:
        if keyword in texts:
            if len(texts[keyword]) > _LONGEST:
                raise CardError(f"the card is longer than {_LONGEST} bytes")
            try:
                return base64.b64decode(texts[keyword], validate=True)
            except binascii.Error:
                raise CardError(f"the picture's {keyword.decode()} text is not base64") from None
    raise CardError("the picture holds no character card")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = len(_SIGNATURE)
    while position < len(data):
        if position + 12 > len(data):
            raise CardError("the picture is cut off")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            raise CardError("the picture is cut off")
        if zlib.crc32(data[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise CardError("the picture is damaged")
        yield kind, data[position + 8 : end]
        if kind == b"IEND":
            return
        position = end + 4
    raise CardError("the picture is cut off")
