"""Makes a backup, of a server that runs or of one that does not.

The database first, then the files: what a row names is copied after the row, so it is there unless somebody took it away meanwhile. The
other way round, an execution that was accepted while files were copied would be in the backup without the file that it reads.

A file that is moved while the folders are read can be missed, so they are read again until nothing is new in them; only the first time
takes long. A file that was copied stays in the backup also when it is gone by then.
"""

import asyncio
import contextlib
import errno
import glob
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import attrs

from tavernkeep.clock import now
from tavernkeep.config.shown import Configuration
from tavernkeep.contracts.storage import ModelSet
from tavernkeep_backup import forms
from tavernkeep_backup.areas import Areas, Tell
from tavernkeep_backup.manifest import CONFIG, DATABASE, KEY, MOST_ENTRIES, BackupEntry, BackupError, BackupManifest, BackupWriter
from tavernkeep_backup.streams import Exactly, new_file, sync_folder
from tavernkeep_secrets.contracts import KEY_SETTINGS
from tavernkeep_storage.contracts import CopyingProvider

UNFINISHED: Final = ".unfinished-"  # in the name of a folder beside the target; what a kill leaves of a backup is in there
_TIMES: Final = 5  # that the folders are read, at most: beside a busy server there is always something new


@attrs.define(eq=False)
class Making:
    """A backup that is being made.

    Args:
        target: What it will be called.
        with_key: Put the key that secrets are sealed with into it.
        force: Put it in the place of a backup that has this name.
        tell: Called with what is left out, and why.
    """

    config: Configuration
    storage: CopyingProvider
    models: Sequence[ModelSet]
    target: Path
    with_key: bool
    force: bool
    tell: Tell
    _entries: dict[str, BackupEntry] = attrs.field(factory=dict)
    _told: set[str] = attrs.field(factory=set)

    def run(self) -> BackupManifest:
        """Make it; it is there whole afterwards, or not at all.

        Raises:
            BackupError: It cannot be made.
            CopyError: The database cannot be copied.
            OSError: Something cannot be read or written.
        """
        begun, storage = now(), self.storage
        areas = Areas.of(self.config, storage)
        if areas.restoring.exists():
            raise BackupError(f"a restore into {areas.data} was cut off; run `tavernkeep restore` again, which finishes it")
        self._check_target(areas)
        for reason in (*areas.left_out, *self._left_over(), *self._plugins_elsewhere(areas)):
            self._tell(reason)
        with self._beside() as place:
            key = self._key(areas)
            asyncio.run(storage.copy(place / DATABASE))
            self._check_key(key, again := self._key(areas))
            found = asyncio.run(storage.look_into(place / DATABASE, self.models))
            written = place / "backup"
            writer = forms.writer(self.target, written)
            with contextlib.closing(writer):
                self._copy(writer, place / DATABASE, DATABASE)
                (place / DATABASE).unlink()
                if again is not None:
                    self._write(writer, KEY, again)
                elif self.with_key:
                    self._tell(f"there is no {areas.key}: the key is in the configuration or in the environment, or nothing was sealed yet")
                self._configuration(writer)
                self._files(writer, areas)
                manifest = BackupManifest.of(begun, storage.name, found.migrations, found.rows, self._entries.values())
                with new_file(place / "manifest") as lines:
                    lines.writelines(manifest.lines())
                writer.end(place / "manifest")
            forms.verify(forms.reader(written))
            self._give_name(written, place)
        return manifest

    # Where it goes

    def _check_target(self, areas: Areas) -> None:
        forms.is_archive(self.target)
        if not self.target.parent.is_dir():
            raise BackupError(f"there is no folder {self.target.parent}")
        if areas.is_inside(self.target):
            raise BackupError(f"{self.target} is in a folder that is backed up: choose a place outside of it")
        if not os.path.lexists(self.target) or _is_empty(self.target):
            return
        if not self.force:
            raise BackupError(f"there is {self.target} already; --force puts the new backup in its place")
        is_replaceable = self.target.is_file() if forms.is_archive(self.target) else forms.is_backup(self.target)
        if not is_replaceable or self.target.is_symlink():
            raise BackupError(f"{self.target} is no backup, and stays")

    def _left_over(self) -> Iterator[str]:
        for left in sorted(self.target.parent.glob(f".{glob.escape(self.target.name)}{UNFINISHED}*")):
            yield f"{left} is of a backup that was cut off, unless one is being made now: it can be removed"

    def _plugins_elsewhere(self, areas: Areas) -> Iterator[str]:
        for folder in self.config.custom_plugins_paths:
            if not areas.is_inside(folder):
                yield f"the plugins in {folder} (customPluginsPaths) are outside of the data folder, and left out"

    @contextlib.contextmanager
    def _beside(self) -> Iterator[Path]:
        place = Path(tempfile.mkdtemp(prefix=f".{self.target.name}{UNFINISHED}", dir=self.target.parent))
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _give_name(self, written: Path, place: Path) -> None:
        before = place / "before"  # what is there is removed with the place
        if not self.force and os.path.lexists(self.target) and not _is_empty(self.target):
            raise BackupError(f"there is {self.target} by now; --force puts the new backup in its place")
        try:
            if self.target.is_dir():
                os.rename(self.target, before)
            os.replace(written, self.target)
        except BaseException:
            if before.exists():
                os.rename(before, self.target)
            raise
        sync_folder(self.target.parent)

    # What goes into it

    def _key(self, areas: Areas) -> bytes | None:
        if not self.with_key:
            return None
        with contextlib.suppress(FileNotFoundError):
            return areas.key.read_bytes()
        return None

    def _check_key(self, before: bytes | None, after: bytes | None) -> None:
        """The key file holds a key a line. One that was taken out while the database was copied may be what that is sealed with."""
        if not set((before or b"").split()) <= set((after or b"").split()):
            raise BackupError("the key that secrets are sealed with was changed meanwhile: try again")

    def _configuration(self, writer: BackupWriter) -> None:
        """As it is, without the key where that is in it and not asked for."""
        file = self.config.file
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            return
        if not self.with_key:
            values = json.loads(data.removeprefix(b"\xef\xbb\xbf"))
            taken = [setting for setting in KEY_SETTINGS if _take_out(values, setting)]
            if taken:
                data = json.dumps(values, indent=2, ensure_ascii=False).encode() + b"\n"
                self._tell(f"the key in {file} ({', '.join(taken)}) is left out: --with-key puts it in")
        self._write(writer, CONFIG, data)

    def _files(self, writer: BackupWriter, areas: Areas) -> None:
        for _ in range(_TIMES):
            before = len(self._entries)
            for found in areas.walk(self._tell):
                if found.path in self._entries:
                    continue
                if len(self._entries) == MOST_ENTRIES:
                    raise BackupError(f"there are more than {MOST_ENTRIES} files and folders")
                if found.is_folder:
                    self._folder(writer, found.place, found.path)
                else:
                    self._copy(writer, found.place, found.path)
            if len(self._entries) == before:
                break

    def _folder(self, writer: BackupWriter, place: Path, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # gone since
            modified = place.stat().st_mtime_ns
            writer.folder(path, modified)
            self._entries[path] = BackupEntry(path, modified_ns=modified)

    def _copy(self, writer: BackupWriter, place: Path, path: str) -> None:
        try:
            handle = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return  # gone since
        except OSError as error:
            if error.errno == errno.ELOOP:
                return  # a link by now, of which it is told when the folders are read again
            raise
        with contextlib.ExitStack() as opened:
            opened.callback(os.close, handle)
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                return  # something else by now
            file = opened.enter_context(os.fdopen(handle, "rb", closefd=False))
            executable = bool(before.st_mode & 0o100)
            self._add(writer, BackupEntry(path, before.st_size, modified_ns=before.st_mtime_ns, executable=executable), file)
            after = os.fstat(handle)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            self._tell(f"{place} was written to while it was copied, so its copy may be neither the one nor the other")

    def _write(self, writer: BackupWriter, path: str, data: bytes) -> None:
        self._add(writer, BackupEntry(path, len(data), modified_ns=_nanoseconds(now())), BytesIO(data))

    def _add(self, writer: BackupWriter, entry: BackupEntry, file: BinaryIO) -> None:
        content = Exactly(file, entry.size)
        writer.file(entry, cast("BinaryIO", content))
        self._entries[entry.path] = attrs.evolve(entry, sha256=content.sha256)

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self.tell(text)


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())


def _take_out(values: Any, setting: str) -> bool:
    """Remove a setting from a configuration; tells whether it was set."""
    *parents, last = setting.split(".")
    for key in parents:
        values = values.get(key) if isinstance(values, dict) else None
    return isinstance(values, dict) and values.pop(last, None) is not None
