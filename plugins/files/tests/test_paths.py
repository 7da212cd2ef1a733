"""Logical paths: what is one, and that none leaves its root."""

from pathlib import Path

import pytest

from support.attacks import ATTACKS
from tavernkeep import UserContext
from tavernkeep_files.operations import Operations
from tavernkeep_files.paths import LogicalPath, PathError, safe_name
from tavernkeep_files.service import FileStore

USER, ADMIN = UserContext("alice", "alice"), UserContext("root", "root", is_admin=True)


@pytest.mark.parametrize("path", ATTACKS)
def test_what_is_no_safe_path_is_refused(path: str) -> None:
    """With 400 and a reason."""
    with pytest.raises(PathError) as refused:
        LogicalPath.parse(path)
    assert refused.value.status == 400
    assert str(refused.value)


@pytest.mark.parametrize(
    "name", ["a.txt", "中文 🎭.json", "עברית", ".hidden", "a b", "..a", "a..b", "x" * 255, "é", "console.txt", "%41", "con1"]
)
def test_ordinary_names_are_taken(name: str) -> None:
    """In any script, with blanks and dots inside; decomposed letters are composed."""
    path = LogicalPath.parse(f"user://folder/{name}")
    assert path.parts[0] == "folder"
    assert str(LogicalPath.parse(str(path))) == str(path)
    assert LogicalPath.parse(str(path) + "/") == path


def test_slashes_that_a_proxy_has_merged() -> None:
    """Are read as the two that they were; three are none."""
    assert LogicalPath.parse("user:/folder/x") == LogicalPath.parse("user://folder/x")
    assert LogicalPath.parse("user:/") == LogicalPath.parse("user://")
    assert LogicalPath.parse("shared:/library/x") == LogicalPath.parse("shared://library/x")
    assert LogicalPath.roots("system:/") == LogicalPath.roots("system://")


def test_decomposed_and_composed_spellings_are_one_path() -> None:
    """Both find the same file."""
    assert LogicalPath.parse("user://e\u0301") == LogicalPath.parse("user://\u00e9")


@pytest.mark.parametrize("text", ["a/b", "con", "..", "", "x" * 500, "a:b?", "中" * 200, " x ", "a.", "\ud800", "%2e", "．．"])
def test_a_safe_name_is_one(text: str) -> None:
    """Made of anything, it can be used."""
    assert LogicalPath.parse(f"user://{safe_name(text)}").parts


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    names = {"shared": ("library", "templates"), "system": ("public", "logs", "config")}
    roots = {(scheme, area): tmp_path / area for scheme, areas in names.items() for area in areas} | {("system", "data"): tmp_path}
    for root in roots.values():
        root.mkdir(exist_ok=True)
    for name in ("alice", "bob"):
        (tmp_path / "users" / name).mkdir(parents=True)
        (tmp_path / "users" / name / "mine.txt").write_text(name)
    return FileStore(tmp_path / "users", roots, tmp_path / "data", tmp_path / "config.json")


async def test_each_user_has_their_own_files(store: FileStore) -> None:
    """The same path is another file for another user."""
    assert await store.read("user://mine.txt", USER) == b"alice"
    assert await store.read("user://mine.txt", UserContext("bob", "bob")) == b"bob"


async def test_links_do_not_lead_out(store: FileStore, tmp_path: Path) -> None:
    """A link to elsewhere, to a folder or by way of a folder, is refused to read and to write; one within the folder is followed."""
    home = tmp_path / "users" / "alice"
    (home / "bob").symlink_to(tmp_path / "users" / "bob")
    (home / "passwd").symlink_to("/etc/passwd")
    (home / "up").symlink_to("..")
    (home / "own").symlink_to("mine.txt")
    (home / "loop").symlink_to("loop")
    for path in ("bob/mine.txt", "passwd", "up", "up/bob/mine.txt"):
        with pytest.raises(PathError) as refused:
            store.locate(f"user://{path}", USER)
        assert refused.value.status == 403
        with pytest.raises(PathError):
            await store.write(f"user://{path}", b"x", USER)
    assert await store.read("user://own", USER) == b"alice"
    with pytest.raises(PathError):
        await store.read("user://loop", USER)
    assert (tmp_path / "users" / "bob" / "mine.txt").read_text() == "bob"


async def test_who_may_what(store: FileStore) -> None:
    """Everyone reads the library and the public folder; the rest, and writing there, is for administrators."""
    assert not store.locate("shared://library/x", USER).writable
    assert store.locate("shared://library/x", ADMIN).writable
    for path, write in (("shared://library/x", True), ("system://public/x", True), ("system://data/x", False)):
        with pytest.raises(PathError) as refused:
            store.locate(path, USER, write=write)
        assert refused.value.status == 403
    await store.write("shared://library/a/b.txt", b"x", ADMIN)
    assert await store.read("shared://library/a/b.txt", USER) == b"x"


async def test_the_roots_that_one_may_see(store: FileStore) -> None:
    """Of the server's own folders everyone sees the public one, an administrator all."""
    operations = Operations(store)

    async def seen(text: str, user: UserContext) -> list[tuple[str, bool]]:
        return [(item.logical_path, item.is_writable) for item in await operations.roots(LogicalPath.roots(text) or (), user)]

    assert await seen("system://", USER) == [("system://public", False)]
    assert await seen("system://", ADMIN) == [(f"system://{area}", True) for area in ("public", "data", "logs", "config")]
    assert await seen("shared://", USER) == [("shared://library", False), ("shared://templates", False)]


async def test_writes_are_whole_or_not_at_all(store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails half way, at any step, leaves the old content and no rubbish."""
    import os

    home = tmp_path / "users" / "alice"
    for step in ("fsync", "replace"):

        def fail(*args: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(os, step, fail)
            with pytest.raises(PathError) as refused:
                await store.write("user://mine.txt", b"new", USER)
        assert refused.value.status == 507
        assert (home / "mine.txt").read_text() == "alice"
        assert [path.name for path in home.iterdir()] == ["mine.txt"]
    await store.write("user://mine.txt", b"new", USER)
    assert (home / "mine.txt").read_text() == "new"


async def test_reading_says_what_is_wrong(store: FileStore) -> None:
    """Not there, a folder, too long."""
    for path, status in (("user://none", 404), ("user://", 400), ("user://mine.txt/x", 404)):
        with pytest.raises(PathError) as refused:
            await store.read(path, USER)
        assert refused.value.status == status
    with pytest.raises(PathError) as refused:
        await store.read("user://mine.txt", USER, max_bytes=2)
    assert refused.value.status == 413


@pytest.mark.parametrize("text", ["n" * 4_000_000, "a" + "\u0301\u0316" * 1_000_000, " " * 1_000_000 + "n"])
def test_nothing_is_made_of_what_is_no_name(text: str) -> None:
    """However long it is: what is tried of it is not more, and a normal form of it would take hours."""
    assert len(safe_name(text).encode()) < 256
    with pytest.raises(PathError) as refused:
        LogicalPath.parse("user://") / text
    assert len(str(refused.value)) < 1000
