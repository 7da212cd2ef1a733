"""What is known of an installed plugin, and of all of them together."""

import enum
from collections.abc import AsyncIterator, Callable, Container, Iterable, Iterator, Mapping
from typing import Any, Protocol

import attrs

from tavernkeep.schema import first_line


class PluginStatus(enum.StrEnum):
    """Where a plugin stands."""

    ACTIVE = "active"
    DISABLED = "disabled"  # the operator said so
    FAILED = "failed"  # it raised, or wanted what another has
    UNAVAILABLE = "unavailable"  # something that it needs is not there


@attrs.define(eq=False)
class Plugin:
    """A plugin that is installed.

    Attributes:
        name: Its entry point's name.
        distribution: The installed package that it comes from.
        in_bundle: It is one of the standard plugins.
        folder: What was found of its folder, when it is one: it can then be loaded, reread and taken out while the server runs.
        error: Why it is not active, for people; of an active one, why what its folder holds now could not be loaded.
    """

    name: str
    distribution: str
    version: str
    in_bundle: bool = False
    folder: Any = attrs.field(default=None, repr=False)
    implementation: Any = attrs.field(default=None, repr=False)
    status: PluginStatus = PluginStatus.ACTIVE
    error: str | None = None

    def __str__(self) -> str:
        return f"plugin {self.name!r} of {self.distribution} {self.version}".rstrip()

    @property
    def is_active(self) -> bool:
        """Whether it runs."""
        return self.status is PluginStatus.ACTIVE

    @property
    def has_failed(self) -> bool:
        """Whether it should run and does not."""
        return self.status in (PluginStatus.FAILED, PluginStatus.UNAVAILABLE)

    @property
    def requires(self) -> tuple[str, ...]:
        """The names of plugins without which this one cannot work: the attribute `requires` of its implementation.

        Raises:
            TypeError: That is anything else than a collection of names.
        """
        names = getattr(self.implementation, "requires", ())
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise TypeError(f"requires must be a tuple of names of plugins, not {names!r}")
        return tuple(names)

    @property
    def description(self) -> str:
        """The first line of its docstring."""
        return first_line(self.implementation) if self.implementation is not None else ""


@attrs.frozen
class Reloaded:
    """What came of looking at the plugin folders again, by name.

    Attributes:
        failed: With the reason. Of one that ran before, what was loaded last goes on running.
        restart: Installed plugins that have come, gone or changed: for those the server must be started anew.
    """

    loaded: list[str] = attrs.field(factory=list)
    changed: list[str] = attrs.field(factory=list)
    removed: list[str] = attrs.field(factory=list)
    failed: Mapping[str, str] = attrs.field(factory=dict)
    restart: list[str] = attrs.field(factory=list)

    @property
    def has_changed(self) -> bool:
        """Whether anything is other than it was."""
        return bool(self.loaded or self.changed or self.removed)


class InstalledPlugins(Protocol):
    """All installed plugins, and how a plugin calls hooks of its own in the others."""

    def __iter__(self) -> Iterator[Plugin]: ...

    def get(self, name: str) -> Plugin | None:
        """The plugin of a name, or `None`."""

    def call(self, hook: str, among: Container[Plugin] | None = None, **arguments: Any) -> list[tuple[Plugin, Any]]:
        """Call a hook; gives each plugin with what it returned. One that raises is put out of service."""

    def collect(
        self, hook: str, kind: type | tuple[type, ...], among: Container[Plugin] | None = None, **arguments: Any
    ) -> list[tuple[Plugin, list[Any]]]:
        """Call a hook that gives several things of a kind; a plugin that gives anything else is put out of service."""

    def agather(
        self, hook: str, plugins: Iterable[Plugin] | None = None, *, backwards: bool = False, **arguments: Any
    ) -> AsyncIterator[tuple[Plugin, BaseException | None, Any]]:
        """Await an asynchronous hook; gives each plugin with the exception that it raised, if any, and with what it gave."""

    def fail(self, plugin: Plugin, where: str, error: BaseException) -> None:
        """Put a plugin out of service that raised, at any time: all that it registered is undone, and what requires it goes too."""

    def undo_with(self, owner: str, undo: Callable[[], object]) -> None:
        """Note what a plugin has registered with another (a resolver, a source), to be taken back with all else of it."""
