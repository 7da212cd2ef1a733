"""Backups that somebody has made up, or that were damaged on the way: each is refused in a line, and nothing of it stays."""

import gzip
import hashlib
import io
import json
import os
import random
import shutil
import struct
import tarfile
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from support.backups import Place, contents
from tavernkeep_backup import archive, forms
from tavernkeep_backup.manifest import BackupError
from tavernkeep_storage.contracts import CopyError

Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def good(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good one, as a folder."""
    place = Place(tmp_path_factory.mktemp("good") / "server")
    shutil.copytree(made, place.folder)
    shutil.rmtree(place.data / "users")
    return place.back_up("good")


@pytest.fixture
def source(good: Path, tmp_path: Path) -> Path:
    """Another of it, to be spoilt."""
    return shutil.copytree(good, tmp_path / "source")


@pytest.fixture(scope="module")
def nowhere(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Where all of them are to be put."""
    return Place(tmp_path_factory.mktemp("nowhere"))


@pytest.fixture
def other(nowhere: Place) -> Place:
    """It, empty again."""
    shutil.rmtree(nowhere.data, ignore_errors=True)
    return nowhere


def lines_of(source: Path) -> Lines:
    return [json.loads(line) for line in (source / "manifest.jsonl").read_text().splitlines()]


def write_lines(source: Path, lines: Lines) -> None:
    lines[0]["files"] = sum(not line["path"].endswith("/") for line in lines[1:])
    lines[0]["bytes"] = sum(line.get("size", 0) for line in lines[1:])
    (source / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))


def refused(other: Place, source: Path, match: str = ".") -> None:
    """It changes nothing, in the folder and beside it."""
    beside = sorted(path.name for path in other.folder.parent.iterdir())
    with pytest.raises((BackupError, CopyError), match=match):
        other.restore(source)
    assert [path.name for path in other.data.iterdir() if path.name != "server.lock"] == []
    assert sorted(path.name for path in other.folder.parent.iterdir()) == beside


def hashed(data: bytes) -> dict[str, Any]:
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../../outside",
        "data/../../outside",
        "data/users/../../../outside",
        "data//x",
        "data/./x",
        "data/a\\b",
        "data/a\0b",
        "data",
        "",
        "/",
        "elsewhere/x",
        "database/x",
        "database/",
        "data/server.lock",
        "data/master.key",
        "data/.restoring/tree/x",
        "data/.unpacked/x",
        "data/.replaced-1/x",
        "data/tavernkeep.sqlite3",
        "data/tavernkeep.sqlite3-wal",
        "data/users/.writing-x",
        "data/" + "x" * 300,
        "data/" + "x/" * 3000,
        "data/\ud800",
    ],
)
def test_paths_that_lead_elsewhere(source: Path, other: Place, path: str) -> None:
    """Out of the folder, into what is the server's own, or to nowhere."""
    write_lines(source, [*lines_of(source), {"path": path, **hashed(b"x")}])
    refused(other, source)
    as_archive = packed(source)
    refused(other, as_archive)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda lines: lines[0].update(format=2), "later version"),
        (lambda lines: lines[0].update(format="1"), "is none"),
        (lambda lines: lines[0].update(bytes=5), "not whole"),
        (lambda lines: lines[0].update(files=5), "not whole"),
        (lambda lines: lines[0].update(provider="other"), "storage provider 'other'"),
        (lambda lines: lines[0]["rows"].update(aerich=1), "rows"),
        (lambda lines: lines.append(lines[-1]), "twice"),
        (lambda lines: lines[1].update(size=-1), "is none"),
        (lambda lines: lines[1].update(size=2**60), "is none"),
        (lambda lines: lines[1].update(modifiedNs=10**40), "is none"),
        (lambda lines: lines[1].update(sha256="x"), "is none"),
        (lambda lines: lines.append({"path": "data/" + "x" * 100_000}), "is none"),
        (lambda lines: lines.pop(1), "not whole"),  # the database
        (lambda lines: lines.insert(1, []), "is none"),
    ],
)
def test_manifests_that_are_wrong(source: Path, other: Place, change: Callable[[Lines], object], match: str) -> None:
    """Each is looked at before anything is unpacked."""
    lines = lines_of(source)
    change(lines)
    (source / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    refused(other, source, match)


def test_more_than_there_is_room_for(source: Path, other: Place) -> None:
    """It is known from the manifest, before anything is unpacked."""
    write_lines(source, [*lines_of(source), {"path": "data/large", "size": 2**49, "sha256": "0" * 64}])
    refused(other, source, "bytes in it, and for")


def test_folders_with_links_in_them(source: Path, other: Place, tmp_path: Path) -> None:
    """A file or a folder of the backup that is one, or a pipe, which would never end."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "card.png").write_bytes((source / "library" / "card.png").read_bytes())
    shutil.rmtree(source / "library")
    (source / "library").symlink_to(secret)
    refused(other, source, "is a link")
    (source / "library").unlink()
    (source / "library").mkdir()
    (source / "library" / "card.png").symlink_to(secret / "card.png")
    refused(other, source, "is a link")
    (source / "library" / "card.png").unlink()
    os.mkfifo(source / "library" / "card.png")
    refused(other, source, "has no library/card.png")


@pytest.mark.parametrize("content", [b"", b"no database" * 500], ids=["empty", "none"])
def test_a_database_that_is_none(source: Path, other: Place, content: bytes) -> None:
    """Its hash is right, and it is opened before it is put in place."""
    (source / "database").write_bytes(content)
    lines = lines_of(source)
    lines[1].update(hashed(content))
    write_lines(source, lines)
    refused(other, source, "database")


def packed(source: Path, members: Iterable[tuple[tarfile.TarInfo, bytes]] = (), leave: Iterable[str] = ()) -> Path:
    """A folder as an archive, with members that are in no manifest, and without some that are."""
    target = source.with_suffix(".tar.gz")
    target.unlink(missing_ok=True)
    writer = archive.ArchiveWriter(target)
    for name, data in contents(source).items():
        if name != "manifest.jsonl" and name not in leave:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            writer._tar.addfile(info, io.BytesIO(data))
    for line in lines_of(source)[1:]:
        if line["path"].endswith("/") and "\0" not in line["path"] and line["path"].isprintable():
            writer.folder(line["path"], 0)
    for info, data in members:
        writer._tar.addfile(info, io.BytesIO(data))
    writer.end(source / "manifest.jsonl")
    writer.close()
    return target


def member(name: str, type_: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = type_, link, size
    return info


@pytest.mark.parametrize(
    ("added", "data"),
    [
        (member("library/card.png", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (member("library/card.png", tarfile.SYMTYPE, "../../../outside"), b""),
        (member("library/card.png", tarfile.LNKTYPE, "/etc/passwd"), b""),
        (member("library/card.png", tarfile.CHRTYPE), b""),
        (member("library/card.png", tarfile.FIFOTYPE), b""),
        (member("library/card.png", tarfile.DIRTYPE), b""),
        (member("library/card.png", size=9), b"\x89PNG and more"[:9]),
        (member("library/card.png", size=4), b"\x89PNH"),
        (member("../outside", size=1), b"x"),
        (member("/tmp/outside", size=1), b"x"),
        (member("data/unknown", size=1), b"x"),
        (member("database", size=0), b""),
    ],
)
def test_members_that_are_not_what_the_manifest_says(source: Path, other: Place, added: tarfile.TarInfo, data: bytes) -> None:
    """Links, devices, others than it knows, and those that it knows with another content or a second time."""
    leave = [added.name] if added.name == "library/card.png" else []
    refused(other, packed(source, [(added, data)], leave))


def test_a_member_that_is_missing(source: Path, other: Place) -> None:
    """It is named."""
    refused(other, packed(source, leave=["library/card.png"]), "has no 'library/card.png'")


def raw(source: Path, blocks: bytes) -> Path:
    """An archive of any bytes, with a good manifest."""
    good = packed(source)
    whole = good.read_bytes()
    begins, ends = struct.unpack("<Q", whole[-18:-10])[0], len(whole) - archive._POINTER
    files = gzip.compress(blocks)
    head, tail = archive._HEAD, archive._TAIL
    good.write_bytes(files + whole[begins:ends] + head + struct.pack("<Q", len(files)) + tail)
    return good


def header(name: str, type_: bytes, size: int) -> bytes:
    return member(name, type_, size=size).tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    "blocks",
    [
        header("x", tarfile.XHDTYPE, 20_000_000) + bytes(20_000_000),
        header("x", tarfile.XGLTYPE, 20_000_000) + bytes(20_000_000),
        header("x", tarfile.GNUTYPE_LONGNAME, 20_000_000) + b"x" * 20_000_000,
        header("database", tarfile.REGTYPE, 20_000_000) + bytes(20_000_000),
        header("x", tarfile.REGTYPE, 2**60),
        header("x", tarfile.REGTYPE, -1024),
        header("x", tarfile.XHDTYPE, -1024),
        header("x", tarfile.GNUTYPE_SPARSE, 10),
        b"\xff" * 5120,
        b"",
    ],
    ids=["extended", "global", "long-name", "file", "beyond", "negative", "negative-extended", "sparse", "noise", "nothing"],
)
def test_headers_that_take_memory_or_time(source: Path, blocks: bytes) -> None:
    """They are refused by what they say, and not when it has been read."""
    target = raw(source, blocks)
    del blocks
    tracemalloc.start()
    try:
        with pytest.raises(BackupError):
            forms.verify(forms.reader(target))
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_an_archive_that_was_cut_or_changed(source: Path, other: Place) -> None:
    """Wherever: it is not restored, or it is all there."""
    target = packed(source)
    whole = target.read_bytes()
    chance = random.Random(7)
    for at in [chance.randrange(len(whole)) for _ in range(12)]:
        target.write_bytes(whole[:at])
        refused(other, target)
        changed = bytearray(whole)
        changed[at] ^= 1 << chance.randrange(8)
        target.write_bytes(changed)
        try:
            other.restore(target)
        except (BackupError, CopyError):
            assert other.tree() == {}
        else:  # in what gzip does not look at: the time, the system
            assert other.tree()["library/card.png"] == b"\x89PNG"
            shutil.rmtree(other.data)
    target.write_bytes(whole)
    other.restore(target)


def test_what_is_no_backup(other: Place, tmp_path: Path) -> None:
    """A file of another kind, an archive that something else made, an empty folder, nothing."""
    (tmp_path / "text").write_text("hello" * 100)
    (tmp_path / "empty").mkdir()
    with tarfile.open(tmp_path / "made.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "text", "text")
    for name in ("text", "empty", "made.tar.gz", "none"):
        refused(other, tmp_path / name)
