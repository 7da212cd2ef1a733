"""What is in a backup: a line about the whole, and one for each file and folder, as JSON.

A backup may come from anywhere: each line is checked before anything is made of it, and the sizes are known before anything is unpacked.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import attrs

from tavernkeep.contracts.storage import Migration
from tavernkeep.wire import Invalid, dumps, iso, loads, structure, unstructure

FORMAT: Final = 1
MANIFEST: Final = "manifest.jsonl"
DATABASE: Final = "database"
CONFIG: Final = "config.json"
KEY: Final = "master.key"
APART: Final = (DATABASE, CONFIG, KEY)  # files that are in no area
AREAS: Final = ("data", "library", "public", "logs")

MOST_ENTRIES: Final = 1_000_000
MOST_BYTES: Final = 2**50  # of a file; more than any disk has, and no number that something is multiplied with runs over
_LONGEST_LINE: Final = 64 * 1024
_LONGEST_HEAD: Final = 1024 * 1024
LONGEST: Final = 256 * 1024**2  # bytes of a manifest
_LONGEST_NAME: Final = 255
_LONGEST_PATH: Final = 4096  # Linux's own


class BackupError(Exception):
    """A backup cannot be made, or not be used; the message says why, and what to do."""


@attrs.frozen
class BackupEntry:
    """A file, or a folder.

    Attributes:
        path: Its area and its names in it, with `/` between them, and at the end of a folder's.
        modified_ns: When it was changed, in nanoseconds since 1970.
        executable: Whether its owner may run it.
    """

    path: str
    size: int = attrs.field(default=0, validator=[attrs.validators.ge(0), attrs.validators.le(MOST_BYTES)])
    sha256: str = attrs.field(default="", validator=attrs.validators.matches_re("([0-9a-f]{64})?"))
    modified_ns: int = attrs.field(default=0, validator=[attrs.validators.ge(-(2**62)), attrs.validators.le(2**62)])
    executable: bool = False

    @property
    def is_folder(self) -> bool:
        return self.path.endswith("/")

    def parts(self) -> tuple[str, ...]:
        """The area, or the name of what is in none, and the names below it.

        Raises:
            BackupError: Nothing can have this path in a backup.
        """
        first, *names = parts = self.path.removesuffix("/").split("/")
        is_apart = first in APART and not names and not self.is_folder
        if not is_apart and not (first in AREAS and (names or self.is_folder)):
            raise BackupError(f"{self.path!r} has no place in a backup")
        for name in names:
            if name in ("", ".", "..") or "\0" in name or "\\" in name or len(name.encode()) > _LONGEST_NAME:
                raise BackupError(f"{self.path!r} is no safe path")
        if len(self.path) > _LONGEST_PATH:
            raise BackupError("it has a path in it that leads too deep")
        return tuple(parts)


@attrs.frozen
class Head:
    """About the whole.

    Attributes:
        version: That of the kernel which wrote it.
        created_at: When it was begun: what was accepted before is in it.
        provider: The storage provider whose database is in it.
        files: How many there are.
        bytes: Of all files together.
        rows: How many each table has.
    """

    format: int
    version: str = attrs.field(validator=attrs.validators.max_len(100))
    created_at: str = attrs.field(validator=attrs.validators.max_len(100))
    provider: str
    migrations: list[Migration]
    rows: Mapping[str, int]
    files: int = attrs.field(validator=attrs.validators.ge(0))
    bytes: int = attrs.field(validator=[attrs.validators.ge(0), attrs.validators.le(MOST_BYTES)])

    @property
    def row_count(self) -> int:
        """Of all tables."""
        return sum(self.rows.values())


@attrs.frozen
class BackupManifest:
    """What is in a backup; the entries by their paths."""

    head: Head
    entries: Mapping[str, BackupEntry]

    @classmethod
    def of(
        cls, begun: datetime, provider: str, migrations: Iterable[Migration], rows: Mapping[str, int], entries: Iterable[BackupEntry]
    ) -> "BackupManifest":
        """That of what has been written."""
        by_path = {entry.path: entry for entry in entries}
        files = [entry for entry in by_path.values() if not entry.is_folder]
        total = sum(entry.size for entry in files)
        version = installed_version("tavernkeep-kernel")
        return cls(Head(FORMAT, version, iso(begun), provider, list(migrations), rows, len(files), total), by_path)

    def lines(self) -> Iterator[bytes]:
        """As it is written."""
        yield dumps(unstructure(self.head)) + b"\n"
        for entry in self.entries.values():
            yield dumps(unstructure(entry)) + b"\n"

    @classmethod
    def read(cls, file: BinaryIO) -> "BackupManifest":
        """One that was written.

        Raises:
            BackupError: It is none, or one of a later version, or does not say the same all through.
        """
        try:
            head = _head(file.readline(_LONGEST_HEAD))
            entries: dict[str, BackupEntry] = {}
            total = files = 0
            while line := file.readline(_LONGEST_LINE):
                entry = structure(loads(line), BackupEntry)
                entry.parts()
                if entry.path in entries:
                    raise BackupError(f"{entry.path!r} is in it twice")
                if len(entries) == MOST_ENTRIES:
                    raise BackupError(f"it has more than {MOST_ENTRIES} entries")
                entries[entry.path] = entry
                files += not entry.is_folder
                total += entry.size
        except Invalid as error:
            raise BackupError(f"its {MANIFEST} is none: {error}") from None
        if (files, total) != (head.files, head.bytes) or DATABASE not in entries:
            raise BackupError(f"its {MANIFEST} is not whole")
        return cls(head, entries)


def _head(line: bytes) -> Head:
    found = loads(line)
    written = found.get("format") if isinstance(found, dict) else None
    if written != FORMAT:
        later = isinstance(written, int) and written > FORMAT
        raise BackupError("a later version has written it: install that one" if later else f"its {MANIFEST} is none")
    return structure(found, Head)


class BackupWriter(Protocol):
    """Writes a backup in one of its forms."""

    def folder(self, path: str, modified_ns: int) -> None:
        """Add a folder."""

    def file(self, entry: BackupEntry, content: BinaryIO) -> None:
        """Add a file; the content is as long as the entry says."""

    def end(self, manifest: Path) -> None:
        """Add the manifest, and have everything on the disk."""

    def close(self) -> None:
        """Let go of what is open, whether or not it has come to its end."""


class BackupReader(Protocol):
    """Reads a backup in one of its forms."""

    def manifest(self) -> BackupManifest:
        """What is in it."""
        ...

    def contents(self, manifest: BackupManifest) -> Iterator[tuple[BackupEntry, BinaryIO]]:
        """Each file of a manifest, in the order in which they can be read; each is to be read to its end before the next."""
        ...
