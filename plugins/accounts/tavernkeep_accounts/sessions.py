"""Logins, in the database. Of a token only its digest is kept: who reads the database cannot log in with what is there."""

import secrets
import uuid
from datetime import timedelta
from typing import Final

from tavernkeep import Credentials, UserContext
from tavernkeep.clock import Clock, now
from tavernkeep.contracts.auth import Revocations
from tavernkeep.contracts.storage import Storage, storable
from tavernkeep.finish import finishing
from tavernkeep_accounts.config import SessionConfig
from tavernkeep_accounts.contracts import SessionInfo
from tavernkeep_accounts.models import SessionRow
from tavernkeep_accounts.service import context_of
from tavernkeep_accounts.tokens import digest_of, session_cookie, session_tokens

_TOKEN_BYTES: Final = 32
_NOTE_USE_EVERY: Final = timedelta(minutes=1)
_KEPT: Final = timedelta(days=30)  # once it has ended: a clock that was ahead for a while ends nobody's session for good


class UserSessions:
    """See `Sessions`.

    Args:
        clock: The time, in UTC.
    """

    def __init__(self, storage: Storage, revocations: Revocations, config: SessionConfig, clock: Clock = now) -> None:
        self._storage = storage
        self._revocations = revocations
        self._idle = timedelta(hours=config.idle_hours)
        self._longest = timedelta(days=config.longest_days)
        self._clock = clock

    @finishing
    async def begin(self, uid: str, *, address: str | None, agent: str) -> str:
        """See `Sessions`."""
        token, moment = secrets.token_urlsafe(_TOKEN_BYTES), self._clock()
        async with self._storage.transaction():
            await SessionRow.filter(expires_at__lte=moment - _KEPT).delete()
            await SessionRow.filter(last_seen_at__lte=moment - self._idle - _KEPT).delete()
            await SessionRow.create(
                id=str(uuid.uuid4()),
                user_id=uid,
                digest=digest_of(token),
                address=storable(address),
                agent=storable(agent),
                created_at=moment,
                last_seen_at=moment,
                expires_at=moment + self._longest,
            )
        return token

    async def shown(self, credentials: Credentials) -> UserContext | None:
        """See `Sessions`."""
        for token in session_tokens(credentials.cookies):
            if (user := await self.user_of(token)) is not None:
                return user
        return None

    def cookie(self, token: str | None, *, secure: bool, base_path: str = "") -> dict[str, str]:
        """See `Sessions`."""
        return session_cookie(token, secure=secure, base_path=base_path)

    async def user_of(self, token: str) -> UserContext | None:
        """Whom a token stands for; `None` when it is of no session that is good."""
        row = await SessionRow.get_or_none(digest=digest_of(token)).select_related("user")
        moment = self._clock()
        if row is None or row.user.disabled or row.expires_at <= moment or row.last_seen_at <= moment - self._idle:
            return None
        if abs(moment - row.last_seen_at) >= _NOTE_USE_EVERY:  # also where that was by a clock that was ahead
            await SessionRow.filter(id=row.id).update(last_seen_at=moment)
        return context_of(row.user, f"session:{row.id}", row.expires_at)

    async def of(self, uid: str, current: str = "") -> list[SessionInfo]:
        """See `Sessions`."""
        return [
            SessionInfo(
                row.id, row.created_at, row.last_seen_at, row.expires_at, row.agent, row.address, current=current == f"session:{row.id}"
            )
            for row in await SessionRow.filter(user_id=uid, expires_at__gt=self._clock(), last_seen_at__gt=self._clock() - self._idle)
        ]

    @finishing
    async def end(self, uid: str, id_: str) -> bool:
        """See `Sessions`."""
        ended = await SessionRow.filter(user_id=uid, id=id_).delete()
        self._revocations.revoke([f"session:{id_}"])
        return ended > 0

    @finishing
    async def end_all(self, uid: str, but: str = "") -> None:
        """See `Sessions`."""
        ended = [row.id for row in await SessionRow.filter(user_id=uid).only("id") if f"session:{row.id}" != but]
        await SessionRow.filter(id__in=ended).delete()
        self._revocations.revoke(f"session:{id_}" for id_ in ended)
