"""Which addresses may be reached, in every way to write one."""

import ipaddress
from typing import Any

import httpcore2
import httpx2
import pytest

from tavernkeep_guard import outgoing
from tavernkeep_guard.contracts import OutgoingRefused
from tavernkeep_guard.outgoing import OutgoingPolicy

PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "::1",
    "::",
    "fc00::1",
    "fd12::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "2002:7f00:1::",
    "2002:0a00:0001::",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
]
NEVER = ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "224.0.0.1", "ff02::1"]
PUBLIC = ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "64:ff9b::101:101"]


def allows(policy: OutgoingPolicy, address: str) -> bool:
    return policy.allows(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PRIVATE + NEVER)
def test_private_addresses_are_refused(address: str) -> None:
    """Also wrapped in others."""
    assert not allows(OutgoingPolicy(private=False), address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_ones_are_not(address: str) -> None:
    """In either mode."""
    assert allows(OutgoingPolicy(private=False), address)
    assert allows(OutgoingPolicy(private=True), address)


@pytest.mark.parametrize("address", NEVER)
def test_link_local_ones_never_are_allowed(address: str) -> None:
    """Clouds answer there with keys."""
    assert not allows(OutgoingPolicy(private=True), address)


def test_local_mode_reaches_this_machine() -> None:
    """So that local model servers work."""
    for address in ("127.0.0.1", "::1", "192.168.1.1"):
        assert allows(OutgoingPolicy(private=True), address)


def test_the_operator_may_allow() -> None:
    """Names, names with a port, addresses, networks; nothing more than these."""
    policy = OutgoingPolicy.of(False, ["10.1.0.0/16", "::1", "models.local:8080", "wiki"])
    assert allows(policy, "10.1.2.3")
    assert not allows(policy, "10.2.0.1")
    assert allows(policy, "::1")
    assert policy.names("MODELS.local", 8080)
    assert not policy.names("models.local", 80)
    assert policy.names("wiki", 1)


async def test_an_answer_of_the_name_service_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is good when it is looked at and bad when it is used: it is looked up once, and that very address is used."""
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    asked: list[str] = []
    reached: list[str] = []

    async def resolve(host: str, port: int) -> list[Any]:
        asked.append(host)
        return [ipaddress.ip_address(text) for text in next(answers)]

    async def connect(self: Any, host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        reached.append(host)
        raise httpcore2.ConnectError("there is nobody")

    monkeypatch.setattr(outgoing, "_resolve", resolve)
    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", connect)
    async with outgoing.GuardedHttp(OutgoingPolicy(private=False)).client() as client:
        with pytest.raises(httpx2.ConnectError):
            await client.get("http://changes.example/")
        assert (asked, reached) == (["changes.example"], ["93.184.216.34"])
        with pytest.raises(OutgoingRefused, match=r"changes.example is at 127.0.0.1"):
            await client.get("http://changes.example/")
    assert reached == ["93.184.216.34"]
