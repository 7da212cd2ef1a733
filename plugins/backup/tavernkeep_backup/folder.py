"""A backup as a folder: each file under its path."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import attrs

from tavernkeep_backup.manifest import MANIFEST, BackupEntry, BackupError, BackupManifest
from tavernkeep_backup.streams import make_folder, new_file


@attrs.define(eq=False)
class FolderWriter:
    """See `BackupWriter`.

    Args:
        root: A folder that is not there yet.
    """

    root: Path

    def __attrs_post_init__(self) -> None:
        self.root.mkdir(mode=0o700)

    def folder(self, path: str, modified_ns: int) -> None:
        """See `BackupWriter`."""
        make_folder(self.root / path)

    def file(self, entry: BackupEntry, content: BinaryIO) -> None:
        """See `BackupWriter`."""
        place = self.root / entry.path
        make_folder(place.parent)
        with new_file(place, executable=entry.executable) as file:
            shutil.copyfileobj(content, file)
        os.utime(place, ns=(entry.modified_ns, entry.modified_ns))

    def end(self, manifest: Path) -> None:
        """See `BackupWriter`."""
        with manifest.open("rb") as lines, new_file(self.root / MANIFEST) as file:
            shutil.copyfileobj(lines, file)
        os.sync()  # all at once: one by one takes minutes where there are many

    def close(self) -> None:
        """See `BackupWriter`."""


@attrs.frozen
class FolderReader:
    """See `BackupReader`. Files that the manifest does not name are left alone."""

    root: Path

    def manifest(self) -> BackupManifest:
        """See `BackupReader`."""
        with self._opened(MANIFEST) as file:
            return BackupManifest.read(file)

    def contents(self, manifest: BackupManifest) -> Iterator[tuple[BackupEntry, BinaryIO]]:
        """See `BackupReader`."""
        for entry in manifest.entries.values():
            if not entry.is_folder:
                with self._opened(entry.path) as file:
                    yield entry, file

    def _opened(self, path: str) -> BinaryIO:
        place = self.root.resolve() / path
        if not place.is_file():
            raise BackupError(f"it has no {path}")
        if place.resolve() != place:
            raise BackupError(f"{path} is a link, or in one")
        return place.open("rb")
