"""Tortoise's SQLite client, made safe to be cancelled, and made to say what an error means. `storage.sqlite` names it as its engine.

There is one connection, with a thread of its own that does one thing after the other, and one turn: whoever has it may use the connection.
Tortoise takes the turn and then awaits `BEGIN`; cancelled there, it would keep it for good. Here everything that leaves something open when
it is cut off (connecting, beginning, ending) is finished first, and a turn is given back whatever happens. A single statement needs no such
care: what has been handed to the thread happens, in order, whether or not anybody waits for it.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Sequence
from typing import Any, Final

from tortoise.backends.base.client import ConnectionWrapper, NestedTransactionContext, TransactionContext
from tortoise.backends.sqlite.client import SqliteClient, SqliteTransactionWrapper, translate_exceptions
from tortoise.connection import get_connections
from tortoise.exceptions import TransactionManagementError

from tavernkeep.contracts.storage import Reason, Unavailable
from tavernkeep.finish import finish
from tavernkeep.wire import Invalid, Problem
from tavernkeep_storage.counts import Counts
from tavernkeep_storage.orm import AERICH
from tavernkeep_storage.statements import Statement
from tavernkeep_storage_sqlite.several import execute_part, execute_whole, statements_of

# By primary result code, https://www.sqlite.org/rescode.html
_REASONS: Final[dict[int, tuple[Reason, str]]] = {
    sqlite3.SQLITE_BUSY: ("locked", "The database is locked by another process; try again."),
    sqlite3.SQLITE_LOCKED: ("locked", "The database is locked; try again."),
    sqlite3.SQLITE_FULL: ("full", "The disk of the database is full."),
    sqlite3.SQLITE_READONLY: ("read-only", "The database can only be read."),
    sqlite3.SQLITE_PERM: ("read-only", "The database may not be written."),
    sqlite3.SQLITE_CORRUPT: ("corrupt", "The database is damaged."),
    sqlite3.SQLITE_NOTADB: ("corrupt", "The database is damaged: its file is no SQLite database."),
    sqlite3.SQLITE_IOERR: ("gone", "The database cannot be read or written."),
    sqlite3.SQLITE_CANTOPEN: ("gone", "The database cannot be opened."),
    sqlite3.SQLITE_NOMEM: ("busy", "There is not enough memory for the database."),
}
_NO_TEXT: Final = "Could not decode to UTF-8"  # Python's, and without a code
_CLOSED: Final = "The database is closed."
MEMORY: Final = ":memory:"
_BESIDE: Final = ("-wal", "-shm")  # its log, in which is what is not in the file yet, and the index of that
_TABLES: Final = "SELECT 1 FROM sqlite_master WHERE name = ?"

_File = tuple[int, int]  # its device and its number there


def meaning(error: BaseException, counts: Counts) -> Exception | None:
    """What an error of SQLite means; `None` where it means that the statement is wrong."""
    if isinstance(error, sqlite3.IntegrityError):
        return None  # that is the caller's, and Tortoise's to say
    if isinstance(error, sqlite3.Error):
        known = _REASONS.get(getattr(error, "sqlite_errorcode", -1) & 0xFF)
        if known is not None:
            return counts.unavailable(known[0], f"{known[1]} ({error})")
        if str(error).startswith(_NO_TEXT):
            return counts.unavailable("corrupt", f"The database is damaged. ({error})")
        return counts.unavailable("gone", _CLOSED) if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error) else None
    if isinstance(error, OverflowError):
        return Invalid([Problem("", "is a number that no database holds")])
    if isinstance(error, UnicodeEncodeError):
        return Invalid([Problem("", "has half a character in it, which no database holds")])
    return counts.unavailable("gone", _CLOSED) if isinstance(error, ValueError) and str(error) in _CLOSED_WORDS else None


_CLOSED_WORDS: Final = ("Connection closed", "no active connection")  # aiosqlite's


class _Turn(ConnectionWrapper[Any]):
    """The connection, for one statement."""

    client: "CarefulClient | CarefulTransaction"
    __slots__ = ("_began",)

    async def __aenter__(self) -> Any:
        await self.client.take_turn()
        try:
            if isinstance(self.client, CarefulClient):
                await self.client.ready()
            self.connection = self.client._connection
        except BaseException as error:
            self.client._lock.release()
            if meant := self.client.outside.meaning(error):
                raise meant from error
            raise
        self.client.counts.statements += 1
        self._began = time.perf_counter()
        return self.connection

    async def __aexit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        self.client._lock.release()
        self.client.counts.worked_s += time.perf_counter() - self._began
        if exc_val is not None and (meant := self.client.outside.meaning(exc_val)):
            raise meant from exc_val


class CarefulClient(SqliteClient):
    """The connection outside of transactions.

    It is to the file that stands at its path, and to the log beside it: SQLite itself would go on with one that was taken away, and write
    where nobody finds it.

    Args:
        longest_wait_s: How long a turn is waited for.
    """

    def __init__(self, file_path: str, longest_wait_s: float = 60.0, **pragmas: Any) -> None:
        super().__init__(file_path, **pragmas)
        self.counts = Counts()
        self.longest_wait_s = longest_wait_s
        self._opened: _File | None = None
        self._beside: list[_File | None] = []
        self._doubted = False

    @property
    def outside(self) -> "CarefulClient":
        """Itself."""
        return self

    def meaning(self, error: BaseException) -> Exception | None:
        """See `meaning`. A file that cannot be read is opened anew by whoever is next, as it may have been mended or put back."""
        meant = meaning(error, self.counts)
        if isinstance(meant, Unavailable) and meant.reason in ("corrupt", "gone"):
            self._doubt()
        return meant

    async def ready(self) -> None:
        """Have the file open that is there now; for who has the turn."""
        found = None if self.filename == MEMORY else _file(self.filename)
        if self._connection is None or self._doubted or found != self._opened or self._find_beside() != self._beside:
            await finish(self._open(found))

    def check_file(self) -> None:
        """Make sure that the file is still the one that is open.

        Raises:
            Unavailable: It is not.
        """
        if self.filename != MEMORY and (_file(self.filename) != self._opened or self._find_beside() != self._beside):
            raise self.counts.unavailable("gone", "The database's file, or the log beside it, has been removed or replaced.")

    def _find_beside(self) -> list[_File | None]:
        return [] if self.filename == MEMORY else [_file(self.filename + ending) for ending in _BESIDE]

    async def _open(self, found: "_File | None") -> None:
        first = self._opened is None
        await self.close()  # by which SQLite writes what is in its log into the file, also where the log has no name any more
        if self.filename != MEMORY:
            if found is None:  # SQLite would make an empty one
                raise self.counts.unavailable("gone", "The database's file has been removed.")
            log, *_ = self._find_beside()
            if not first and found != self._opened and log is not None and log == self._beside[0]:
                message = f"The database's file has been replaced, and {self.filename}{_BESIDE[0]} is of the one before: remove it as well."
                raise self.counts.unavailable("gone", message)
        await self.create_connection(with_db=True)
        assert self._connection is not None, "it has just been made"
        tables = await self._connection.execute_fetchall(_TABLES, (AERICH,))  # SQLite makes its log when it first reads
        if not first and not tables:
            await self.close()
            raise self.counts.unavailable("gone", "The database's file has been replaced by one without the server's tables.")
        self._doubted, self._opened, self._beside = False, found, self._find_beside()

    async def create_connection(self, with_db: bool) -> None:
        """Open the file."""
        try:
            await super().create_connection(with_db)
        except BaseException:  # without its pragmas it is not the one that is wanted
            await self.close()
            raise

    async def close(self) -> None:
        """Close the file; the next statement opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await finish(connection.close())

    async def undo(self) -> None:
        """Roll back. Where not even that can be done the connection is given up: nobody is to go on with what another left open."""
        connection = self._connection
        if connection is None:
            return
        try:
            await connection.rollback()
        except BaseException:
            await self.close()
            raise

    async def take_turn(self) -> None:
        """Wait for the connection to be free. Who is cancelled meanwhile has not got it.

        Raises:
            Unavailable: It takes too long.
        """
        counts = self.counts
        if not self._lock.locked() and not counts.waiting:  # given back, it is for who waits already
            await self._lock.acquire()
            return
        began = time.perf_counter()
        counts.waiting += 1
        try:
            async with asyncio.timeout(self.longest_wait_s):
                await self._lock.acquire()
        except TimeoutError:
            raise counts.unavailable("busy", "The database is busy: what was asked of it before takes too long.") from None
        finally:
            counts.waiting -= 1
            counts.waited_s += time.perf_counter() - began

    def acquire_connection(self) -> ConnectionWrapper[Any]:
        """The connection, when it is free."""
        return _Turn(self._lock, self)

    @translate_exceptions
    async def write(self, statements: Sequence[Statement]) -> None:
        """Execute some statements, all or none."""
        async with self.acquire_connection() as connection:
            self.counts.transactions += 1
            self.counts.statements += len(statements) - 1  # its turn has counted one
            # aiosqlite has no public way to do several things in one go.
            await connection._execute(execute_whole, connection._conn, statements, self.check_file, self._doubt)

    def _doubt(self) -> None:
        self._doubted = self.filename != MEMORY

    def _in_transaction(self) -> TransactionContext:
        return _Transaction(CarefulTransaction(self), self)

    async def execute_many(self, query: str, values: list[list[Any]]) -> None:
        """Execute a statement for each of some rows, all or none."""
        async with self._in_transaction() as connection:
            await connection.execute_many(query, values)


class _Transaction(TransactionContext):
    """A transaction, from its beginning to its end the only one who uses the connection."""

    def __init__(self, transaction: "CarefulTransaction", client: CarefulClient) -> None:
        self._transaction = transaction
        self._client = client

    async def __aenter__(self) -> "CarefulTransaction":
        await self._client.take_turn()
        try:
            await finish(self._transaction.begin())
        except BaseException:
            try:
                await finish(self._transaction.abandon())
            finally:
                self._client._lock.release()
            raise
        self._token = get_connections().set(self._client.connection_name, self._transaction)
        return self._transaction

    async def __aexit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        try:
            if not self._transaction._finalized:
                await finish(self._transaction.rollback() if exc_type else self._transaction.commit())
        finally:
            get_connections().reset(self._token)
            self._client._lock.release()


class CarefulTransaction(SqliteTransactionWrapper):
    """The connection inside of a transaction. A task that was begun inside and goes on afterwards is outside again."""

    _parent: CarefulClient

    def __init__(self, client: "CarefulClient | CarefulTransaction") -> None:
        super().__init__(client)
        self.counts: Counts = client.counts
        self.outside: CarefulClient = client.outside

    async def take_turn(self) -> None:
        """Wait for the statement before, where several tasks share a transaction."""
        await self._lock.acquire()

    def acquire_connection(self) -> ConnectionWrapper[Any]:
        """The connection, when the statement before has ended."""
        return self.outside.acquire_connection() if self._finalized else _Turn(self._lock, self)

    def _in_transaction(self) -> TransactionContext:
        return self.outside._in_transaction() if self._finalized else NestedTransactionContext(CarefulTransaction(self))

    @translate_exceptions
    async def write(self, statements: Sequence[Statement]) -> None:
        """Execute some statements, all or none."""
        if self._finalized:
            await self.outside.write(statements)
            return
        async with self.acquire_connection() as connection:
            self.counts.statements += len(statements) - 1
            await connection._execute(execute_part, connection._conn, statements)

    async def begin(self) -> None:
        """Begin, and wait for another process that writes: what is read in here is what is written upon."""
        with self._said():
            await self.outside.ready()
            assert self.outside._connection is not None, "it is ready"
            self._connection = self.outside._connection
            self.counts.transactions += 1
            await self._connection.execute("BEGIN IMMEDIATE")

    async def abandon(self) -> None:
        """Leave nothing open of what has not quite begun."""
        self._finalized = True
        with self._said():
            await self.outside.undo()

    async def commit(self) -> None:
        """Make it last; where that fails, it has not happened."""
        if self._finalized:
            raise TransactionManagementError("Transaction already finalised")
        self._finalized = True
        with self._said():
            if not self._connection.in_transaction:  # SQLite undoes all by itself where the disk is full or cannot be read
                raise self.counts.unavailable("gone", "The database gave the transaction up.")
            try:
                self.outside.check_file()  # taken away since it began: nobody would find what is said to be kept
                await self._connection.commit()
            except BaseException:
                await self.outside.undo()
                raise

    async def rollback(self) -> None:
        """Undo it."""
        if self._finalized:
            raise TransactionManagementError("Transaction already finalised")
        self._finalized = True
        with self._said():
            await self.outside.undo()

    async def savepoint(self) -> None:
        """Begin what can be undone alone."""
        with self._said():
            await finish(super().savepoint())

    async def savepoint_rollback(self) -> None:
        """Undo it alone; where SQLite has undone all by itself there is nothing left to undo."""
        if self._connection.in_transaction:
            with self._said():
                await finish(super().savepoint_rollback())

    async def release_savepoint(self) -> None:
        """Make it part of the transaction around it."""
        with self._said():
            await finish(super().release_savepoint())

    async def execute_script(self, query: str) -> None:
        """Execute several statements. Python's own way to do so would end the transaction first."""
        for statement in statements_of(query):
            await self.execute_query(statement)

    def _said(self) -> "_Said":
        return _Said(self.outside)


def _file(path: str) -> _File | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class _Said:
    """Says what an error means that is raised inside."""

    def __init__(self, client: CarefulClient) -> None:
        self._client = client

    def __enter__(self) -> None: ...

    def __exit__(self, exc_type: Any, exc_val: BaseException | None, exc_tb: Any) -> None:
        if exc_val is not None and not isinstance(exc_val, Unavailable) and (meant := self._client.meaning(exc_val)):
            raise meant from exc_val


client_class = CarefulClient
