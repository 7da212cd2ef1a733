"""A user's folder of SillyTavern: found, and walked without ever leaving it."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs
import click

from tavernkeep_files.contracts import MAX_READ, TEMPORARY

_MARKS: Final = (
    *("characters", "chats", "group chats", "groups", "worlds", "settings.json", "themes"),
    *("OpenAI Settings", "TextGen Settings", "KoboldAI Settings", "NovelAI Settings", "User Avatars", "QuickReplies"),
)
_ENOUGH: Final = 2  # of the marks
_MOST_FILES: Final = 200_000


class NotTaken(ValueError):
    """A file cannot be taken; the message says why."""


@attrs.frozen
class Foreign:
    """Something in the folder.

    Attributes:
        parts: The names that lead to it.
        problem: Why it is not taken, whatever it is.
    """

    path: Path
    parts: tuple[str, ...]
    problem: str | None = None


def user_folder(folder: Path) -> Path | None:
    """The user's folder in what was named: it, one in its `data`, or the `public` of older versions; none where it is no SillyTavern.

    Raises:
        click.ClickException: There are several users.
    """
    if _is_user(folder):
        return folder
    for parent in (folder / "data", folder):
        users = [child for child in _folders(parent) if _is_user(child) and child.name != "public"]
        if len(users) > 1:
            raise click.ClickException(f"there are several users: name the folder of one ({', '.join(str(user) for user in users[:20])})")
        if users:
            return users[0]
    public = folder / "public"
    return public if public.is_dir() and not public.is_symlink() and _is_user(public) else None


def _folders(parent: Path) -> list[Path]:
    if parent.is_symlink() or not parent.is_dir():
        return []
    return sorted(child for child in parent.iterdir() if child.is_dir() and not child.is_symlink())


def _is_user(folder: Path) -> bool:
    return sum((folder / mark).exists() for mark in _MARKS) >= _ENOUGH


def walk(folder: Path) -> Iterator[Foreign]:
    """Everything in a folder, in an order that is always the same; links are told of, and not followed.

    Raises:
        click.ClickException: There are too many files in it.
    """
    count = 0
    problems: list[Foreign] = []

    def unreadable(error: OSError) -> None:
        place = Path(str(error.filename))
        problems.append(Foreign(place, place.relative_to(folder).parts, f"cannot be read: {error.strerror}"))

    for place, folders, names in os.walk(folder, onerror=unreadable):
        yield from problems
        problems.clear()
        links = [name for name in folders if Path(place, name).is_symlink()]
        folders[:] = sorted(set(folders) - set(links))
        for name in sorted([*links, *names]):
            count += 1
            if count > _MOST_FILES:
                raise click.ClickException(f"there are more than {_MOST_FILES} files in {folder}")
            path = Path(place, name)
            problem = "is a link" if path.is_symlink() else "is called as files that are not whole" if name.startswith(TEMPORARY) else None
            yield Foreign(path, path.relative_to(folder).parts, problem)
    yield from problems


def content(path: Path, max_bytes: int = MAX_READ) -> bytes:
    """What is in a file, which is one and no link.

    Raises:
        NotTaken: It is something else, it is too large, or it cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise NotTaken("is no plain file")
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise NotTaken("is a link" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}") from None
    if len(data) > max_bytes:
        raise NotTaken(f"is larger than {max_bytes} bytes")
    return data
