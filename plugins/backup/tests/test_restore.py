"""Putting a backup back: into an empty folder, over what is there, and cut off at each step."""

import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import filelock
import pytest

from support.backups import FORMS, Place, contents, fail_at, rows
from tavernkeep import StartError
from tavernkeep_backup.manifest import BackupError
from tavernkeep_storage.contracts import CopyError


def aside(place: Place) -> list[Path]:
    return [path for path in place.data.iterdir() if path.name.startswith(".replaced-")]


def test_what_is_there_is_not_replaced(place: Place, other: Place) -> None:
    """Without `--force` nothing changes; with it what is there goes aside, and nothing of it is lost."""
    source = place.back_up("backup")
    (other.data / "users" / "u2").mkdir(parents=True)
    (other.data / "users" / "u2" / "mine").write_text("mine")
    (other.data / "tavernkeep.sqlite3-wal").write_text("its log")
    before = other.tree()
    with pytest.raises(BackupError, match="--force"):
        other.restore(source)
    assert other.tree() == before
    other.restore(source, force=True)
    assert {name for name in other.tree() if name.startswith("users/")} == {name for name in place.tree() if name.startswith("users/")}
    (kept,) = aside(other)
    assert (kept / "users" / "u2" / "mine").read_text() == "mine"
    assert (kept / "tavernkeep.sqlite3-wal").read_text() == "its log"
    assert str(kept) in other.told[-1]


def test_the_key_that_is_there_stays_where_none_comes(place: Place, other: Place) -> None:
    """It may be what the backup is sealed with; one that comes with the backup is put in its place, and this one goes aside."""
    other.data.mkdir()
    (other.data / "master.key").write_bytes(b"the key here\n")
    other.restore(place.back_up("without"))
    assert (other.data / "master.key").read_bytes() == b"the key here\n"
    other.restore(place.back_up("with", with_key=True), force=True)
    assert (other.data / "master.key").read_bytes() == (place.data / "master.key").read_bytes()
    assert (aside(other)[0] / "master.key").read_bytes() == b"the key here\n"


def test_a_server_that_runs_is_left_alone(place: Place, other: Place) -> None:
    """Its lock is looked at before anything else."""
    source = place.back_up("backup")
    other.data.mkdir()
    with filelock.FileLock(other.data / "server.lock"), pytest.raises(StartError, match="is running on the data folder"):
        other.restore(source, force=True)
    assert other.tree() == {}


async def test_the_next_restore_finishes_what_was_cut_off(place: Place, other: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then no server starts on what is neither the one nor the other."""
    source = await place.aside(lambda: place.back_up("backup"))
    renamed = os.rename

    def stop(source: Path, target: Path) -> None:
        if Path(target) == other.data / "tavernkeep.sqlite3":
            raise KeyboardInterrupt
        renamed(source, target)

    monkeypatch.setattr(os, "rename", stop)
    with pytest.raises(KeyboardInterrupt):
        await other.aside(lambda: other.restore(source))
    monkeypatch.undo()
    with pytest.raises(StartError, match="was cut off"):
        await other.start()
    with pytest.raises(BackupError, match="was cut off"):
        await other.aside(lambda: other.back_up("half"))
    assert await other.aside(lambda: other.restore(place.folder.parent / "none")) is None
    assert rows(other) == rows(place)
    await other.start()


@pytest.mark.slow
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "interrupted"])
async def test_it_is_put_back_whole_or_not_at_all(place: Place, tmp_path: Path, error: BaseException) -> None:
    """Cut off at any step, either all is as it was, or no server starts until the next restore, of whatever, has finished it."""
    source = await place.aside(lambda: place.back_up("backup"))
    wanted = {name for name in place.tree() if name != "master.key"}
    at, refused = 0, 0
    while True:
        here = Place(tmp_path / f"there{at}")
        here.data.mkdir(parents=True)
        (here.data / "tavernkeep.sqlite3").write_text("the database before")
        (here.data / "users").mkdir()
        (here.data / "users" / "mine").write_text("mine")
        before = here.tree()
        with pytest.MonkeyPatch.context() as patch:
            reached = fail_at(patch, at, error)
            try:
                await here.aside(lambda here=here: here.restore(source, force=True))  # type: ignore[misc]
            except (OSError, CopyError, BackupError, KeyboardInterrupt):
                assert reached()
            else:
                assert not reached()
                break
        if here.tree() != before and (here.data / ".restoring").exists():
            refused += 1
            with pytest.raises(StartError, match="was cut off"):
                await here.start()
            assert await here.aside(lambda here=here: here.restore(tmp_path / "none")) is None  # type: ignore[misc]
        if here.tree() != before:
            # `.unpacked`: cut off while the rest was removed, which keeps nobody from anything
            assert {name for name in here.tree() if name.partition("/")[0] != ".unpacked"} == wanted
            assert rows(here) == rows(place)
            assert (aside(here)[0] / "users" / "mine").read_text() == "mine"
            assert (aside(here)[0] / "tavernkeep.sqlite3").read_text() == "the database before"
        shutil.rmtree(here.folder)
        at += 1
    assert set(here.tree()) == wanted
    assert refused > 5


async def test_a_kill_while_the_rest_is_removed(place: Place, other: Place) -> None:
    """Whatever of it is gone by then, what was restored is there, and nothing waits to be finished that cannot be."""
    source = await place.aside(lambda: place.back_up("backup"))
    wanted = {name for name in place.tree() if name != "master.key"}
    removed, left = os.rmdir, 0

    def stop(*args: Any, **options: Any) -> None:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        removed(*args, **options)

    for before in range(4):  # folders that are removed before
        left = before
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "rmdir", stop)
            with pytest.raises(KeyboardInterrupt):
                await other.aside(lambda: other.restore(source, force=True))
        if (other.data / ".restoring").exists():
            assert await other.aside(lambda: other.restore(source)) is None
        assert {name for name in other.tree() if not name.startswith(".unpacked")} == wanted
        await other.start()


def test_what_a_kill_left_does_not_stand_in_the_way(place: Place, other: Place) -> None:
    """What had been unpacked of another one is removed; it did not count as something that is there."""
    (other.data / ".unpacked" / "tree").mkdir(parents=True)
    (other.data / ".unpacked" / "tree" / "old").write_text("old")
    other.restore(place.back_up("backup"))
    assert "old" not in other.tree()
    assert not (other.data / ".unpacked").exists()


def test_a_configuration_that_is_there_stays(place: Place, other: Place) -> None:
    """That of the backup is laid beside it; so is one that means another data folder than this."""
    source = place.back_up("backup")
    (other.folder / "config.json").write_text('{"logging": {"level": "error"}}')
    other.restore(source)
    assert json.loads((other.folder / "config.json").read_text()) == {"logging": {"level": "error"}}
    (laid,) = other.folder.glob("config.restored-*.json")
    assert laid.read_bytes() == (place.folder / "config.json").read_bytes()
    assert str(laid) in other.told[-1]


def test_a_configuration_that_means_another_folder_is_not_put_in_force(place: Place, other: Place) -> None:
    """The server would start with nothing, elsewhere."""
    shutil.move(place.data, place.folder / "elsewhere")
    (place.folder / "config.json").write_text('{"paths": {"data": "elsewhere"}}')
    other.restore(place.back_up("backup"))
    assert not (other.folder / "config.json").exists()
    assert len(list(other.folder.glob("config.restored-*.json"))) == 1


def test_folders_that_are_elsewhere_come_back_where_they_are_now(place: Place, other: Place) -> None:
    """The library is backed up wherever it is, and restored to where the configuration here says; what is there already is not touched."""
    outside = place.folder.parent / "library"
    shutil.move(place.data / "library", outside)
    (place.folder / "config.json").write_text(json.dumps({"paths": {"library": str(outside)}}))
    source = place.back_up("backup")
    other.restore(source)
    assert (other.data / "library" / "card.png").read_bytes() == b"\x89PNG"
    third = Place(other.folder.parent / "third")
    third.folder.mkdir()
    (third.folder / "config.json").write_text(json.dumps({"paths": {"library": "books"}}))
    third.restore(source)
    assert (third.folder / "books" / "card.png").read_bytes() == b"\x89PNG"
    with pytest.raises(BackupError, match="empty it yourself"):
        third.restore(source, force=True)


def test_a_configuration_within_the_data_folder_stays_where_it_is(place: Place) -> None:
    """Right in it; one that is deeper would be in the way of a folder that comes back, and is refused before anything is moved."""
    source = place.back_up("backup")
    for name, folder in (("right", "."), ("deeper", "..")):
        here = Place(place.folder.parent / name / "data" / ("conf" if folder == ".." else ""))
        here.folder.mkdir(parents=True)
        (here.folder / "config.json").write_text(json.dumps({"paths": {"data": folder}}))
        (here.folder.parent / "mine").touch()
        if folder == "..":
            with pytest.raises(BackupError, match="move it out of there"):
                here.restore(source, force=True)
            assert (here.folder.parent / "mine").exists()
        else:
            here.restore(source)
            assert json.loads((here.folder / "config.json").read_text()) == {"paths": {"data": "."}}
            held = contents(here.back_up("again"))
            assert "config.json" in held
            assert "data/config.json" not in held


def test_a_database_that_is_elsewhere_comes_back_there(place: Place, other: Place) -> None:
    """Where `storage.url` says; one that is there needs `--force`, and is kept."""
    source = place.back_up("backup")
    (other.folder / "config.json").write_text(json.dumps({"storage": {"url": str(other.folder / "db" / "x.sqlite3")}}))
    (other.folder / "db").mkdir()
    (other.folder / "db" / "x.sqlite3").write_text("before")
    with pytest.raises(BackupError, match="--force"):
        other.restore(source)
    other.restore(source, force=True)
    connection = sqlite3.connect(other.folder / "db" / "x.sqlite3")
    assert connection.execute("SELECT count(*) FROM aerich").fetchone()[0] > 5
    connection.close()
    assert [path.read_text() for path in (other.folder / "db").glob("x.sqlite3.replaced-*")] == ["before"]
    assert "tavernkeep.sqlite3" not in other.tree()


def test_a_later_version_is_refused(place: Place, other: Place) -> None:
    """It has a migration that is not known here."""
    connection = sqlite3.connect(place.data / "tavernkeep.sqlite3")
    connection.execute("INSERT INTO aerich (version, app, content) VALUES ('999_later.py', 'accounts', '{}')")
    connection.commit()
    connection.close()
    with pytest.raises(BackupError, match=r"999_later\.py of 'accounts'"):
        other.restore(place.back_up("backup"))
    assert other.tree() == {}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_moves_while_it_is_backed_up_is_in_it(place: Place, other: Place, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a folder that is not read yet into one that has been."""
    for name in ("a", "z"):
        (place.data / "users" / name).mkdir()
    (place.data / "users" / "z" / "wanderer").write_text("here I am")
    opened = os.open

    def moving(path: "str | Path", *args: int) -> int:
        if Path(path).name == "ä b.txt" and (place.data / "users" / "z" / "wanderer").exists():
            os.rename(place.data / "users" / "z" / "wanderer", place.data / "users" / "a" / "wanderer")
        return opened(path, *args)

    monkeypatch.setattr(os, "open", moving)
    source = place.back_up(form)
    monkeypatch.undo()
    other.restore(source)
    assert other.tree()["users/a/wanderer"] == b"here I am"


def test_a_file_that_is_shortened_while_it_is_copied_is_told_of(place: Place, other: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """By who writes into it in place: the backup is whole all the same."""
    file = place.data / "users" / "u1" / "ä b.txt"
    stated = os.fstat

    def shortening(handle: int) -> os.stat_result:
        found = stated(handle)
        if found.st_ino == file.stat().st_ino and found.st_size:
            file.write_text("")
        return found

    monkeypatch.setattr(os, "fstat", shortening)
    source = place.back_up("backup.tar.gz")
    monkeypatch.undo()
    other.restore(source)
    assert any("was written to while it was copied" in text for text in place.told)
    assert other.tree()["users/u1/ä b.txt"] == bytes(6)
