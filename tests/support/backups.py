"""A server's folder that is backed up and restored in this process, and steps of that which fail."""

import asyncio
import os
import sqlite3
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest

from tavernkeep.app import Application
from tavernkeep.config import ConfigSource
from tavernkeep.contracts.app import Role
from tavernkeep_backup import archive, folder, making, restoring
from tavernkeep_backup.making import Making
from tavernkeep_backup.manifest import BackupManifest
from tavernkeep_backup.restoring import Restoring

T = TypeVar("T")
FORMS = ["backup.tar.gz", "backup"]
KEY = b"the key of all\n"


@attrs.define
class Place:
    """A server's folder: its configuration, and `data` beside it."""

    folder: Path
    told: list[str] = attrs.field(factory=list)
    _app: Application | None = None
    _storage: Any = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def app(self) -> Application:
        return Application.load(ConfigSource.read(self.folder / "config.json", {}))

    def chosen(self) -> tuple[Any, ...]:
        """As it was configured when this was called first: the configuration, the storage and its tables."""
        if self._app is None:
            self._app = self.app()
            models = self._app.choose_storage()
            self._storage = (self._app.config, self._app.storage, models)
        return self._storage

    async def aside(self, work: Callable[[], T]) -> T:
        """Do what has an event loop of its own, as commands do."""
        return await asyncio.to_thread(work)

    def back_up(self, name: str, *, with_key: bool = False, force: bool = False) -> Path:
        target = self.folder.parent / name
        Making(*self.chosen(), target, with_key, force, self.told.append).run()
        return target

    async def start(self) -> None:
        app = self.app()
        await app.start(Role.NONE)
        await app.stop()

    def restore(self, source: Path, *, force: bool = False) -> BackupManifest | None:
        work = Restoring(*self.chosen(), source, force, self.told.append)
        assert self._app is not None, "it is chosen"
        self._app.open_data_folder(exclusive=True)
        try:
            return work.run()
        finally:
            assert self._app._lock is not None, "it is taken"
            self._app._lock.release()

    def tree(self) -> dict[str, bytes | None]:
        """What is in the data folder, but for what a restore has moved aside: files with their content."""
        found: dict[str, bytes | None] = {}
        for path in sorted(self.data.rglob("*")):
            name = path.relative_to(self.data).as_posix()
            if not name.startswith((".replaced-", "server.lock")) and not name.endswith((".migrating", "-wal", "-shm")):
                found[name] = path.read_bytes() if path.is_file() else None
        return found


def beside(place: Place) -> list[str]:
    return sorted(path.name for path in place.folder.parent.iterdir())


def rows(place: Place) -> list[Any]:
    connection = sqlite3.connect(place.data / "tavernkeep.sqlite3")
    found = connection.execute("SELECT app, version FROM aerich").fetchall()
    connection.close()
    return found


def contents(backup: Path) -> dict[str, bytes]:
    if backup.is_dir():
        return {path.relative_to(backup).as_posix(): path.read_bytes() for path in backup.rglob("*") if path.is_file()}
    with tarfile.open(backup) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar if info.isfile()}  # type: ignore[union-attr]


def fail_at(monkeypatch: pytest.MonkeyPatch, at: int, error: BaseException) -> Callable[[], bool]:
    """Let the step of that number fail, of those that write; tells whether it was reached."""
    count = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == at + 1:
                raise error
            return function(*args, **options)

        return call

    for module in (archive, folder, making, restoring):
        for name in ("new_file", "on_disk", "sync_folder"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, counted(getattr(module, name)))
    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
    return lambda: count > at
