"""The default user, on a real database."""

from pathlib import Path

from tavernkeep_accounts.plugin import AccountsPlugin
from tavernkeep_accounts.service import UserAccounts
from tavernkeep_storage_sqlite.provider import SqliteConfig, SqliteStorage


async def test_the_default_user_is_made_once(tmp_path: Path) -> None:
    """It is made when it is first asked for, and is the same after a restart."""
    seen = []
    for _ in range(2):
        storage = SqliteStorage(tmp_path / "db.sqlite3", SqliteConfig())
        await storage.open(AccountsPlugin().register_models())
        await storage.migrate()
        accounts = UserAccounts()
        assert await accounts.get("nobody") is None
        seen.append(await accounts.default())
        assert await accounts.get("default_user") == seen[-1]
        await storage.close()
    assert seen[0] == seen[1]
    assert seen[0].is_admin
