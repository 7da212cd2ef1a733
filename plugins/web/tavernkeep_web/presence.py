"""Who is connected for longer than one answer takes, and until when."""

import asyncio
import time

import structlog

from tavernkeep.contracts.app import App
from tavernkeep.contracts.auth import AuthError, AuthProvider, Credentials, UserContext

_log = structlog.get_logger(__name__)


class Presence:
    """What let a user in, for as long as it is good.

    Attributes:
        user: Who it is.
        has_ended: It is good no more.

    Args:
        recheck_s: How often it is looked at again, in seconds.
    """

    def __init__(self, app: App, user: UserContext, credentials: Credentials, recheck_s: float) -> None:
        self.user = user
        self.has_ended = False
        self._app = app
        self._credentials = credentials
        self._recheck_s = recheck_s

    async def end(self) -> None:
        """Return when it is good no more: by a revocation, by its time, or by another process's doing, such as a command's."""
        ended = asyncio.Event()
        unwatch = self._app.revocations.watch(self.user, ended.set)
        expires_in = None if self.user.valid_until is None else max(0.0, self.user.valid_until - time.time())
        timer = None if expires_in is None else asyncio.get_running_loop().call_later(expires_in, ended.set)
        try:
            while not ended.is_set() and await self._is_good():
                try:
                    async with asyncio.timeout(self._recheck_s):
                        await ended.wait()
                except TimeoutError:
                    pass
            self.has_ended = True
        finally:
            unwatch()
            if timer is not None:
                timer.cancel()

    async def _is_good(self) -> bool:
        try:
            user = await self._app.services.get(AuthProvider).authenticate(self._credentials)
        except AuthError:
            return False
        except Exception as error:
            # It is known who they were a moment ago, and nobody can have been shut out in a database that cannot be read.
            _log.error("it cannot be looked up whether a viewer may still be here; they stay", user=self.user.uid, error=str(error))
            return True
        if user is None or _rights(user) != _rights(self.user):
            return False  # with other rights they come in anew
        self.user = user
        return True


def _rights(user: UserContext) -> tuple[object, ...]:
    return user.uid, user.is_admin, user.scopes, user.role
