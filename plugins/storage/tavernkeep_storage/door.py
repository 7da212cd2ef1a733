"""The door, with Tortoise ORM: transactions, writes of more than one row, and whether all is well."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import Any, ClassVar, Final, TypeVar

from tortoise import Tortoise
from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from tavernkeep import ModelSet, StartError
from tavernkeep.contracts.storage import Migration, StorageStats, Unavailable, Write
from tavernkeep_storage import values
from tavernkeep_storage.counts import Counts
from tavernkeep_storage.orm import CONNECTION, orm_config
from tavernkeep_storage.statements import Statements

Row = TypeVar("Row", bound=Any)

_CHECK_S: Final = 5.0
_TRIES: Final = 3


class TortoiseDoor:
    """What every `StorageProvider` on Tortoise ORM has in common. A subclass says where the database is, and how its clients behave.

    Attributes:
        name: As `storage.provider` chooses it.
        dialect: The folder of migrations that are for it.
    """

    name: ClassVar[str]
    dialect: ClassVar[str]

    def __init__(self) -> None:
        self._models: Sequence[ModelSet] = ()
        self._checking: asyncio.Task[None] | None = None
        self._statements: Statements | None = None

    def connection(self) -> dict[str, Any]:
        """Tortoise's description of the connection: `engine`, and `credentials`.

        The engine's client has `counts`, and `write(statements)`, which does all of them or none.
        """
        raise NotImplementedError

    def offline(self) -> dict[str, Any]:
        """A connection of the same dialect to nothing, with which migrations are written."""
        raise NotImplementedError

    def migrating(self) -> AbstractAsyncContextManager[None]:
        """Held while migrations are applied: no other process does it meanwhile."""
        return nullcontext()

    # The ORM

    async def connect(self, models: Sequence[ModelSet]) -> None:
        """Make the models usable."""
        self._models = models
        # Tasks that serve requests do not descend from the one that opens the database, so its context must be found without them.
        await Tortoise.init(config=orm_config(self.connection(), models), _enable_global_fallback=True)
        values.guard(model for app in (Tortoise.apps or {}).values() for model in app.values())
        self._statements = Statements(Tortoise.get_connection(CONNECTION))

    async def pending(self) -> list[Migration]:
        """See `StorageProvider`."""
        from tavernkeep_storage.migrations import pending

        with _said_at_a_start():
            return await pending(self._models, self.dialect)

    async def migrate(self) -> list[Migration]:
        """See `StorageProvider`."""
        from tavernkeep_storage.migrations import apply

        if not await self.pending():
            return []
        async with self.migrating():
            with _said_at_a_start():
                return await apply(self._models, self.dialect, orm_config(self.connection(), self._models))

    async def close(self) -> None:
        """See `StorageProvider`."""
        if self._checking is not None:
            self._checking.cancel()
        await Tortoise.close_connections()

    # What plugins use

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """See `Storage`."""
        async with in_transaction(CONNECTION):
            yield

    async def put(self, model: type[Any], key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """See `Storage`."""
        await model.bulk_create([model(**key, **values)], on_conflict=list(key), update_fields=list(values))

    async def ensure(self, model: type[Row], key: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[Row, bool]:
        """See `Storage`."""
        lost: IntegrityError | None = None
        for _ in range(_TRIES):
            row = await model.get_or_none(**key)
            if row is not None:
                return row, False
            try:
                async with self.transaction():
                    return await model.create(**key, **values), True
            except IntegrityError as error:  # another was first, and its row is there now
                lost = error
        assert lost is not None, "it was tried at least once"
        raise lost

    async def add_all(self, rows: Sequence[Any]) -> None:
        """See `Storage`."""
        if rows:
            async with self.transaction():
                await type(rows[0]).bulk_create(rows)

    async def write(self, writes: Sequence[Write]) -> None:
        """See `Storage`."""
        assert self._statements is not None, "the database is open"
        if writes:
            client: Any = Tortoise.get_connection(CONNECTION)  # of the engine, or the transaction that this is in
            await client.write([self._statements.of(write) for write in writes])

    async def check(self) -> None:
        """See `Storage`."""
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._write_and_read(), name="database check")
            self._checking.add_done_callback(_hear)  # also where everybody has given up waiting for it
        # It is waited for and not cancelled: what hangs in it would hold the cancellation off as well.
        task = self._checking
        await asyncio.wait([task], timeout=_CHECK_S)
        if not task.done():
            raise Unavailable("busy", f"The database has not answered for {_CHECK_S:g} s.")
        task.result()

    async def _write_and_read(self) -> None:
        async with in_transaction(CONNECTION) as connection:
            # SQLite writes nothing for an update that changes nothing.
            await connection.execute_query("INSERT INTO aerich (version, app, content) VALUES ('', '', '{}')")
            await connection.execute_query("DELETE FROM aerich WHERE app = ''")

    async def left_over(self) -> list[str]:
        """See `Storage`."""
        rows = await Tortoise.get_connection(CONNECTION).execute_query_dict("SELECT DISTINCT app FROM aerich")
        return sorted({row["app"] for row in rows} - {model_set.app for model_set in self._models})

    def stats(self) -> StorageStats:
        """See `Storage`."""
        counts: Counts = Tortoise.get_connection(CONNECTION).counts  # type: ignore[attr-defined]  # of the engine's own client
        return counts.shown()


def _hear(task: "asyncio.Task[None]") -> None:
    if not task.cancelled():
        task.exception()


@contextmanager
def _said_at_a_start() -> Iterator[None]:
    try:
        yield
    except Unavailable as error:  # such as where the pages are damaged that tell what has been applied
        raise StartError(f"the database cannot be made ready: {error}") from None
