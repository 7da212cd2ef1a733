"""Copies the files of another installation."""

import filecmp
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs

from tavernkeep_files.contracts import TEMPORARY, LogicalPath, PathError


@attrs.define
class Copied:
    """What became of the files of a folder.

    Attributes:
        different: Are here already with another content, and were left as they are.
        unsafe: Have names that no logical path may have, or are links.
    """

    new: int = 0
    same: int = 0
    different: list[str] = attrs.field(factory=list)
    unsafe: list[str] = attrs.field(factory=list)


def copy_folder(source: Path, target: Path, *, dry_run: bool) -> Copied:
    """Copy what is not there yet; each file is there whole or not at all."""
    copied = Copied()
    for file in _files(source, copied):
        place = target / file.relative_to(source)
        if os.path.lexists(place):
            if place.is_file() and filecmp.cmp(file, place, shallow=False):
                copied.same += 1
            else:
                copied.different.append(str(file.relative_to(source)))
            continue
        copied.new += 1
        if dry_run:
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=place.parent)
        os.close(handle)
        try:
            shutil.copy2(file, temporary)
            os.replace(temporary, place)
        except BaseException:
            os.unlink(temporary)
            raise
    return copied


def _files(source: Path, copied: Copied) -> Iterator[Path]:
    for folder, folders, names in os.walk(source):
        for name in [*folders, *names]:
            path = Path(folder, name)
            relative = path.relative_to(source)
            if path.is_symlink() or not _is_safe(relative):
                copied.unsafe.append(str(relative))
                if name in folders:
                    folders.remove(name)
            elif path.is_file():
                yield path
        folders.sort()


def _is_safe(relative: Path) -> bool:
    try:
        LogicalPath.parse("user://" + relative.as_posix())
    except PathError:
        return False
    return True
