"""Where what a backup holds is at home: the data folder, and the folders that may be elsewhere; and what of them is in no backup."""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import attrs

from tavernkeep.app import LOCK_FILE, RESTORING
from tavernkeep.config.shown import Configuration
from tavernkeep_backup.manifest import BackupError
from tavernkeep_files.contracts import TEMPORARY
from tavernkeep_secrets.contracts import KEY_FILE
from tavernkeep_storage.contracts import CopyingProvider

Tell = Callable[[str], None]

UNPACKED: Final = ".unpacked"  # in the data folder: what a restore is about to put there
REPLACED: Final = ".replaced-"  # there too, with the time: what a restore has moved aside
_ELSEWHERE: Final = ("library", "public", "logs")
OF_THE_DISK: Final = "lost+found"  # right in what is mounted


@attrs.frozen
class Found:
    """A file or a folder that a backup is to hold."""

    path: str
    place: Path
    is_folder: bool


@attrs.define(eq=False)
class Areas:
    """The folders, by the names that they have in a backup. What is in one folder within another is of the inner one.

    Attributes:
        config: The configuration file.
        left_out: What is no area, and why.
    """

    folders: Mapping[str, Path]
    config: Path
    _own: frozenset[Path]
    left_out: list[str] = attrs.field(factory=list)

    @classmethod
    def of(cls, config: Configuration, storage: CopyingProvider) -> "Areas":
        """Those of a server."""
        data = config.data
        folders, left_out = {"data": data}, []
        for name in _ELSEWHERE:
            folder = config.folder(name)
            if data.is_relative_to(folder):
                left_out.append(f"paths.{name}, {folder}, has the data folder in it, and is not a folder of its own")
            elif folder not in folders.values():
                folders[name] = folder
        own = {data / LOCK_FILE, data / KEY_FILE, (data / KEY_FILE).with_suffix(".new"), config.file, *storage.files()}
        own |= {data / RESTORING, data / UNPACKED, config.file.with_name(f".{config.file.name}.writing")}
        return cls(folders, config.file, frozenset(own), left_out)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folders["data"]

    @property
    def restoring(self) -> Path:
        """Is there while a backup is put into the data folder."""
        return self.data / RESTORING

    @property
    def key(self) -> Path:
        """The file with the key that secrets are sealed with."""
        return self.data / KEY_FILE

    def is_inside(self, path: Path) -> bool:
        """Whether a place is in one of the folders."""
        return any(path.is_relative_to(folder) for folder in self.folders.values())

    def place(self, parts: tuple[str, ...]) -> Path:
        """Where an entry of a backup belongs.

        Raises:
            BackupError: Nothing of a backup belongs there.
        """
        area, *names = parts
        folder = self.folders.get(area)
        if folder is None:
            raise BackupError(f"there is no folder of its own for {area!r} here (paths.{area})")
        place = folder.joinpath(*names)
        if any(self._is_out(folder.joinpath(*names[:end])) for end in range(1, len(names) + 1)):
            raise BackupError(f"{'/'.join(parts)!r} has no place in a backup")
        return place

    def _is_out(self, place: Path) -> bool:
        name = place.name
        if place in self._own or name.startswith(TEMPORARY):
            return True
        return (place.parent == self.data and name.startswith(REPLACED)) or (name == OF_THE_DISK and place.parent in self.folders.values())

    def walk(self, tell: Tell) -> Iterator[Found]:
        """Everything that a backup is to hold, as it is found; links are not followed, and told of.

        Args:
            tell: Called with what is left out, and why.

        Raises:
            BackupError: A folder cannot be read.
        """
        others = set(self.folders.values())
        for area, folder in self.folders.items():
            for place, folders, names in os.walk(folder, onerror=_unreadable):
                here = Path(place)
                prefix = "/".join((area, *here.relative_to(folder).parts))
                yield Found(f"{prefix}/", here, is_folder=True)
                for name in sorted(folders):
                    inner = here / name
                    if inner.is_symlink():
                        tell(f"{inner} is a link, and not followed")
                    if inner.is_symlink() or inner in others or self._is_out(inner) or not _is_sayable(name, inner, tell):
                        folders.remove(name)
                folders.sort()
                for name in sorted(names):
                    file = here / name
                    if self._is_out(file) or not _is_sayable(name, file, tell) or not _is_file(file, tell):
                        continue
                    yield Found(f"{prefix}/{name}", file, is_folder=False)


def _unreadable(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # removed since it was seen
        raise BackupError(f"{error.filename} cannot be read: {error.strerror}") from None


def _is_sayable(name: str, place: Path, tell: Tell) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        tell(f"{os.fsencode(place)!r} has a name that is no text, and is left out")
        return False
    if "\\" in name:
        tell(f"{place} has a backslash in its name, and is left out")
        return False
    return True


def _is_file(file: Path, tell: Tell) -> bool:
    try:
        mode = file.lstat().st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise BackupError(f"{file} cannot be read: {error.strerror}") from None
    if stat.S_ISLNK(mode):
        tell(f"{file} is a link, and not followed")
    elif not stat.S_ISREG(mode):
        tell(f"{file} is no file, and left out")
    return stat.S_ISREG(mode)
