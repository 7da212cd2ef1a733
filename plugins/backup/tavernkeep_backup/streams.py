"""The bytes of files, as they are copied: exactly as many as was said, and what they are known by."""

import hashlib
import itertools
import os
from pathlib import Path
from typing import BinaryIO, Final

import attrs

from tavernkeep_backup.manifest import BackupEntry, BackupError

_PIECE: Final = 1024 * 1024


@attrs.define(eq=False)
class Exactly:
    """Reads so many bytes of a file that somebody may shorten meanwhile: zeros stand for those that are gone."""

    file: BinaryIO
    left: int
    _hash: "hashlib._Hash" = attrs.field(factory=hashlib.sha256)

    def read(self, size: int = _PIECE) -> bytes:
        """The next bytes; none at the end."""
        wanted = min(size, self.left)
        piece = self.file.read(wanted).ljust(wanted, b"\0") if wanted else b""
        self.left -= len(piece)
        self._hash.update(piece)
        return piece

    @property
    def sha256(self) -> str:
        """Of what has been read."""
        return self._hash.hexdigest()


def copy_checked(entry: BackupEntry, content: BinaryIO, target: BinaryIO | None = None) -> None:
    """Read a file of a backup to its end, and see that it is as the manifest says; write it to where it belongs.

    Raises:
        BackupError: It is another.
    """
    checked = hashlib.sha256()
    left = entry.size
    while piece := content.read(min(_PIECE, left + 1)):
        left -= len(piece)
        if left < 0:
            break
        checked.update(piece)
        if target is not None:
            target.write(piece)
    if left or checked.hexdigest() != entry.sha256:
        raise BackupError(f"{entry.path!r} is damaged: it is not what was backed up")


def make_folder(folder: Path) -> None:
    """Make a folder for its owner alone, and those on the way, where they are not there."""
    missing = itertools.takewhile(lambda place: not place.is_dir(), (folder, *folder.parents))
    for place in reversed(list(missing)):
        place.mkdir(mode=0o700)


def new_file(place: Path, *, executable: bool = False) -> BinaryIO:
    """A file that is not there yet, for its owner alone."""
    return os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700 if executable else 0o600), "wb")


def on_disk(file: BinaryIO) -> None:
    """Have what was written to a file on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
