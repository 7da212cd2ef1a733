"""Backups of a server that does not run: what is in them, and what becomes of those that fail."""

import json
import os
from pathlib import Path

import pytest

from support.backups import FORMS, Place, beside, contents, fail_at, rows
from tavernkeep_backup import forms
from tavernkeep_backup.manifest import BackupError


@pytest.mark.parametrize("form", FORMS)
def test_what_was_backed_up_comes_back(place: Place, other: Place, form: str) -> None:
    """Every file with its content, its time and whether it can be run; empty folders; the database; the configuration."""
    target = place.back_up(form, with_key=True)
    manifest = other.restore(target)
    assert manifest is not None
    files, found = place.tree(), other.tree()
    database = files.pop("tavernkeep.sqlite3")
    assert found.pop("tavernkeep.sqlite3") is not None
    assert database is not None
    assert rows(other) == rows(place)
    assert found == files
    assert (other.folder / "config.json").read_bytes() == (place.folder / "config.json").read_bytes()
    before, after = ((where.data / "plugins" / "p" / "tool").stat() for where in (place, other))
    assert (after.st_mtime_ns, bool(after.st_mode & 0o100)) == (before.st_mtime_ns, True)
    assert (manifest.head.files, manifest.head.rows["aerich"]) == (7, len(rows(place)))
    assert beside(place) == sorted(["server", "other", form])


@pytest.mark.parametrize("form", FORMS)
def test_it_is_for_its_owner_alone(place: Place, other: Place, form: str) -> None:
    """A backup, and what is restored of it."""
    target = place.back_up(form)
    other.restore(target)
    for root in (target, *(path for path in other.data.iterdir() if path.name != "server.lock")):
        for path in (root, *root.rglob("*")):
            assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("form", FORMS)
def test_the_key_is_in_it_only_when_asked_for(place: Place, form: str) -> None:
    """Neither its file, nor what the configuration says; the configuration is as it was otherwise."""
    config = {"security": {"masterEncryptionKeyValue": "s3cret-key"}, "secrets": {"previousKey": "s3cret-before"}}
    (place.folder / "config.json").write_text(json.dumps(config))
    for with_key in (False, True):
        held = contents(place.back_up(form, with_key=with_key, force=True))
        assert ("master.key" in held) is with_key
        assert (b"s3cret" in held["config.json"]) is with_key
    assert any("masterEncryptionKeyValue, secrets.previousKey" in text for text in place.told)


def test_what_is_of_the_moment_is_left_out(place: Place) -> None:
    """Locks, logs of the database, files that are not whole yet, what a restore has put aside; of links and pipes it is told."""
    users = place.data / "users" / "u1"
    (users / ".writing-abc").write_text("half")
    (place.data / ".replaced-20260101T000000").mkdir()
    (place.data / ".replaced-20260101T000000" / "master.key").write_text("old key")
    (place.data / "tavernkeep.sqlite3-journal").write_text("")
    (place.data / "server.lock").touch()
    (place.data / "lost+found").mkdir()
    (users / "out").symlink_to("/etc")
    (users / "away").symlink_to("/etc/passwd")
    os.mkfifo(users / "pipe")
    (users / os.fsdecode(b"\xff.txt")).write_text("")
    held = contents(place.back_up("backup"))
    assert set(held) == {
        "config.json",
        "data/plugins/p/tool",
        "data/users/u1/" + "long" * 60,
        "data/users/u1/ä b.txt",
        "database",
        "library/card.png",
        "manifest.jsonl",
    }
    for words in ("/out is a link", "/away is a link", "/pipe is no file", "no text"):
        assert any(words in text for text in place.told), words


def test_nothing_is_overwritten(place: Place) -> None:
    """Without `--force` nothing, and with it only what is a backup."""
    for form in FORMS:
        place.back_up(form)
        before = contents(place.folder.parent / form)
        with pytest.raises(BackupError, match="already"):
            place.back_up(form)
        assert contents(place.folder.parent / form) == before
        place.back_up(form, force=True)
    (place.folder.parent / "home").mkdir()
    (place.folder.parent / "home" / "letter").write_text("dear")
    (place.folder.parent / "link").symlink_to(place.folder.parent / "backup")
    (place.folder.parent / "a.tgz").mkdir()
    (place.folder.parent / "a.tgz" / "x").touch()
    for name in ("home", "link", "a.tgz"):
        with pytest.raises(BackupError, match="is no backup"):
            place.back_up(name, force=True)
    assert (place.folder.parent / "home" / "letter").read_text() == "dear"
    assert not [name for name in beside(place) if "unfinished" in name]


def test_where_it_cannot_go_is_said(place: Place, tmp_path: Path) -> None:
    """Into what is backed up, into a folder that is not there, into an archive of another kind."""
    for name, message in (("server/data/b", "outside of it"), ("none/b", "no folder"), ("b.zip", "ends in"), ("b.tar.zst", "ends in")):
        with pytest.raises(BackupError, match=message):
            place.back_up(name)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(OSError(28, "No space left on device"), id="full", marks=pytest.mark.slow),
        pytest.param(KeyboardInterrupt(), id="interrupted"),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_half_a_backup_is_none(place: Place, form: str, error: BaseException) -> None:
    """Whichever step fails, nothing is left of it, and there is a whole backup of that name still."""
    before = contents(place.back_up(form))
    at = 0
    while True:
        with pytest.MonkeyPatch.context() as patch:
            reached = fail_at(patch, at, error)
            try:
                place.back_up(form, force=True)
            except type(error):
                assert reached()
            else:
                assert not reached()
                break
        assert beside(place) == sorted(["server", form])
        if contents(place.folder.parent / form) != before:  # the new one is there whole, and it is not sure to outlast a power cut
            forms.verify(forms.reader(place.folder.parent / form))
        at += 1
    assert at > 3
