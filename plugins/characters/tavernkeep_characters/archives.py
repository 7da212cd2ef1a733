"""`.charx` archives: a card with the files that belong to it, such as pictures and sounds."""

import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from tavernkeep_characters.contracts import CardError, CardTooLarge
from tavernkeep_characters.pictures import LONGEST, is_photo

_CARD: Final = "card.json"
_MOST_FILES: Final = 10_000
_PIECE: Final = 1024 * 1024  # bytes
_READABLE: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others unpack to more at once than there may be room for
_EMBEDDED: Final = ("embeded://", "embedded://")  # the specification has the first


def is_archive(data: bytes) -> bool:
    """Whether the data is an archive, or a photo with one behind it."""
    return data.startswith(b"PK\x03\x04") or (is_photo(data) and zipfile.is_zipfile(io.BytesIO(data)))


def card_text(data: bytes) -> bytes:
    """The text of the card in an archive.

    Raises:
        CardError: There is none, or the archive cannot be read.
    """
    with _opened(data) as archive:
        return _read(archive, _card_entry(archive), LONGEST)


def check_unpacked(data: bytes, most_bytes: int) -> None:
    """Look at how much an archive says that it unpacks to.

    Raises:
        CardTooLarge: That is more.
        CardError: It cannot be read.
    """
    with _opened(data) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > most_bytes:
            raise _too_much(most_bytes)


def with_card(data: bytes, card: bytes, most_bytes: int) -> bytes:
    """The archive with another card; what stands before it, as a picture may, and all that it holds beside stay.

    Raises:
        CardTooLarge: It unpacks to more.
        CardError: It cannot be read.
    """
    out = io.BytesIO()
    with _opened(data) as archive:
        entries = list({entry.filename: entry for entry in archive.infolist()}.values())
        old = _card_entry(archive)
        out.write(data[: min(entry.header_offset for entry in archive.infolist())])
        left = most_bytes
        with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as made:
            for entry in entries:
                if entry.filename == old.filename:
                    made.writestr(_like(entry), card)
                    continue
                _check_packing(entry)
                with archive.open(entry) as source, made.open(_like(entry), "w") as target:
                    while piece := source.read(_PIECE):
                        left -= len(piece)
                        if left < 0:
                            raise _too_much(most_bytes)
                        target.write(piece)
    return out.getvalue()


def archive_of(files: Mapping[str, bytes]) -> bytes:
    """An archive of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def icon_in(data: bytes, fields: Mapping[str, Any], most_bytes: int) -> bytes | None:
    """The picture of a character among the files of its archive; `None` where it names none that is there.

    Raises:
        CardTooLarge: It is larger.
        CardError: The archive cannot be read.
    """
    assets = fields.get("assets")
    icons = [asset for asset in assets if isinstance(asset, dict) and asset.get("type") == "icon"] if isinstance(assets, list) else []
    with _opened(data) as archive:
        known = {entry.filename: entry for entry in archive.infolist()}
        for asset in sorted(icons, key=lambda asset: asset.get("name") != "main"):
            uri = str(asset.get("uri"))
            name = next((uri.removeprefix(start) for start in _EMBEDDED if uri.startswith(start)), None)
            if name is not None and name in known:
                return _read(archive, known[name], most_bytes)
    return None


@contextmanager
def _opened(data: bytes) -> Iterator[zipfile.ZipFile]:
    if data.count(b"PK\x01\x02") > _MOST_FILES:
        raise CardTooLarge(f"the archive holds more than {_MOST_FILES} files")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield archive
    except CardError:
        raise
    except (zipfile.BadZipFile, zlib.error, RuntimeError, OSError, EOFError, ValueError, NotImplementedError) as error:
        raise CardError(f"the archive cannot be read: {error}") from None


def _too_much(most_bytes: int) -> CardTooLarge:
    return CardTooLarge(f"the archive unpacks to more than {most_bytes} bytes (characters.maxUnpackedBytes)")


def _card_entry(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    entry = next((entry for entry in archive.infolist() if entry.filename.lower().removeprefix("./") == _CARD), None)
    if entry is None:
        raise CardError("the archive holds no card.json")
    return entry


def _check_packing(entry: zipfile.ZipInfo) -> None:
    if entry.compress_type not in _READABLE:
        raise CardError(f"the archive's {entry.filename[:200]} is packed in a way that is not read")


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most_bytes: int) -> bytes:
    _check_packing(entry)
    with archive.open(entry) as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise CardTooLarge(f"the archive's {entry.filename[:200]} is longer than {most_bytes} bytes")
    return content


def _like(entry: zipfile.ZipInfo) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(entry.filename, entry.date_time)
    made.compress_type, made.external_attr = entry.compress_type, entry.external_attr
    return made
