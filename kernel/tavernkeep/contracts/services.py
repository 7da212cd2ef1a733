"""The service registry: how plugins reach each other without importing each other.

A plugin registers an object for a contract (a class or a protocol) that the kernel, or the plugin, publishes; whoever needs it asks for
the contract.
"""

from collections import ChainMap
from collections.abc import Callable, MutableMapping
from typing import Any, Protocol, TypeVar, cast

import attrs

T = TypeVar("T")


class ServiceNotFound(LookupError):
    """No active plugin provides a service for a contract."""


class Ledger(Protocol):
    """Where registrations are noted with their owner, so that they can be taken back."""

    def take(self, owner: str, what: str) -> None:
        """Note something that can be had once.

        Raises:
            ValueError: Somebody else has it.
        """

    def add(self, owner: str, undo: Callable[[], object]) -> None:
        """Note how something is taken back."""


def called(contract: type) -> str:
    """The service for a contract, in words."""
    return f"the service {contract.__module__}.{contract.__qualname__}"


@attrs.define
class Services:
    """Objects by the contract that they fulfil.

    >>> services = Services()
    >>> services.add(int, 5, owner="example")
    >>> services.get(int)
    5
    """

    _ledger: Ledger | None = None
    _entries: MutableMapping[type, tuple[object, str]] = attrs.field(factory=dict)
    _stand_ins: dict[type, object] = attrs.field(factory=dict)

    def add(self, contract: type[T], service: T, *, owner: str) -> None:
        """Register the service that fulfils a contract, until its owner is put out of service.

        Raises:
            ValueError: Another plugin has already registered one.
        """
        if self._ledger is not None:
            self._ledger.take(owner, called(contract))
        if contract in self._entries:
            raise ValueError(f"{owner} and {self._entries[contract][1]} both provide the service {contract.__qualname__}")
        self._entries[contract] = (service, owner)
        if self._ledger is not None:
            self._ledger.add(owner, lambda: self._entries.pop(contract))

    def stand_in(self, contract: type[T], service: T) -> None:
        """Have a service for a contract while no plugin provides one, so that nobody who asks for it needs to do without."""
        self._stand_ins[contract] = service

    def instead(self, contract: type[T], service: T, *, owner: str) -> "Services":
        """The same services, whatever becomes of them, with another one for a contract."""
        return Services(None, ChainMap({contract: (service, owner)}, self._entries), self._stand_ins)

    def get(self, contract: type[T]) -> T:
        """The service for a contract.

        Raises:
            ServiceNotFound: No active plugin provides it.
        """
        service = self.find(contract)
        if service is None:
            raise ServiceNotFound(f"no active plugin provides the service {contract.__qualname__}")
        return service

    def find(self, contract: type[T]) -> T | None:
        """The service for a contract, or `None`."""
        key = cast("Any", contract)
        entry = self._entries.get(key)
        return cast("T | None", entry[0] if entry else self._stand_ins.get(key))
