"""The service registry: how plugins reach each other without importing each other.

A plugin registers an object for a contract (a class or a protocol) that the kernel, or the plugin, publishes; whoever needs it asks for
the contract.
"""

from typing import Any, TypeVar, cast

import attrs

T = TypeVar("T")


class ServiceNotFound(LookupError):
    """No active plugin provides a service for a contract."""


@attrs.define
class Services:
    """Objects by the contract that they fulfil.

    >>> services = Services()
    >>> services.add(int, 5, owner="example")
    >>> services.get(int)
    5
    """

    _entries: dict[type, tuple[object, str]] = attrs.field(factory=dict)

    def add(self, contract: type[T], service: T, *, owner: str) -> None:
        """Register the service that fulfils a contract.

        Raises:
            ValueError: Another plugin has already registered one.
        """
        if contract in self._entries:
            raise ValueError(f"{owner} and {self._entries[contract][1]} both provide the service {contract.__qualname__}")
        self._entries[contract] = (service, owner)

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
        entry = self._entries.get(cast("Any", contract))
        return cast("T", entry[0]) if entry else None

    def remove_all_of(self, owner: str) -> None:
        """Forget what a plugin registered."""
        self._entries = {contract: entry for contract, entry in self._entries.items() if entry[1] != owner}
