"""Single-user mode: who is let in."""

from typing import Any

import pytest

from tavernkeep import AuthError, Credentials, StartError
from tavernkeep_auth_local.config import AuthLocalConfig
from tavernkeep_auth_local.provider import LocalAuth, is_loopback


class Accounts:
    """One user, asked for once."""

    asked = 0

    async def shown(self, credentials: Credentials) -> None:
        """Nobody shows a key."""

    async def default(self) -> Any:
        from tavernkeep_accounts.contracts import Account

        self.asked += 1
        return Account("default_user", "default", True, None)  # type: ignore[arg-type]


def local(accounts: Any, config: AuthLocalConfig) -> LocalAuth:
    return LocalAuth(accounts, None, config, has_password=False)  # type: ignore[arg-type]  # without a password there are no sessions


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LOCALHOST", "::ffff:127.0.0.1"])
def test_the_machine_itself(host: str) -> None:
    """Every spelling of the loopback."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "localhost.evil.example", "128.0.0.1", "", "::ffff:10.0.0.1"])
def test_anything_else(host: str) -> None:
    """Is not."""
    assert not is_loopback(host)


async def test_peers_from_elsewhere_are_refused() -> None:
    """However the server listens, unless the operator allows it."""
    strict, open_ = local(Accounts(), AuthLocalConfig()), local(Accounts(), AuthLocalConfig(allow_insecure=True))  # type: ignore[arg-type]
    with pytest.raises(AuthError) as refused:
        await strict.authenticate(Credentials({}, client="192.168.0.7"))
    assert refused.value.status == 403
    assert (await open_.authenticate(Credentials({}, client="192.168.0.7"))).uid == "default_user"
    assert (await strict.authenticate(Credentials({}))).is_admin


@pytest.mark.parametrize(
    "named", [("10.1.2.3",), ("127.0.0.1", "10.1.2.3"), ("10.1.2.3", "127.0.0.1"), ("unknown",), ("2001:db8::7",), ("for=127.0.0.1",)]
)
async def test_a_proxy_on_this_machine_does_not_make_its_visitors_the_owner(named: tuple[str, ...]) -> None:
    """Though the connection comes from the loopback; one that passes on this machine's own requests may."""
    strict = local(Accounts(), AuthLocalConfig())  # type: ignore[arg-type]
    with pytest.raises(AuthError) as refused:
        await strict.authenticate(Credentials({}, client="127.0.0.1", forwarded=named))
    assert refused.value.status == 403
    assert (await strict.authenticate(Credentials({}, client="127.0.0.1", forwarded=("127.0.0.1", "::1")))).is_admin


def test_listening_wider_is_refused_with_the_ways_out() -> None:
    """The message says what to do."""
    strict = local(Accounts(), AuthLocalConfig())  # type: ignore[arg-type]
    strict.check_listening("127.0.0.1")
    with pytest.raises(StartError, match=r"auth\.provider.*allowInsecure"):
        strict.check_listening("0.0.0.0")
