"""The default user, on a real database."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tavernkeep.contracts.auth import Revocations
from tavernkeep_accounts.plugin import AccountsPlugin
from tavernkeep_accounts.service import UserAccounts
from tavernkeep_secrets.box import SecretBox
from tavernkeep_storage_sqlite.config import SqliteConfig
from tavernkeep_storage_sqlite.provider import SqliteStorage


async def test_the_default_user_is_made_once(tmp_path: Path) -> None:
    """It is made when it is first asked for, and is the same after a restart."""
    seen = []
    for _ in range(2):
        storage = SqliteStorage(tmp_path / "db.sqlite3", SqliteConfig())
        await storage.open(AccountsPlugin().register_models())
        await storage.migrate()
        accounts = UserAccounts(storage, SecretBox(encrypt=True, master=None, data=tmp_path), Revocations())
        assert await accounts.get("nobody") is None
        seen.append(await accounts.default())
        assert await accounts.get("default_user") == seen[-1]
        await storage.close()
    assert seen[0] == seen[1]
    assert seen[0].is_admin


async def test_a_keys_use_is_noted_at_most_once_a_minute(tmp_path: Path) -> None:
    """So that a busy key writes nothing at most requests."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    storage = SqliteStorage(tmp_path / "db.sqlite3", SqliteConfig())
    await storage.open(AccountsPlugin().register_models())
    await storage.migrate()
    accounts = UserAccounts(storage, SecretBox(encrypt=True, master=None, data=tmp_path), Revocations(), lambda: moment)
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
    await storage.close()
