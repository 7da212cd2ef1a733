"""What may be done with files: listed, made, removed, renamed, moved, received."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs

from tavernkeep import UserContext
from tavernkeep.finish import finish, finishing
from tavernkeep_files.bodies import Item, Made, Received
from tavernkeep_files.contracts import TEMPORARY, Files, Located, LogicalPath, PathError
from tavernkeep_files.disk import on_disk, path_error
from tavernkeep_files.kinds import UNKNOWN, kind_of
from tavernkeep_files.service import sync_folder


@attrs.frozen
class Operations:
    """Each works on logical paths, for a user.

    All raise `PathError`: 400 for an unsafe path, 403 for what the user may not, 404 for what is not there, 409 for what is in the way, 507
    for want of room.
    """

    files: Files

    async def list(self, path: LogicalPath, user: UserContext, *, ensure: bool = False) -> list[Item]:
        """What is in a folder, by name; nothing for one that is not there, which is made with `ensure` where the user may."""
        located = self.files.locate(path, user)
        if ensure and located.writable:
            await on_disk(lambda: located.path.mkdir(parents=True, exist_ok=True), str(path))
        return await on_disk(lambda: _listed(located), str(path))

    async def roots(self, roots: Iterable[LogicalPath], user: UserContext) -> Sequence[Item]:
        """Those of some roots that the user may see, whether or not anything has been put there yet."""
        seen = []
        for root in roots:
            with contextlib.suppress(PathError):
                seen.append(self.files.locate(root, user))
        return await asyncio.to_thread(lambda: [_root(located) for located in seen])

    @finishing
    async def create_folder(self, parent: LogicalPath, name: str, user: UserContext) -> Made:
        """Make a folder, or leave it as it is where it is there; those on the way are made too."""
        located = self.files.locate(parent / name, user, write=True)
        await on_disk(lambda: located.path.mkdir(parents=True, exist_ok=True), str(located.logical))
        return _made(located.logical, located.path)

    @finishing
    async def delete(self, path: LogicalPath, user: UserContext) -> None:
        """Remove a file, or a folder with all that is in it."""
        located = self._entry(path, user)

        def remove() -> None:
            place = _unfollowed(located)
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink()

        await on_disk(remove, str(path))

    @finishing
    async def move(self, path: LogicalPath, target: LogicalPath, user: UserContext) -> Made:
        """Give a file or a folder another place, where nothing may be."""
        source = self._entry(path, user)
        place = self.files.locate(target, user, write=True)
        if target.parts[: len(path.parts)] == path.parts and (target.scheme, target.area) == (path.scheme, path.area):
            raise PathError(f"{path} cannot be moved into itself", 409)

        def rename() -> None:
            if not os.path.lexists(_unfollowed(source)):
                raise path_error(FileNotFoundError(), str(path))
            if os.path.lexists(place.path):
                raise FileExistsError
            self._check_within(_unfollowed(source), target, user)
            place.path.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(_unfollowed(source), place.path)
            sync_folder(place.path.parent)

        await on_disk(rename, str(target))
        return _made(target, place.path)

    def _check_within(self, folder: Path, target: LogicalPath, user: UserContext) -> None:
        """See that a caller who may less than everything may write each file of a folder where it is to be."""
        if "*" in user.scopes:
            return
        for place, _, names in os.walk(folder):
            for name in names:
                self.files.locate(
                    attrs.evolve(target, parts=(*target.parts, *Path(place, name).relative_to(folder).parts)), user, write=True
                )

    async def receive(self, folder: LogicalPath, name: str, chunks: AsyncIterator[bytes], max_bytes: int, user: UserContext) -> Received:
        """Write a file as its pieces come; it is there whole or not at all, in place of one of that name."""
        target = folder / name
        located = self.files.locate(target, user, write=True)
        shown = str(target)

        opened: list[Any] = []

        def begin() -> None:
            if located.path.is_dir():
                raise IsADirectoryError
            located.path.parent.mkdir(parents=True, exist_ok=True)
            opened.append(tempfile.NamedTemporaryFile(prefix=TEMPORARY, dir=located.path.parent, delete=False))  # noqa: SIM115 - closed below

        size = 0
        try:
            await finish(on_disk(begin, shown))
            (file,) = opened
            async for chunk in chunks:
                size += len(chunk)
                if size > max_bytes:
                    raise PathError(f"{shown} is larger than {max_bytes} bytes (files.maxUploadBytes)", 413)
                await finish(on_disk(lambda data=chunk: file.write(data), shown))  # type: ignore[misc]

            def end() -> None:
                file.flush()
                os.fsync(file.fileno())
                file.close()
                os.replace(file.name, located.path)
                sync_folder(located.path.parent)

            await finish(on_disk(end, shown))
        except BaseException:
            for file in opened:
                file.close()
                with contextlib.suppress(OSError):
                    os.unlink(file.name)
            raise
        return Received(target.name, shown, size)

    def _entry(self, path: LogicalPath, user: UserContext) -> Located:
        if not path.parts:
            raise PathError(f"{path} itself cannot be moved or removed")
        return self.files.locate(path, user, write=True)


def _unfollowed(located: Located) -> Path:
    """The entry itself, where it is a link: that is what is removed or moved, and not what it leads to."""
    return located.root.joinpath(*located.parts)


def _listed(located: Located) -> list[Item]:
    try:
        entries = sorted(os.scandir(located.path), key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        raise PathError(f"{located.logical} is no folder") from None
    return [item for entry in entries if not entry.name.startswith(TEMPORARY) and (item := _item(located, entry)) is not None]


def _item(located: Located, entry: "os.DirEntry[str]") -> Item | None:
    try:
        status = entry.stat()
    except OSError:
        try:
            status = entry.stat(follow_symlinks=False)  # a link that leads nowhere is shown as it is
        except OSError:
            return None  # gone since
    is_folder, kind = entry.is_dir(), kind_of(entry.name)
    prefix = str(located.logical)
    path = f"{prefix}{'' if prefix.endswith('/') else '/'}{entry.name}"
    return Item(
        id=path,
        name=entry.name,
        logical_path=path,
        item_type="directory" if is_folder else "file",
        is_symlink=entry.is_symlink(),
        is_writable=located.writable,
        size=None if is_folder else status.st_size,
        last_modified=int(status.st_mtime * 1000),
        mime_type=None if is_folder or kind == UNKNOWN else kind,
    )


def _root(located: Located) -> Item:
    path, changed = str(located.logical), None
    with contextlib.suppress(OSError):
        changed = int(located.path.stat().st_mtime * 1000)
    return Item(path, located.logical.name, path, "directory", is_symlink=False, is_writable=located.writable, last_modified=changed)


def _made(path: LogicalPath, place: Path) -> Made:
    return Made(path.name, str(path), "directory" if place.is_dir() else "file")
