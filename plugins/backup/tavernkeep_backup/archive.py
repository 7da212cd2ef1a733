"""A backup as a `.tar.gz`, written in one go, of which the manifest can be read first.

The archive is two gzip members: the files, and the manifest. Whatever reads gzip takes them for one. An empty member at the end holds
where the second begins, in a field of its header (RFC 1952, 2.3.1.1), as container images of the kind `eStargz` have it. So the sizes
are known before anything is unpacked.

`tarfile` holds headers in memory, as long as they say they are, so it reads from `_Measured`, which gives it no more than is due.
"""

import gzip
import os
import struct
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import attrs

from tavernkeep_backup.manifest import LONGEST, MANIFEST, BackupEntry, BackupError, BackupManifest
from tavernkeep_backup.streams import new_file, on_disk

ENDINGS: Final = (".tar.gz", ".tgz")
_LEVEL: Final = 6
_HEAD: Final = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x0c\0TK\x08\0"  # a gzip header with a field `TK` of 8 bytes
_TAIL: Final = b"\x03\0\0\0\0\0\0\0\0\0"  # nothing, compressed, with its checksum and its length
_POINTER: Final = len(_HEAD) + 8 + len(_TAIL)
_HEADERS: Final = 64 * 1024  # bytes; a member's own, that for a long name, and what fills the block before
_BROKEN: Final = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, struct.error, ValueError, OverflowError)


class ArchiveWriter:
    """See `BackupWriter`."""

    def __init__(self, place: Path) -> None:
        self._file = new_file(place)
        self._members = _Members(self._file)
        self._tar = tarfile.open(fileobj=cast("Any", self._members), mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - see `end`

    def folder(self, path: str, modified_ns: int) -> None:
        """See `BackupWriter`."""
        info = tarfile.TarInfo(path)
        info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o700, max(0, modified_ns // 10**9)
        self._add(info)

    def file(self, entry: BackupEntry, content: BinaryIO) -> None:
        """See `BackupWriter`."""
        info = tarfile.TarInfo(entry.path)
        info.size, info.mode, info.mtime = entry.size, 0o700 if entry.executable else 0o600, max(0, entry.modified_ns // 10**9)
        self._add(info, content)

    def _add(self, info: tarfile.TarInfo, content: BinaryIO | None = None) -> None:
        self._tar.addfile(info, content)
        self._tar.members = []  # type: ignore[attr-defined]  # it would keep each

    def end(self, manifest: Path) -> None:
        """See `BackupWriter`."""
        begins = self._members.next()
        with manifest.open("rb") as file:
            info = tarfile.TarInfo(MANIFEST)
            info.size, info.mode = manifest.stat().st_size, 0o600
            self._tar.addfile(info, file)
        self._tar.close()
        self._members.close()
        self._file.write(_HEAD + struct.pack("<Q", begins) + _TAIL)
        on_disk(self._file)

    def close(self) -> None:
        """See `BackupWriter`."""
        self._file.close()


class _Members:
    """What `tarfile` writes to: one gzip member after the other."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._written = 0
        self._gzip = self._begin()

    def _begin(self) -> gzip.GzipFile:
        return gzip.GzipFile(filename="", mode="wb", fileobj=self._file, compresslevel=_LEVEL, mtime=0)

    def write(self, data: bytes) -> int:
        self._written += len(data)
        return self._gzip.write(data)

    def tell(self) -> int:
        return self._written

    def next(self) -> int:
        """End the member and begin another; gives where that stands in the file."""
        self._gzip.close()
        begins = self._file.tell()
        self._gzip = self._begin()
        return begins

    def close(self) -> None:
        self._gzip.close()


@attrs.frozen
class ArchiveReader:
    """See `BackupReader`. Whatever is in it that is no file or folder of its manifest is refused."""

    place: Path

    def manifest(self) -> BackupManifest:
        """See `BackupReader`."""
        with self.place.open("rb") as file:
            begins, ends = _pointer(file)
            with _opened(_Window(file, begins, ends)) as (tar, measured):
                measured.due = _HEADERS
                info = tar.next()
                if info is None or info.name != MANIFEST or not _is_plain(info) or not 0 <= info.size <= LONGEST:
                    raise BackupError(f"it has no {MANIFEST}")
                measured.due = info.size
                return BackupManifest.read(cast("BinaryIO", tar.extractfile(info)))

    def contents(self, manifest: BackupManifest) -> Iterator[tuple[BackupEntry, BinaryIO]]:
        """See `BackupReader`."""
        left = dict(manifest.entries)
        with self.place.open("rb") as file:
            begins, _ = _pointer(file)
            with _opened(_Window(file, 0, begins)) as (tar, measured):
                while True:
                    measured.due = _HEADERS
                    info = tar.next()
                    if info is None:
                        break
                    tar.members = []  # type: ignore[attr-defined]  # it would keep each
                    entry = left.pop(info.name + "/" if info.isdir() else info.name, None)
                    if entry is None or info.size != entry.size or not (info.isdir() or _is_plain(info)):
                        raise BackupError(f"it has {info.name!r} in it, which its manifest does not know so")
                    if not entry.is_folder:
                        measured.due = entry.size
                        yield entry, cast("BinaryIO", tar.extractfile(info))
        if left:
            raise BackupError(f"it has no {next(iter(left))!r}")


def _is_plain(info: tarfile.TarInfo) -> bool:
    return info.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and info.sparse is None


def _pointer(file: BinaryIO) -> tuple[int, int]:
    """Where the manifest's member begins and ends.

    Raises:
        BackupError: The file is none that `ArchiveWriter` wrote, or not all of it.
    """
    size = file.seek(0, os.SEEK_END)
    ends = size - _POINTER
    if ends > 0:
        file.seek(ends)
        found = file.read(_POINTER)
        (begins,) = struct.unpack("<Q", found[len(_HEAD) : -len(_TAIL)])
        if found.startswith(_HEAD) and found.endswith(_TAIL) and 0 < begins < ends:
            return begins, ends
    raise BackupError("it is no archive that `tavernkeep backup` wrote, or not all of one; what tar unpacks of it can be tried as a folder")


@contextmanager
def _opened(window: "_Window") -> Iterator[tuple[tarfile.TarFile, "_Measured"]]:
    measured = _Measured(cast("BinaryIO", gzip.GzipFile(fileobj=cast("BinaryIO", window), mode="rb")))
    try:
        measured.due = _HEADERS
        with tarfile.TarFile(fileobj=cast("Any", measured), mode="r", encoding="utf-8") as tar:
            yield tar, measured
    except _BROKEN as error:
        raise BackupError(f"it is damaged: {error}") from None


@attrs.define(eq=False)
class _Window:
    """A part of a file."""

    file: BinaryIO
    at: int
    ends: int

    def read(self, size: int = -1) -> bytes:
        left = self.ends - self.at
        self.file.seek(self.at)
        found = self.file.read(left if size < 0 else min(size, left))
        self.at += len(found)
        return found


@attrs.define(eq=False)
class _Measured:
    """Reads forward, and no more than is due.

    Attributes:
        due: How many bytes may be read now.
    """

    file: BinaryIO
    due: int = 0
    _at: int = 0

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > self.due:
            raise BackupError("it has a header in it that is too long")
        found = self.file.read(size)
        self.due -= len(found)
        self._at += len(found)
        return found

    def tell(self) -> int:
        return self._at

    def seek(self, place: int) -> int:
        if place < self._at:
            raise BackupError("it has a header in it that leads back")
        while place > self._at and self.read(min(place - self._at, 64 * 1024)):
            pass
        return self._at

    def seekable(self) -> bool:
        return True
