"""The audit log: in the log at once, and in the database, in order."""

import asyncio
from typing import Any

import structlog

from tavernkeep import UserContext
from tavernkeep.clock import Clock, now
from tavernkeep.contracts.storage import Storage, storable
from tavernkeep.finish import finishing
from tavernkeep.logs import AuditInLog
from tavernkeep.wire import iso
from tavernkeep_guard.bodies import AuditEntry
from tavernkeep_guard.models import AuditRow

_log = structlog.get_logger("tavernkeep.audit")


class Audit:
    """See `tavernkeep.contracts.auth.AuditLog`.

    Args:
        clock: The time, in UTC.
    """

    def __init__(self, storage: Storage, clock: Clock = now) -> None:
        self._storage = storage
        self._clock = clock
        self._in_log = AuditInLog()
        self._waiting: list[AuditRow] = []
        self._news = asyncio.Event()
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def note(self, action: str, user: UserContext | None, *, target: str = "", address: str | None = None, **details: Any) -> None:
        """See `AuditLog`."""
        self._in_log.note(action, user, target=target, address=address, **details)
        row = AuditRow(
            at=self._clock(),
            action=action[:60],
            uid=user.uid if user else None,
            username=user.username if user else None,
            credential=user.credential if user else "",
            target=storable(target[:200]),
            address=storable(address and address[:64]),
            details=storable(details),
        )
        self._waiting.append(row)
        self._news.set()

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._write_always(), name="audit")

    async def close(self) -> None:
        """Write what waits, and end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self.flush()

    async def _write_always(self) -> None:
        while True:
            await self._news.wait()
            await self.flush()

    @finishing
    async def flush(self) -> None:
        """Write everything that has been noted so far."""
        async with self._writing:
            self._news.clear()
            rows, self._waiting = self._waiting, []
            try:
                await self._storage.add_all(rows)
            except Exception as error:  # whatever it is: the next entries are to be written
                _log.error("the audit log cannot be written; it is in this log alone", error=str(error), entries=len(rows))

    async def entries(
        self, *, limit: int, before: int | None = None, uid: str | None = None, action: str | None = None
    ) -> list["AuditEntry"]:
        """The latest entries, the last first."""
        await self.flush()
        rows = AuditRow.all()
        if before is not None:
            rows = rows.filter(id__lt=before)
        if uid is not None:
            rows = rows.filter(uid=uid)
        if action is not None:
            rows = rows.filter(action__startswith=action)
        return [
            AuditEntry(row.id, iso(row.at), row.action, row.target, row.details, row.uid, row.username, row.credential or None, row.address)
            for row in await rows.limit(limit)
        ]
