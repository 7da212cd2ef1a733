"""What the file system says, for who sent the path."""

import asyncio
import errno
from collections.abc import Callable
from typing import TypeVar

from tavernkeep_files.paths import PathError

T = TypeVar("T")


async def on_disk(function: Callable[[], T], shown: str) -> T:
    """Do something with the file system, in a thread.

    Args:
        shown: What it is about, as who asked for it calls it.

    Raises:
        PathError: It cannot be done; see `path_error`.
    """
    try:
        return await asyncio.to_thread(function)
    except OSError as error:
        raise path_error(error, shown) from None


def path_error(error: OSError, shown: str) -> PathError:
    """What an error of the file system means for who sent the path."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PathError(f"there is no room for {shown}", 507)
    if isinstance(error, FileNotFoundError):
        return PathError(f"there is no {shown}", 404)
    if isinstance(error, (FileExistsError, IsADirectoryError, NotADirectoryError)) or error.errno == errno.ENOTEMPTY:
        return PathError(f"something else is in the way of {shown}", 409)
    return PathError(f"{shown} cannot be used: {error.strerror}", 403)
