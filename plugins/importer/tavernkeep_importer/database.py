"""What is in the database of another installation, whatever its tables are called.

Tables are known by their columns, whose names are those of the HTTP API's fields, in camel or in snake case. A table that fits none of the
five kinds is left out, and named.
"""

import json
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs

from tavernkeep.clock import now

Row = Mapping[str, Any]  # by column, in lower case and without underscores

# What tells a kind of table: columns that it has, each under one of several names.
_KINDS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "keys": (("prefix", "keyprefix"), ("scopes",), ("userid", "useruid", "uid")),
    "credentials": (("servicename", "service"), ("encryptedcredential", "credential", "encryptedvalue"), ("userid", "useruid", "uid")),
    "channels": (("baseurl",), ("apikey", "encryptedapikey"), ("label", "name")),
    "models": (("modelid",), ("displayname",)),
    "users": (("username",), ("uid", "id")),
}
_SQLITE: Final = b"SQLite format 3\x00"
_MILLISECONDS: Final = 10**11  # a number of seconds beyond it is one of milliseconds


@attrs.frozen
class ForeignData:
    """The rows of a database, by kind.

    Attributes:
        tables: By kind, the names of the tables that its rows are from.
        left_out: Tables of no known kind.
    """

    rows: Mapping[str, list[Row]]
    tables: Mapping[str, list[str]]
    left_out: list[str]


def is_database(path: Path) -> bool:
    """Whether a file is an SQLite database."""
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def read_database(path: Path) -> ForeignData:
    """Read a database; it is copied first, so that nothing of it or beside it changes.

    Raises:
        sqlite3.Error: It is broken.
    """
    rows: dict[str, list[Row]] = {kind: [] for kind in _KINDS}
    tables: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    left_out = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy.sqlite3")
        for ending in ("", "-wal"):
            beside = path.with_name(path.name + ending)
            if beside.exists():
                shutil.copyfile(beside, copy.with_name(copy.name + ending))
        connection = sqlite3.connect(copy)
        try:
            connection.row_factory = sqlite3.Row
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
            for (name,) in names:
                if name.startswith("sqlite_"):
                    continue
                quoted = name.replace('"', '""')
                columns = {_plain(column["name"]) for column in connection.execute(f'PRAGMA table_info("{quoted}")')}
                kind = next((kind for kind, wanted in _KINDS.items() if all(columns.intersection(names) for names in wanted)), None)
                if kind is None:
                    left_out.append(name)
                    continue
                tables[kind].append(name)
                found = connection.execute(f'SELECT * FROM "{quoted}"')  # noqa: S608 - the name is the database's own, and quoted  # nosec B608
                rows[kind] += [{_plain(key): row[key] for key in row.keys()} for row in found]  # noqa: SIM118 - a row is no mapping
        finally:
            connection.close()
    return ForeignData(rows, tables, left_out)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def first(row: Row, *names: str) -> Any:
    """The first of several columns that has a value."""
    return next((row[name] for name in names if row.get(name) is not None), None)


def text(row: Row, *names: str) -> str | None:
    """The first of several columns that has a value, as text."""
    value = first(row, *names)
    return None if value is None else str(value)


def decoded(value: Any) -> Any:
    """A value that may be JSON in a text column."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def moment(value: Any) -> datetime:
    """A time: ISO 8601, or a number of seconds or milliseconds since 1970; now where it is none of these."""
    try:
        if isinstance(value, (int, float)) or (isinstance(value, str) and re.fullmatch(r"\d+", value)):
            number = float(value)
            return datetime.fromtimestamp(number / 1000 if number > _MILLISECONDS else number, UTC)
        parsed = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        return now()
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def databases_in(folder: Path, depth: int = 4) -> Iterator[Path]:
    """The SQLite databases below a folder, not looking into what is installed there."""
    if depth == 0:
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            if path.name not in ("node_modules", ".git", ".venv"):
                yield from databases_in(path, depth - 1)
        elif path.is_file() and is_database(path):
            yield path
