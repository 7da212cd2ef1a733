"""What this plugin publishes: logical paths, and the service that finds the files behind them."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, Protocol, TypeVar

import attrs

from tavernkeep import UserContext
from tavernkeep_files.paths import LogicalPath, PathError

T = TypeVar("T")
READ: Final = "files:read"  # scopes
WRITE: Final = "files:write"

__all__ = [
    "MAX_READ",
    "READ",
    "RECYCLED",
    "SANDBOX",
    "TEMPORARY",
    "WRITE",
    "Files",
    "Located",
    "LogicalPath",
    "Mount",
    "PageRule",
    "PathError",
    "Resolver",
]

TEMPORARY: Final = ".writing-"  # begins the name of a file that is not whole yet; what a crash leaves of them is removed at the next start
RECYCLED: Final = LogicalPath("user", "", (".recycle_bin",))
MAX_READ: Final = 64 * 1024 * 1024  # bytes; what is read into memory at once
SANDBOX: Final = {"Content-Security-Policy": "sandbox; default-src 'none'"}  # headers of what somebody put here: as a page it runs nothing


@attrs.frozen
class Located:
    """Where a logical path leads for a user.

    Attributes:
        path: The place in the file system, within its root, links followed; it need not be there.
        root: What the path cannot leave.
        writable: Whether the user may change it.
        parts: The names that lead to it from the root.
    """

    logical: LogicalPath
    path: Path
    root: Path
    writable: bool
    parts: tuple[str, ...] = ()


@attrs.frozen
class Mount:
    """A folder of one user's that another sees among their own.

    Attributes:
        owner: The uid of whose it is.
        parts: Where it is among the owner's files.
        depth: How many names of the path lead to it.
        kept: The name of a file right in it that its owner alone may change.
    """

    owner: str
    parts: tuple[str, ...]
    depth: int
    writable: bool
    kept: str = ""


Resolver = Callable[[LogicalPath, UserContext], Mount | None]


class PageRule(Protocol):
    """Says what of users' files runs as pages with this server's origin, and so with all that the user may who looks at them."""

    def runs(self, located: Located, user: UserContext) -> bool:
        """Whether a file is such a page for a user, or a part of one."""

    def guards(self, located: Located, user: UserContext) -> bool:
        """Whether a place is one for such pages, of whichever user: only who may everything that they may themselves changes it."""


class Files(Protocol):
    """Finds files by logical path. Every access to a user's files goes through `locate`."""

    def locate(self, path: str | LogicalPath, user: UserContext, *, write: bool = False) -> Located:
        """Where a path leads.

        Raises:
            PathError: It is no safe path (400), or the user may not (403).
        """

    def safe_name(self, text: str) -> str:
        """A name that is safe as one part of a path, made of any text: what must not stand in it becomes `_`."""

    def add_resolver(self, resolver: Resolver) -> Callable[[], None]:
        """Let a plugin say that some `user://` paths lead to a folder of another user's, which cannot be left, moved or removed.

        The returned function ends that.
        """

    def add_page_rule(self, rule: PageRule) -> Callable[[], None]:
        """Let a plugin say which pages run: without a rule none does. The returned function ends that."""

    def runs(self, located: Located, user: UserContext) -> bool:
        """Whether a file is a page that runs for a user, or a part of one."""

    def kind_of(self, name: str) -> str:
        """The media type of a file of that name."""

    async def read(self, path: str | LogicalPath, user: UserContext, max_bytes: int = MAX_READ) -> bytes:
        """The content of a file.

        Raises:
            PathError: It is no safe path (400), the user may not (403), there is no such file (404), or it is longer (413).
        """

    async def on_disk(self, function: Callable[[], T], shown: str) -> T:
        """Do something with the file system, in a thread.

        Args:
            shown: What it is about, as who asked for it calls it.

        Raises:
            PathError: There is no such file (404), something is in the way (409), there is no room (507), or it cannot be done (403).
        """

    async def recycle(self, source: Path, folder: LogicalPath, shown: str, user: UserContext) -> Path:
        """Move a file or a folder into a folder of the user's recycle bin (`RECYCLED`), under its name and the time; gives where it is.

        Args:
            source: It, which the caller has seen that the user may remove.
            shown: See `on_disk`.

        Raises:
            PathError: See `on_disk`.
        """

    def making(self, path: str | LogicalPath, user: UserContext) -> AbstractAsyncContextManager[Path]:
        """A folder that is being made, and is gone again when what is done inside fails; gives where it is.

        Raises:
            PathError: It is no safe path (400), the user may not (403), or there is something already (409).
        """

    async def write(self, path: str | LogicalPath, data: bytes, user: UserContext) -> None:
        """Write a file whole: it is there with the new content, or as it was before. Folders on the way are made.

        Raises:
            PathError: It is no safe path (400), the user may not (403), a folder is in the way (409), or there is no room (507).
        """
