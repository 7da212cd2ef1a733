"""Character cards, versions 1 to 3, out of whatever they come in: JSON, a picture (PNG, JPEG, WebP) or a `.charx` archive.

In a PNG they are texts called `ccv3` (version 3), which goes first, or `chara` (versions 1 and 2), in base64; in other pictures a comment.
Source: https://github.com/kwaroran/character-card-spec-v3
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs
import structlog

from tavernkeep.wire import Invalid, describe, dumps, loads
from tavernkeep_characters.archives import card_text, is_archive
from tavernkeep_characters.contracts import CardError, CardTooLarge
from tavernkeep_characters.fields import as_version, card_data
from tavernkeep_characters.pictures import LONGEST, PNG, as_png, is_photo, photo_texts, png_texts, with_png_texts

_log = structlog.get_logger(__name__)

_KEYWORDS: Final = ("ccv3", "chara")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_NUMBERS: Final = re.compile(rb"\d{1,3}(?:\s*,\s*\d{1,3})+")
_PATIENCE: Final = 64  # texts of a picture that are looked at
_MOST_UNPACKED: Final = 4 * LONGEST  # bytes of all of them


@attrs.frozen
class CardFiles:
    """See `Cards`.

    Attributes:
        most_pixels: How many a picture may have.
    """

    most_pixels: int

    def character(self, data: bytes) -> dict[str, Any]:
        """See `Cards`."""
        return card_data(read_card(data))

    def write_card(self, picture: bytes, card: Mapping[str, Any]) -> bytes:
        """See `Cards`."""
        return write_card(as_png(picture, self.most_pixels), card)


def read_card(data: bytes) -> dict[str, Any]:
    """The card as it stands in a file, by what the file holds and not by its name.

    Raises:
        CardError: There is none in it, or it is broken.
    """
    if data.startswith(PNG):
        return _from_png(data)
    if is_photo(data):
        return _from_photo(data)
    if is_archive(data):
        return _from_json(card_text(data))
    return _from_json(data)


def write_card(picture: bytes, card: Mapping[str, Any]) -> bytes:
    """The PNG picture with the card in it, for readers of version 3 and for older ones, and without any that it had before.

    Raises:
        CardError: The picture is no PNG, or it is cut off.
        CardTooLarge: The card is longer than what is read.
    """
    if not picture.startswith(PNG):
        raise CardError("a card is written into a PNG picture")
    texts = {keyword: base64.b64encode(dumps(as_version(card, version))) for keyword, version in (("chara", 2), ("ccv3", 3))}
    if max(map(len, texts.values())) > LONGEST:
        raise CardTooLarge(f"the card is longer than {LONGEST} bytes in a picture")
    return with_png_texts(picture, texts)


def _from_png(data: bytes) -> dict[str, Any]:
    texts = list(png_texts(data))
    found = sorted((text for text in texts if text.keyword in _KEYWORDS), key=lambda text: _KEYWORDS.index(text.keyword))
    problem, left = CardError("the picture holds no character card"), _MOST_UNPACKED
    for text in found[:_PATIENCE]:
        most = min(LONGEST, left)
        if not most:
            raise CardTooLarge(f"the picture's texts unpack to more than {_MOST_UNPACKED} bytes")
        try:
            content = text.read(most)
            most = len(content)
            return _from_text(content)
        except CardError as error:
            left -= most if text.is_whole else 0
            problem = CardError(f"the picture's {text.keyword} text: {error}")
            _log.warning("a text of a picture is no card", keyword=text.keyword, problem=str(error))
    if not found and not all(text.is_whole for text in texts):  # its keyword may be what is damaged
        raise CardError("the picture holds no character card that can be read: one of its texts is damaged")
    raise problem


def _from_photo(data: bytes) -> dict[str, Any]:
    for _, text in zip(range(_PATIENCE), _longest_first(photo_texts(data)), strict=False):
        try:
            return _from_text(text)
        except CardError:
            continue  # any comment of a camera
    if is_archive(data):  # behind a picture
        return _from_json(card_text(data))
    raise CardError("the picture holds no character card")


def _longest_first(texts: Iterator[bytes]) -> list[bytes]:
    return sorted(texts, key=len, reverse=True)


def _from_text(text: bytes) -> dict[str, Any]:
    """A card as it stands in a picture: base64 of any kind, JSON as it is, or the numbers of its bytes."""
    text = text.removeprefix(_BYTE_ORDER_MARK).strip(b" \t\r\n\0")
    if text.startswith(b"{"):
        return _from_json(text)
    if _NUMBERS.fullmatch(text):
        try:
            return _from_json(bytes(map(int, text.split(b","))))
        except ValueError as error:
            raise error if isinstance(error, CardError) else CardError("they are no bytes") from None
    digits = b"".join(text.split()).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return _from_json(base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True))
    except binascii.Error:
        raise CardError("it is not base64") from None


def _from_json(data: bytes) -> dict[str, Any]:
    if len(data) > LONGEST:
        raise CardTooLarge(f"the card is longer than {LONGEST} bytes")
    card = _parsed(data)
    if not isinstance(card, dict):
        raise CardError(f"a card is an object, not {describe(card)}")
    if not isinstance(card.get("data"), dict | None):
        raise CardError(f"the card's data is no object, but {describe(card['data'])}")
    return card


def _parsed(data: bytes) -> Any:
    try:
        return loads(data.removeprefix(_BYTE_ORDER_MARK))
    except Invalid as invalid:
        # Line ends in texts, half an emoji, NaN, UTF-16: others wrote that, and read it.
        try:
            text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
            return loads(dumps(json.loads(text, strict=False)))
        except (ValueError, RecursionError):
            raise CardError(f"the card is {invalid}") from None
