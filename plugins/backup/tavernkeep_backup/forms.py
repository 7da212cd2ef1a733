"""The two forms of a backup, chosen by a name: an archive, or a folder."""

from pathlib import Path
from typing import Final

from tavernkeep_backup.archive import ENDINGS, ArchiveReader, ArchiveWriter
from tavernkeep_backup.folder import FolderReader, FolderWriter
from tavernkeep_backup.manifest import MANIFEST, BackupError, BackupManifest, BackupReader, BackupWriter
from tavernkeep_backup.streams import copy_checked

_OTHERS: Final = (".tar", ".zip", ".gz", ".zst", ".xz", ".bz2", ".7z", ".rar")


def is_archive(target: Path) -> bool:
    """Whether a new backup of that name is an archive.

    Raises:
        BackupError: It is to be one of a kind that is not written.
    """
    name = target.name.lower()
    if name.endswith(ENDINGS):
        return True
    if name.endswith(_OTHERS):
        raise BackupError(f"{target.name}: an archive ends in {' or '.join(ENDINGS)}; any other name is a folder's")
    return False


def writer(target: Path, place: Path) -> BackupWriter:
    """Writes what is to be called `target` to a place where nothing is yet."""
    return ArchiveWriter(place) if is_archive(target) else FolderWriter(place)


def reader(source: Path) -> BackupReader:
    """Reads a backup.

    Raises:
        BackupError: There is none.
    """
    if source.is_dir():
        return FolderReader(source)
    if source.is_file():
        return ArchiveReader(source)
    raise BackupError(f"there is no {source}")


def is_backup(folder: Path) -> bool:
    """Whether a folder looks like one."""
    return (folder / MANIFEST).is_file()


def verify(backup: BackupReader) -> BackupManifest:
    """Read a backup from its beginning to its end.

    Raises:
        BackupError: Something in it is not what was backed up.
    """
    manifest = backup.manifest()
    for entry, content in backup.contents(manifest):
        copy_checked(entry, content)
    return manifest
