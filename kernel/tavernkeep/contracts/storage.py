"""The contract between plugins that keep data and the plugin that knows the database.

Plugins define Tortoise models and hand over where they are; which database it is they never see. They read and write single rows with their
models, and ask `Storage` for whatever is more than one statement.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeVar

import attrs

Row = TypeVar("Row")

Reason = Literal["locked", "full", "read-only", "corrupt", "gone", "busy"]


class Unavailable(Exception):
    """The database cannot do its work at present; whoever asked may try again. Over HTTP it is a 503, over a socket an `error` message.

    Attributes:
        reason: `locked` by another process, the disk is `full`, it is `read-only`, `corrupt`, `gone` (or cannot be read), or `busy`: what
            was asked before takes too long.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


WANTING: Final = (OSError, MemoryError, RuntimeError)  # raised where descriptors, memory or threads are: by what they hit, not of its doing


@attrs.frozen
class ModelSet:
    """A plugin's tables.

    Attributes:
        app: The Tortoise app label, by which other plugins' models may refer to these.
        module: The importable module that holds the models.
        migrations: A folder with one folder for each SQL dialect (`sqlite`, `postgres`), each with aerich migrations under `app`.
    """

    app: str
    module: str
    migrations: Path


@attrs.frozen
class Migration:
    """One migration, applied or to be applied."""

    app: str
    version: str


@attrs.frozen
class StorageStats:
    """What has been asked of the database since the start. Times are seconds, all told.

    Attributes:
        waiting: How many wait for their turn now.
        waited_s: How long was waited for a turn.
        worked_s: How long statements took.
        failed: How often something was `Unavailable`, by its reason.
    """

    statements: int
    transactions: int
    waiting: int
    waited_s: float
    worked_s: float
    failed: Mapping[str, int]


@attrs.frozen
class Write:
    """One write of several. Columns go by the names of the model's fields.

    Attributes:
        values: The columns to be set; of a new row those that are left out have their defaults. `None` removes rows.
        key: Which rows are changed or removed; `None` adds one.
        must: It undoes all where there is no such row.
    """

    model: type[Any]
    values: Mapping[str, Any] | None
    key: Mapping[str, Any] | None = None
    must: bool = False


class Missed(Exception):
    """There is no row for a write that must have one; nothing has happened.

    Attributes:
        at: Which of the writes it is, from 0.
    """

    def __init__(self, at: int) -> None:
        super().__init__(f"there is no row for write {at}")
        self.at = at


class Storage(Protocol):
    """The one door to the database; ask for it as a service.

    Whatever goes through it, and each single statement of a model, has happened or has not when its caller is cancelled, and holds nothing
    afterwards. It raises `Unavailable` where the database cannot do its work, and `tavernkeep.wire.Invalid` for a value that no column can
    hold: text that is too long, or has a NUL or half a character in it; a number that is none.
    """

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """Everything inside happens, or nothing does; alone among all that write. One inside another is undone alone when it fails.

        Await nothing inside but the database: everybody else waits meanwhile.
        """

    async def put(self, model: type[Any], key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Write a row, over the one that has the key where there is one, in one statement.

        Args:
            key: Columns that are unique together, with their values.
            values: The other columns.
        """

    async def ensure(self, model: type[Row], key: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[Row, bool]:
        """The row that has a key, made with `values` where there is none; tells whether it was made. Of two at once one makes it.

        Args:
            key: Columns that are unique together, with their values.
        """

    async def add_all(self, rows: Sequence[Any]) -> None:
        """Add many rows of one table, all or none."""

    async def write(self, writes: Sequence[Write]) -> None:
        """Do some writes, in order, all or none: the same as in a `transaction`, for a fraction of what it costs.

        Raises:
            Missed: There is no row for one that must have one.
        """

    async def check(self) -> None:
        """Make sure that something can be written and read now, in bounded time.

        Raises:
            Unavailable: It cannot, and why.
        """

    async def left_over(self) -> list[str]:
        """The app labels of tables that are in the database, and whose plugin is not installed, or not active."""
        ...

    def stats(self) -> StorageStats:
        """What has been asked so far."""


class StorageProvider(Storage, Protocol):
    """Keeps the data; one of them is chosen by `storage.provider`, and is what plugins get as `Storage`.

    Attributes:
        dialect: The folder of migrations that are for it.
    """

    name: str
    dialect: str

    async def open(self, models: Sequence[ModelSet]) -> None:
        """Connect, and make the models usable.

        Raises:
            tavernkeep.config.StartError: In one line, what stands in the way.
        """

    async def pending(self) -> list[Migration]:
        """The migrations that are not applied yet, in the order in which they would be."""

    async def migrate(self) -> list[Migration]:
        """Apply what is pending, one process at a time; gives what was applied."""

    async def close(self) -> None:
        """Disconnect. Called once, also after a failed `open`."""


_UNSTORABLE = {0: "\ufffd"} | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def storable(value: Any) -> Any:
    """Plain data of the server's own as every database can hold it: in text `�` stands for NUL and half characters, and `None` for NaN."""
    match value:
        case str():
            return value if value.isascii() and "\0" not in value else value.translate(_UNSTORABLE)
        case None | int():
            return value
        case float() if not math.isfinite(value):
            return None
        case Mapping():
            return {storable(key): storable(entry) for key, entry in value.items()}
        case list() | tuple():
            return [storable(entry) for entry in value]
        case _:
            return value
