"""The service that finds the files behind logical paths, and reads and writes them whole."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import attrs

from tavernkeep import UserContext
from tavernkeep.clock import Clock, now
from tavernkeep.finish import finishing
from tavernkeep_files.contracts import MAX_READ, TEMPORARY, Located, LogicalPath, PageRule, PathError, Resolver
from tavernkeep_files.disk import on_disk, path_error
from tavernkeep_files.kinds import kind_of
from tavernkeep_files.paths import check_name, safe_name

T = TypeVar("T")
_READABLE_BY_ALL: Final = (("shared", "library"), ("shared", "templates"), ("system", "public"))


@attrs.frozen
class FileStore:
    """See `Files`.

    Attributes:
        users: The folder with a folder for each user.
        roots: The other roots, by scheme and area.
        data: The data folder. What stands right in it (the database, the key of its secrets) is out of reach, whatever the path, and so are
            its hidden folders (what a restore has moved aside, keys and all) and changing its `plugins`: a key for files is not one for
            everything.
        config: The configuration file, the one that can be reached where it stands.
    """

    users: Path
    roots: Mapping[tuple[str, str], Path]
    data: Path
    config: Path
    clock: Clock = now
    _resolvers: list[Resolver] = attrs.field(factory=list, repr=False)
    _page_rules: list[PageRule] = attrs.field(factory=list, repr=False)

    def safe_name(self, text: str) -> str:
        """See `Files`."""
        return safe_name(text)

    def add_resolver(self, resolver: Resolver) -> Callable[[], None]:
        """See `Files`."""
        self._resolvers.append(resolver)
        return lambda: self._resolvers.remove(resolver)

    def add_page_rule(self, rule: PageRule) -> Callable[[], None]:
        """See `Files`."""
        self._page_rules.append(rule)
        return lambda: self._page_rules.remove(rule)

    def runs(self, located: Located, user: UserContext) -> bool:
        """See `Files`."""
        return any(rule.runs(located, user) for rule in self._page_rules)

    def kind_of(self, name: str) -> str:
        """See `Files`."""
        return kind_of(name)

    def locate(self, path: str | LogicalPath, user: UserContext, *, write: bool = False) -> Located:
        """See `Files`."""
        logical = LogicalPath.parse(path) if isinstance(path, str) else path
        place = (logical.scheme, logical.area)
        own = logical.scheme == "user"
        if not own and not user.is_admin and (write or place not in _READABLE_BY_ALL):
            raise PathError(f"{logical} is for administrators" + (" to change" if place in _READABLE_BY_ALL else ""), 403)
        root, parts, writable = self.users / check_name(user.uid) if own else self.roots[place], logical.parts, own or user.is_admin
        mount = next((found for resolve in self._resolvers if (found := resolve(logical, user))), None) if own else None
        if mount is not None:
            root = self.users.joinpath(check_name(mount.owner), *mount.parts)
            parts, writable = logical.parts[mount.depth :], mount.writable
            if write and (not writable or not parts or parts[0].casefold() == mount.kept):
                raise PathError(f"{logical} is another user's, and shared with you " + ("to use" if writable else "to read"), 403)
        real_root = Path(os.path.realpath(root))
        real = Path(os.path.realpath(real_root.joinpath(*parts)))
        if real != real_root and not real.is_relative_to(real_root):
            raise PathError(f"{logical} leads out of its folder", 403)
        if logical.scheme == "system" and self._is_private(logical, real, write):
            raise PathError(f"{logical} is the server's own", 403)
        located = Located(logical, real, real_root, writable, parts)
        if write and "*" not in user.scopes and any(rule.guards(located, user) for rule in self._page_rules):
            raise PathError(f"{logical} is where pages are that run with all that you may: a key for less cannot change it", 403)
        return located

    def _is_private(self, logical: LogicalPath, real: Path, write: bool) -> bool:
        if logical.area == "config" and logical.parts and real != self.config.resolve():
            return True
        below = real.relative_to(self.data).parts if real.is_relative_to(self.data) else ()
        if not below:
            return False
        own_file = len(below) == 1 and not real.is_dir() and (write or bool(logical.parts))  # a root that is not there yet is none
        return below[0].startswith(".") or own_file or (write and below[0].casefold() == "plugins")

    async def read(self, path: str | LogicalPath, user: UserContext, max_bytes: int = MAX_READ) -> bytes:
        """See `Files`."""
        located = self.locate(path, user)
        return await asyncio.to_thread(_read, located, max_bytes)

    async def on_disk(self, function: Callable[[], T], shown: str) -> T:
        """See `Files`."""
        return await on_disk(function, shown)

    async def recycle(self, source: Path, folder: LogicalPath, shown: str, user: UserContext) -> Path:
        """See `Files`."""
        moment = int(self.clock().timestamp() * 1000)

        def move() -> Path:
            name, ending = (source.name, "") if source.is_dir() else (source.stem, source.suffix)
            for attempt in range(100):  # two of one name in the same millisecond
                target = self.locate(folder / (self.safe_name(f"{name}_{moment + attempt}") + ending), user, write=True).path
                if not os.path.lexists(target):
                    break
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(source, target)
            return target

        return await self.on_disk(move, shown)

    @contextlib.asynccontextmanager
    async def making(self, path: str | LogicalPath, user: UserContext) -> AsyncIterator[Path]:
        """See `Files`."""
        located = self.locate(path, user, write=True)
        if await asyncio.to_thread(os.path.lexists, located.path):
            raise PathError(f"there is {located.logical} already", 409)
        try:
            yield located.path
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, located.path, ignore_errors=True)
            raise

    @finishing
    async def write(self, path: str | LogicalPath, data: bytes, user: UserContext) -> None:
        """See `Files`."""
        located = self.locate(path, user, write=True)
        await asyncio.to_thread(write_whole, located.path, data, str(located.logical))


def _read(located: Located, max_bytes: int) -> bytes:
    try:
        with located.path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise PathError(f"there is no file {located.logical}", 404) from None
    except IsADirectoryError:
        raise PathError(f"{located.logical} is a folder") from None
    except OSError as error:
        raise PathError(f"{located.logical} cannot be read: {error.strerror}", 403) from None
    if len(data) > max_bytes:
        raise PathError(f"{located.logical} is longer than {max_bytes} bytes", 413)
    return data


def write_whole(path: Path, data: bytes, shown: str) -> None:
    """Write a file by way of a temporary one beside it, which replaces it only when it is safely on the disk.

    Raises:
        PathError: Something stands in the way; the file is as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise path_error(error, shown) from None


def sweep(folders: Iterable[Path], before: float) -> None:
    """Remove what a crash left half written.

    Args:
        before: Seconds since 1970; what was written later is somebody's who is at it.
    """
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in names:
                if name.startswith(TEMPORARY):
                    with contextlib.suppress(OSError):
                        left = Path(place, name)
                        if left.stat().st_mtime < before:
                            left.unlink()


def merge_folder(source: Path, target: Path, below: str = "") -> list[str]:
    """Move what is in one folder into another; gives the names of files that stay, because there is one of that name."""
    if not source.is_dir():
        return []
    target.mkdir(parents=True, exist_ok=True)
    kept: list[str] = []
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if not os.path.lexists(place):
            entry.rename(place)
        elif entry.is_dir() and place.is_dir() and not entry.is_symlink() and not place.is_symlink():
            kept += merge_folder(entry, place, f"{below}{entry.name}/")
            with contextlib.suppress(OSError):  # something has stayed in it
                entry.rmdir()
        else:
            kept.append(below + entry.name)
    return kept


def sync_folder(folder: Path) -> None:
    """Make sure that a new or renamed entry of a folder survives a power cut, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
