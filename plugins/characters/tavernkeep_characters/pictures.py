"""What is written in pictures beside the picture: text chunks of PNG, EXIF and XMP of JPEG and WebP; and pictures made PNG."""

import html
import io
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Final

import attrs

from tavernkeep_characters.contracts import CardError, CardTooLarge

PNG: Final = b"\x89PNG\r\n\x1a\n"
LONGEST: Final = 16 * 1024 * 1024  # bytes of a text, unpacked
_TEXTS: Final = (b"tEXt", b"zTXt", b"iTXt")
_EXIF_TEXTS: Final = (0x010E, 0x9C9C)  # ImageDescription, XPComment
_EXIF_MORE: Final = (0x9286, 0x927C)  # UserComment, MakerNote: in the part that follows, and some programs write them beside it
_EXIF_PART: Final = 0x8769
_PLAIN: Final = (400, 600)  # pixels of the picture of who has none
_PLAIN_COLOUR: Final = (72, 66, 60)
_XMP_TEXT: Final = re.compile(r'(?:=\s*"([^"<>]{2,})")|(?:=\s*\'([^\'<>]{2,})\')|(?:>([^<>]{2,})<)')


def is_photo(data: bytes) -> bool:
    """Whether the data is a JPEG or WebP picture."""
    return data.startswith(b"\xff\xd8\xff") or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


@attrs.frozen
class PngText:
    """A text of a PNG picture, packed as it stands there.

    Attributes:
        keyword: In small letters.
        is_whole: Its checksum holds.
    """

    keyword: str
    is_whole: bool
    _kind: bytes
    _rest: bytes = attrs.field(repr=False)

    def read(self, most_bytes: int) -> bytes:
        """The text, unpacked.

        Raises:
            CardError: It is damaged, cannot be unpacked, or is longer than that.
        """
        if not self.is_whole:
            raise CardError("it is damaged")
        if self._kind == b"tEXt":
            text = self._rest
        elif self._kind == b"zTXt":
            text = _unpacked(self._rest[1:], most_bytes)
        else:
            packed, after = self._rest[:1], self._rest[2:]
            text = after.partition(b"\0")[2].partition(b"\0")[2]
            if packed == b"\1":
                text = _unpacked(text, most_bytes)
        if len(text) > most_bytes:
            raise CardTooLarge(f"it is longer than {most_bytes} bytes")
        return text


def png_texts(data: bytes) -> Iterator[PngText]:
    """The texts of a PNG picture.

    Raises:
        CardError: The picture is cut off.
    """
    for kind, body, is_whole in _chunks(data):
        if kind in _TEXTS:
            keyword, _, rest = body.partition(b"\0")
            yield PngText(keyword.decode("latin-1").strip().lower(), is_whole, kind, rest)


def with_png_texts(data: bytes, texts: dict[str, bytes]) -> bytes:
    """The PNG picture with these texts instead of all that it has under the same keywords, in whatever case and kind of chunk.

    Raises:
        CardError: The picture is cut off.
    """
    pieces = [PNG]
    for kind, body, _ in _chunks(data):
        if kind in _TEXTS and body.partition(b"\0")[0].decode("latin-1").strip().lower() in texts:
            continue
        if kind == b"IEND":
            pieces += [_chunk(b"tEXt", keyword.encode("latin-1") + b"\0" + text) for keyword, text in texts.items()]
        pieces.append(_chunk(kind, body))
    return b"".join(pieces)


def photo_texts(data: bytes) -> Iterator[bytes]:
    """The texts in the EXIF and XMP data of a JPEG or WebP picture.

    Raises:
        CardError: The picture cannot be read.
    """
    from PIL import Image  # late, as it would hold up the start of every server

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "WEBP")) as picture:
            exif = picture.getexif()
            part = exif.get_ifd(_EXIF_PART)
            xmp = picture.info.get("xmp") or b""
    except Exception as error:  # whatever a library for pictures finds in a broken one
        raise _unreadable(error) from None
    for value in (*(part.get(tag) for tag in _EXIF_MORE), *(exif.get(tag) for tag in (*_EXIF_TEXTS, *_EXIF_MORE))):
        if isinstance(value, bytes):
            yield _exif_text(value)
        elif isinstance(value, str):
            yield value.encode("utf-8", "replace")
    for found in _XMP_TEXT.finditer(xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else str(xmp)):
        yield html.unescape(next(filter(None, found.groups()))).encode("utf-8", "replace")


def as_png(data: bytes, most_pixels: int) -> bytes:
    """A picture as a PNG: one that is one already as it is, of another the pixels, and nothing that is written beside them.

    Raises:
        CardTooLarge: It has more pixels.
        CardError: It is no picture, or it cannot be read.
    """
    if data.startswith(PNG):
        check_size(data, most_pixels)
        return data
    if not is_photo(data):
        raise CardError("a picture is a PNG, a JPEG or a WebP")
    from PIL import Image, ImageOps  # late, as it would hold up the start of every server

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "WEBP")) as opened:
            _check(opened.size, most_pixels)
            picture = ImageOps.exif_transpose(opened)
            profile = opened.info.get("icc_profile") if opened.mode == "RGB" else None
            made, out = picture.convert("RGBA" if picture.has_transparency_data else "RGB"), io.BytesIO()
            made.info.clear()
            made.save(out, "PNG", icc_profile=profile)
    except CardError:
        raise
    except Exception as error:  # whatever a library for pictures finds in a broken one
        raise _unreadable(error) from None
    return out.getvalue()


def plain_png() -> bytes:
    """The picture of who has none."""
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", _PLAIN, _PLAIN_COLOUR).save(out, "PNG")
    return out.getvalue()


def check_size(data: bytes, most_pixels: int) -> None:
    """Look at how large a picture says that it is, before anybody makes that of it.

    Raises:
        CardTooLarge: It has more pixels.
        CardError: It does not say.
    """
    if data.startswith(PNG):
        kind, width, height = struct.unpack_from(">4sII", data, 12) if len(data) > 24 else (b"", 0, 0)
        if kind != b"IHDR" or not width or not height:
            raise CardError("the picture does not say how large it is")
        _check((width, height), most_pixels)
        return
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "WEBP")) as opened:
            size = opened.size
    except Exception as error:  # whatever a library for pictures finds in a broken one
        raise _unreadable(error) from None
    _check(size, most_pixels)


def _unreadable(error: Exception) -> CardError:
    kind = CardTooLarge if type(error).__name__ == "DecompressionBombError" else CardError
    return kind(f"the picture cannot be read: {' '.join(str(error).split())}")


def _check(size: tuple[int, int], most_pixels: int) -> None:
    if size[0] * size[1] > most_pixels:
        raise CardTooLarge(f"the picture has {size[0]} x {size[1]} pixels, more than {most_pixels} (characters.maxPixels)")


def _exif_text(value: bytes) -> bytes:
    """A comment without the eight bytes that name its encoding."""
    encoding, text = value[:8], value[8:]
    if encoding in (b"ASCII\0\0\0", b"\0" * 8):
        return text.strip(b"\0")
    if encoding == b"UNICODE\0":
        wide = "utf-16-be" if text[:1] == b"\0" else "utf-16-le"
        return text.decode(wide, "replace").strip("\0").encode("utf-8", "replace")
    if value[1::2].count(0) * 4 > len(value):  # XPComment is UTF-16 throughout
        return value.decode("utf-16-le", "replace").strip("\0").encode("utf-8", "replace")
    return value.strip(b"\0")


def _unpacked(packed: bytes, most_bytes: int) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(packed, most_bytes + 1)
    except zlib.error as error:
        raise CardError(f"it cannot be unpacked: {error}") from None
    if len(text) <= most_bytes and not unpacker.eof:
        raise CardError("it is cut off")
    return text


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Each chunk's kind and content, and whether its checksum holds."""
    position = len(PNG)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            break
        yield kind, data[position + 8 : end], zlib.crc32(data[position + 4 : end]) == struct.unpack_from(">I", data, end)[0]
        if kind == b"IEND":
            return
        position = end + 4
    raise CardError("the picture is cut off")
