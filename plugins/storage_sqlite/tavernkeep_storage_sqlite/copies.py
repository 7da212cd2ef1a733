"""Copies of a database file: made by SQLite's online backup, looked into, and put in the file's place."""

import errno
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tavernkeep.clock import Clock, now
from tavernkeep.contracts.storage import Migration
from tavernkeep_storage.contracts import CopyError

BESIDE: Final = ("-wal", "-shm", "-journal", ".migrating")  # endings of what SQLite and this provider keep beside the file
_PAGES: Final = 512  # copied between two looks at whether it is still wanted
_TABLES: Final = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' AND name NOT LIKE 'sqlite_%'"
_STEPS: Final = 10_000  # of SQLite's machine, likewise


def copy_database(database: Path, target: Path, stop: threading.Event) -> None:
    """Copy a database as it is at one moment, while others write to it.

    Raises:
        CopyError: It cannot be read, or the copy not be written, or `stop` was set.
    """

    def look(status: int, remaining: int, total: int) -> None:
        if stop.is_set():
            raise CopyError("the copying of the database was cut off")

    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with _opened(database, "mode=rw") as source, _opened(target, "mode=rw") as copy:
        # A transaction that reads holds the moment: SQLite begins anew whenever another process has written between two steps,
        # and would not come to an end beside a busy server. In WAL mode writers do not wait for it.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        source.backup(copy, pages=_PAGES, progress=look)


def read_copy(copy: Path, stop: threading.Event) -> tuple[list[Migration], dict[str, int]]:
    """The migrations and the number of rows of each table, of a copy that is whole.

    Raises:
        CopyError: It is no database, or a damaged one, or `stop` was set.
    """
    with _opened(copy, "mode=ro&immutable=1") as connection:
        connection.set_progress_handler(stop.is_set, _STEPS)
        connection.execute("PRAGMA trusted_schema = OFF")  # it may come from anywhere
        connection.execute("PRAGMA cell_size_check = ON")
        found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
        if found != ["ok"]:
            raise CopyError(f"the database is damaged: {'; '.join(map(str, found))}")
        tables = [
            row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'")
        ]
        if "aerich" not in tables:
            raise CopyError("the database is none of this server's: it has no table of migrations")
        rows = {name: _count(connection, name) for name in sorted(tables)}
        applied = connection.execute("SELECT app, version FROM aerich WHERE app <> '' ORDER BY id").fetchall()
        return [Migration(str(app), str(version)) for app, version in applied], rows


def _count(connection: sqlite3.Connection, table: str) -> int:
    quoted = table.replace('"', '""')
    return int(connection.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()[0])  # noqa: S608 - the name is quoted  # nosec B608


def put_in_place(copy: Path, database: Path, clock: Clock = now) -> None:
    """Put a copy where the database is; what is there is kept beside it, and so is what SQLite had beside that.

    Raises:
        CopyError: It cannot be; what is there is there still, under its name or the other.
    """
    if not copy.exists():
        return  # cut off after it was done
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        kept = f"{database}.replaced-{clock():%Y%m%dT%H%M%S%f}"
        for ending in ("", *BESIDE):  # a log that is left would be taken for the new one's
            if os.path.lexists(f"{database}{ending}"):
                os.rename(f"{database}{ending}", f"{kept}{ending}")
        try:
            os.rename(copy, database)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            near = Path(f"{database}.taking")  # on another disk than the copy
            shutil.copyfile(copy, near)
            near.chmod(0o600)
            os.rename(near, database)
            copy.unlink()
    except OSError as error:
        raise CopyError(f"the database {database} cannot be put in place: {error.strerror}") from None


@contextmanager
def _opened(file: Path, how: str) -> Iterator[sqlite3.Connection]:
    try:
        connection = sqlite3.connect(f"file:{quote(str(file))}?{how}", uri=True, isolation_level=None)
        try:
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise CopyError(f"the database {file}: {error}") from None
