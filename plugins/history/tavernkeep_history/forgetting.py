"""Forgetting the oldest executions of a user who has too many."""

import asyncio

import structlog

from tavernkeep_history.models import ExecutionRow

_log = structlog.get_logger(__name__)

_SLACK = 20


class Forgetting:
    """Looks for old executions where some have ended, apart from the writing, which does not wait for it.

    Args:
        most: How many of each user's are kept; a twentieth more may be there for a while.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._crowded: set[str] = set()
        self._crowd = asyncio.Event()
        self._room: dict[str, int] = {}  # how many more of a user's may end before it is worth looking

    def count_ended(self, user_id: str) -> None:
        """One of a user's has ended."""
        room = self._room[user_id] = self._room.get(user_id, 0) - 1
        if room < 0:
            self._crowded.add(user_id)
            self._crowd.set()

    async def forget_always(self) -> None:
        """Forget what is too old whenever there is some; until it is cancelled."""
        while True:
            await self._crowd.wait()
            self._crowd.clear()
            crowded, self._crowded = self._crowded, set()
            for user_id in crowded:
                try:
                    await self._forget_old(user_id)
                except Exception as error:
                    _log.error("old executions cannot be forgotten at present", user=user_id, error=str(error))

    async def _forget_old(self, user_id: str) -> None:
        old = await ExecutionRow.filter(user_id=user_id).offset(self._most).limit(1000).values_list("id", flat=True)
        if old:
            await ExecutionRow.filter(id__in=old, completed_at__isnull=False).delete()
            self._room[user_id] = self._most // _SLACK
        else:
            self._room[user_id] = max(self._most // _SLACK, self._most - await ExecutionRow.filter(user_id=user_id).count())
