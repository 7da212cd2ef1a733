"""The default user, and keys, on a real database."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.application import started
from tavernkeep.contracts.auth import Revocations
from tavernkeep.contracts.storage import Storage
from tavernkeep_accounts.contracts import Accounts
from tavernkeep_accounts.service import UserAccounts
from tavernkeep_secrets.contracts import Secrets


async def test_the_default_user_is_made_once(tmp_path: Path) -> None:
    """It is made when it is first asked for, and is the same after a restart."""
    seen = []
    for _ in range(2):
        async with started(tmp_path) as app:
            accounts = app.services.get(Accounts)
            assert await accounts.get("nobody") is None
            seen.append(await accounts.default())
            assert await accounts.get("default_user") == seen[-1]
    assert seen[0] == seen[1]
    assert seen[0].is_admin


async def test_a_keys_use_is_noted_at_most_once_a_minute(tmp_path: Path) -> None:
    """So that a busy key writes nothing at most requests."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    async with started(tmp_path) as app:
        accounts = UserAccounts(app.services.get(Storage), app.services.get(Secrets), Revocations(), lambda: moment)
        uid = (await accounts.default()).uid
        secret = (await accounts.make_key(uid, None, ["*"]))["secret"]

        async def used() -> str | None:
            assert await accounts.by_key(secret) is not None
            return (await accounts.keys(uid))[0].get("lastUsedAt")

        assert await used() == "2026-01-01T00:00:00.000Z"
        moment += timedelta(seconds=59)
        assert await used() == "2026-01-01T00:00:00.000Z"
        moment += timedelta(seconds=1)
        assert await used() == "2026-01-01T00:01:00.000Z"
