"""Sessions, and the hashes of passwords: how they end."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from argon2 import PasswordHasher

from support.application import started
from tavernkeep.contracts.auth import Revocations
from tavernkeep.contracts.storage import Storage
from tavernkeep_accounts.config import SessionConfig
from tavernkeep_accounts.contracts import Accounts
from tavernkeep_accounts.passwords import Argon2Passwords
from tavernkeep_accounts.sessions import UserSessions


async def test_they_end_when_idle_and_in_any_case(tmp_path: Path) -> None:
    """Use keeps one alive, up to its longest; what has ended is no user, is not listed, and is cleared away."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    async with started(tmp_path) as app:
        uid = (await app.services.get(Accounts).default()).uid
        sessions = UserSessions(app.services.get(Storage), Revocations(), SessionConfig(idle_hours=10, longest_days=2), lambda: moment)
        used, idle = [await sessions.begin(uid, address=None, agent="") for _ in range(2)]
        for _ in range(5):
            moment += timedelta(hours=9)
            user = await sessions.user_of(used)
            assert user is not None
            assert user.valid_until == datetime(2026, 1, 3, tzinfo=UTC).timestamp()
        assert await sessions.user_of(idle) is None
        assert len(await sessions.of(uid)) == 1
        moment += timedelta(hours=4)
        assert await sessions.user_of(used) is None
        assert await sessions.of(uid) == []
        assert await sessions.user_of("guessed") is None
        await sessions.begin(uid, address=None, agent="")
        assert len(await sessions.of(uid)) == 1


async def test_a_clock_that_is_set_ends_no_session_for_good(tmp_path: Path) -> None:
    """While the clock is ahead what it says has ended; when it is right again all is as before, and use counts from then."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    async with started(tmp_path) as app:
        uid = (await app.services.get(Accounts).default()).uid
        sessions = UserSessions(app.services.get(Storage), Revocations(), SessionConfig(idle_hours=10, longest_days=20), lambda: moment)
        token = await sessions.begin(uid, address=None, agent="")
        moment += timedelta(days=10)
        assert await sessions.user_of(token) is None
        ahead = await sessions.begin(uid, address=None, agent="")
        moment -= timedelta(days=10)
        assert await sessions.user_of(token) is not None
        assert await sessions.user_of(ahead) is not None
        moment += timedelta(hours=11)  # of which none was used for
        assert await sessions.user_of(token) is None
        assert await sessions.user_of(ahead) is None


async def test_passwords() -> None:
    """Only the right one is right; a hash made with less effort is outdated, and what is none is none."""
    passwords = Argon2Passwords()
    hashed = await passwords.hash("pass wörd")
    assert await passwords.check(hashed, "pass wörd")
    assert not await passwords.check(hashed, "pass word")
    assert not await passwords.check(None, "pass wörd")
    assert not await passwords.check("no hash", "x")
    assert not passwords.is_outdated(hashed)
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("x")
    assert passwords.is_outdated(weak)
    assert passwords.is_hash(weak)
    assert not passwords.is_hash("$2b$10$abc")
