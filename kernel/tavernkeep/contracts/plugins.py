"""What is known of an installed plugin, and of all of them together."""

import enum
from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol

import attrs

from tavernkeep.schema import first_line


class PluginStatus(enum.StrEnum):
    """Where a plugin stands."""

    ACTIVE = "active"
    DISABLED = "disabled"  # the operator said so
    FAILED = "failed"  # it raised
    UNAVAILABLE = "unavailable"  # something that it needs is not there


@attrs.define(eq=False)
class Plugin:
    """A plugin that is installed.

    Attributes:
        name: Its entry point's name.
        distribution: The installed package that it comes from.
        error: Why it is not active, for people.
    """

    name: str
    distribution: str
    version: str
    implementation: Any = attrs.field(default=None, repr=False)
    status: PluginStatus = PluginStatus.ACTIVE
    error: str | None = None

    def __str__(self) -> str:
        return f"plugin {self.name!r} of {self.distribution} {self.version}".rstrip()

    @property
    def requires(self) -> tuple[str, ...]:
        """The names of plugins without which this one cannot work: the attribute `requires` of its implementation."""
        return tuple(getattr(self.implementation, "requires", ()))

    @property
    def description(self) -> str:
        """The first line of its docstring."""
        return first_line(self.implementation) if self.implementation is not None else ""


class InstalledPlugins(Protocol):
    """All installed plugins, and how a plugin calls hooks of its own in the others."""

    def __iter__(self) -> Iterator[Plugin]: ...

    def get(self, name: str) -> Plugin | None:
        """The plugin of a name, or `None`."""
        ...

    def call(self, hook: str, **arguments: Any) -> Iterator[tuple[Plugin, Any]]:
        """Call a hook; gives each plugin with what it returned. One that raises is put out of service."""
        ...

    def collect(self, hook: str, kind: type | tuple[type, ...], **arguments: Any) -> Iterator[tuple[Plugin, list[Any]]]:
        """Call a hook that gives several things of a kind; a plugin that gives anything else is put out of service."""
        ...

    def agather(self, hook: str, *, backwards: bool = False, **arguments: Any) -> AsyncIterator[tuple[Plugin, Exception | None, Any]]:
        """Await an asynchronous hook; gives each plugin with the exception that it raised, if any, and with what it gave."""
        ...

    def fail(self, plugin: Plugin, where: str, error: BaseException) -> None:
        """Put a plugin out of service that raised somewhere."""
        ...
