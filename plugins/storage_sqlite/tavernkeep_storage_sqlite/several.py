"""Several statements, all or none. The database's thread is handed them as one thing: nothing is open when nobody waits for it any more."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence

from tavernkeep.contracts.storage import Missed
from tavernkeep_storage.statements import Statement


def execute_whole(
    connection: sqlite3.Connection, statements: Sequence[Statement], check: Callable[[], None], doubt: Callable[[], None]
) -> None:
    """Execute some statements in a transaction of their own.

    Args:
        check: Raises where nothing is to be committed.
        doubt: Called where the transaction could not even be undone.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        _execute(connection, statements)
        check()
        connection.execute("COMMIT")
    except BaseException:
        try:
            if connection.in_transaction:  # SQLite undoes all by itself where the disk is full or cannot be read
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            doubt()
        raise


def execute_part(connection: sqlite3.Connection, statements: Sequence[Statement]) -> None:
    """Execute some statements as a part of the transaction that is open, which goes on without them where they fail."""
    connection.execute("SAVEPOINT part")
    try:
        _execute(connection, statements)
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK TO part")
            connection.execute("RELEASE part")
        raise
    connection.execute("RELEASE part")


def _execute(connection: sqlite3.Connection, statements: Sequence[Statement]) -> None:
    for at, statement in enumerate(statements):
        if not connection.execute(statement.sql, statement.values).rowcount and statement.must:
            raise Missed(at)


def statements_of(script: str) -> Iterator[str]:
    """The statements of a script, each whole: a semicolon in a text ends none.

    >>> list(statements_of("SELECT ';'; SELECT 2"))
    ["SELECT ';';", ' SELECT 2;']
    """
    waiting = ""
    for piece in script.split(";"):
        waiting += piece + ";"
        if waiting.strip() == ";":
            waiting = ""
        elif sqlite3.complete_statement(waiting):
            yield waiting
            waiting = ""
