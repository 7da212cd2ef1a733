"""Puts a backup in the place of a data folder.

It is unpacked and looked into inside of the data folder first, where nobody looks. Then that is given the name by which a server refuses to
start (`RESTORING`), and from there it only goes forward, with renames: what is there goes aside, what was unpacked takes its place. Cut
off in the middle, the next `tavernkeep restore` goes on. All of it is inside of the data folder, which may be a disk of its own.
"""

import asyncio
import contextlib
import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from tavernkeep.app import LOCK_FILE, RESTORING
from tavernkeep.clock import now
from tavernkeep.config import ConfigError, ConfigSource
from tavernkeep.config.sections import PathsConfig
from tavernkeep.config.shown import Configuration, beside
from tavernkeep.contracts.storage import ModelSet
from tavernkeep_backup import forms
from tavernkeep_backup.areas import OF_THE_DISK, REPLACED, UNPACKED, Areas, Tell
from tavernkeep_backup.manifest import APART, CONFIG, DATABASE, KEY, BackupEntry, BackupError, BackupManifest, BackupReader
from tavernkeep_backup.streams import copy_checked, make_folder, new_file, on_disk, sync_folder
from tavernkeep_storage.contracts import CopyError, CopyingProvider

_TREE: Final = "tree"  # of what is unpacked: what belongs into the data folder
_OUTSIDE: Final = "outside"  # what belongs into folders that are elsewhere, by area
_ASIDE: Final = "replaced"  # what is moved aside, until all of it is


@attrs.define(eq=False)
class Restoring:
    """A backup that is put back. Whoever does it has the data folder for itself (`Application.open_data_folder`).

    Args:
        source: The backup.
        force: Move aside what is in the data folder.
        tell: Called with what whoever does it should know.
    """

    config: Configuration
    storage: CopyingProvider
    models: Sequence[ModelSet]
    source: Path
    force: bool
    tell: Tell
    _areas: Areas = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._areas = Areas.of(self.config, self.storage)

    def run(self) -> BackupManifest | None:
        """Do it, whole or not at all; gives what is there now, or `None` where another one that had been cut off was finished instead.

        Raises:
            BackupError: The backup is none that can be put here, and everything is as it was; or it says that this is to be finished.
            CopyError: Its database is damaged; everything is as it was.
            OSError: Something cannot be read or written; everything is as it was.
        """
        if self._areas.restoring.exists():
            self._go_on()
            return None
        backup = forms.reader(self.source)
        manifest = backup.manifest()
        if manifest.head.provider != self.storage.name:
            raise BackupError(f"its database is one of the storage provider {manifest.head.provider!r}, and here is {self.storage.name!r}")
        places = {path: self._areas.place(entry.parts()) for path, entry in manifest.entries.items() if path not in APART}
        self._check_room(manifest)
        self._check_empty(places)
        unpacked = self._areas.data / UNPACKED
        shutil.rmtree(unpacked, ignore_errors=True)  # of one that was cut off
        try:
            self._unpack(backup, manifest, places, unpacked)
            self._look_into(unpacked / DATABASE, manifest)
            os.rename(unpacked, self._areas.restoring)
        except BaseException:
            shutil.rmtree(unpacked, ignore_errors=True)
            raise
        self._go_on()
        return manifest

    # What must be so

    def _check_room(self, manifest: BackupManifest) -> None:
        free = shutil.disk_usage(self._areas.data).free
        if manifest.head.bytes > free:
            raise BackupError(f"it has {manifest.head.bytes} bytes in it, and for {self._areas.data} there are {free}")

    def _check_empty(self, places: Mapping[str, Path]) -> None:
        data = self._areas.data
        there = [entry for entry in data.iterdir() if not self._stays(entry, with_key=False)]
        there += [file for file in self.storage.files() if not file.is_relative_to(data) and file.exists()]
        if there and not self.force:
            raise BackupError(f"{data} is not empty: there is {there[0].name}; --force moves what is there aside")
        if self.config.file.is_relative_to(data) and self.config.file.parent != data:
            raise BackupError(f"the configuration file {self.config.file} is in a folder of the data folder: move it out of there")
        for entry in there:
            if entry.is_mount():
                raise BackupError(f"{entry} is a disk of its own, and cannot be moved aside: unmount it, or choose another data folder")
        for area, folder in self._areas.folders.items():
            is_filled = not folder.is_relative_to(data) and any(path.startswith(f"{area}/") and path != f"{area}/" for path in places)
            if is_filled and folder.exists() and any(entry.name != OF_THE_DISK for entry in folder.iterdir()):
                raise BackupError(f"{folder} (paths.{area}) is not empty; it is outside of the data folder, so empty it yourself")

    def _look_into(self, copy: Path, manifest: BackupManifest) -> None:
        found = asyncio.run(self.storage.look_into(copy, self.models))
        if found.unknown:
            migration = found.unknown[0]
            raise BackupError(
                f"a later version has written it (its {manifest.head.version}): its database has the migration {migration.version} of"
                f" {migration.app!r}, which is not known here; install that version"
            )
        if dict(found.rows) != dict(manifest.head.rows):
            raise BackupError("its database has not the rows that its manifest says")

    # Unpacking

    def _unpack(self, backup: BackupReader, manifest: BackupManifest, places: Mapping[str, Path], unpacked: Path) -> None:
        for folder in (unpacked, unpacked / _ASIDE, unpacked / _TREE, unpacked / _OUTSIDE):
            folder.mkdir(mode=0o700)
        for entry in manifest.entries.values():
            if entry.is_folder:
                make_folder(self._where(entry, places, unpacked))
        for entry, content in backup.contents(manifest):
            place = self._where(entry, places, unpacked)
            make_folder(place.parent)
            with new_file(place, executable=entry.executable) as file:
                copy_checked(entry, content, file)
            os.utime(place, ns=(entry.modified_ns, entry.modified_ns))
        os.sync()  # all at once: one by one takes minutes where there are many

    def _where(self, entry: BackupEntry, places: Mapping[str, Path], unpacked: Path) -> Path:
        if entry.path == KEY:
            return unpacked / _TREE / self._areas.key.name
        if entry.path in APART:
            return unpacked / entry.path
        place = places[entry.path]
        if place.is_relative_to(self._areas.data):
            return unpacked / _TREE / place.relative_to(self._areas.data)
        area = entry.parts()[0]
        return unpacked / _OUTSIDE / area / place.relative_to(self._areas.folders[area])

    # Forward

    def _go_on(self) -> None:
        """From wherever it is; each step does nothing where it has been done."""
        try:
            self._put_in_place()
        except (OSError, CopyError) as error:
            what = f"{self._areas.data} is neither what it was nor what it is to be: {error}"
            raise BackupError(f"{what}; mend that, and run `tavernkeep restore` again, which finishes it") from None

    def _put_in_place(self) -> None:
        data, restoring = self._areas.data, self._areas.restoring
        if (restoring / _ASIDE).exists():
            with_key = (restoring / _TREE / self._areas.key.name).exists()
            for entry in sorted(data.iterdir()):
                if not self._stays(entry, with_key=with_key):
                    os.rename(entry, restoring / _ASIDE / entry.name)
            if any((restoring / _ASIDE).iterdir()):
                aside = data / f"{REPLACED}{now():%Y%m%dT%H%M%S%f}"
                os.rename(restoring / _ASIDE, aside)
                self.tell(f"what was there is in {aside}; remove it when you do not need it any more")
            else:
                (restoring / _ASIDE).rmdir()
            sync_folder(data)
        for entry in sorted((restoring / _TREE).iterdir()):
            os.rename(entry, data / entry.name)
        for area in sorted((restoring / _OUTSIDE).iterdir()):
            shutil.copytree(area, self._areas.folders[area.name], dirs_exist_ok=True)
            shutil.rmtree(area)
        asyncio.run(self.storage.take(restoring / DATABASE))
        self._configuration(restoring / CONFIG)
        sync_folder(data)
        # What is left has no more to say, also while it is removed: half of it could not be gone on with.
        os.rename(restoring, data / UNPACKED)
        sync_folder(data)
        shutil.rmtree(data / UNPACKED, ignore_errors=True)

    def _stays(self, entry: Path, *, with_key: bool) -> bool:
        """Whether something in the data folder is not moved aside.

        Args:
            with_key: Another key comes into its place.
        """
        if entry == self._areas.key:
            return not with_key  # it may well be what the backup is sealed with, and is nowhere else
        if entry.name in (LOCK_FILE, RESTORING, UNPACKED, OF_THE_DISK) or entry.name.startswith(REPLACED):
            return True
        return self._areas.config.is_relative_to(entry)

    def _configuration(self, restored: Path) -> None:
        """Put the configuration in its place where there is none, and it means this data folder; else beside it."""
        if not restored.exists():
            return
        file = self._areas.config
        if file.exists() and file.read_bytes() == restored.read_bytes():
            return
        if file.exists() or not self._means_this_folder(restored):
            file = file.with_name(f"{file.stem}.restored-{now():%Y%m%dT%H%M%S%f}{file.suffix}")
            self.tell(f"the configuration of the backup is {file}; that which is in force here has not been changed")
        move(restored, file)

    def _means_this_folder(self, restored: Path) -> bool:
        with contextlib.suppress(ConfigError):
            paths = ConfigSource.read(restored).early("paths", PathsConfig)
            return beside(self._areas.config, paths.data) == self._areas.data
        return False


def move(source: Path, target: Path) -> None:
    """Move a file, also to another disk."""
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        near = target.with_name(f".{target.name}.writing")
        near.unlink(missing_ok=True)
        with source.open("rb") as content, new_file(near) as file:
            shutil.copyfileobj(content, file)
            on_disk(file)
        os.replace(near, target)
        source.unlink()
