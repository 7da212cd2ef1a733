"""Passwords, by argon2id with the parameters that OWASP recommends."""

import functools
import secrets
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from tavernkeep_accounts.tokens import digest_of

if TYPE_CHECKING:
    from argon2 import PasswordHasher

_AT_ONCE: Final = 2  # each takes 19 MiB, and a processor for some 20 ms


class Argon2Passwords:
    """See `Passwords`."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(_AT_ONCE)

    @functools.cached_property
    def _hasher(self) -> "PasswordHasher":
        from argon2 import PasswordHasher  # late, as it would hold up the start of every server

        return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

    @functools.cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        """See `Passwords`."""
        return await anyio.to_thread.run_sync(self._hasher.hash, _bytes(password), limiter=self._limiter)

    async def check(self, hashed: str | None, password: str) -> bool:
        """See `Passwords`."""
        return await anyio.to_thread.run_sync(self._check, hashed, _bytes(password), limiter=self._limiter)

    def _check(self, hashed: str | None, password: bytes) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError

        nobodys = self._nobodys
        try:
            return self._hasher.verify(hashed or nobodys, password) and hashed is not None
        except (VerificationError, InvalidHashError):
            return False

    def digest(self, token: str) -> str:
        """See `Passwords`."""
        return digest_of(token)

    def is_outdated(self, hashed: str) -> bool:
        """See `Passwords`."""
        return self._hasher.check_needs_rehash(hashed)

    def is_hash(self, text: str) -> bool:
        """See `Passwords`."""
        from argon2.exceptions import InvalidHashError

        try:
            self._hasher.check_needs_rehash(text)
        except InvalidHashError:
            return False
        return True


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
