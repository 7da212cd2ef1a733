"""All plugins together: loaded, in order, called, and put out of service with all that they registered."""

import traceback
from collections.abc import AsyncIterator, Callable, Collection, Container, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import structlog

from tavernkeep.config.sections import PluginsConfig, StartError
from tavernkeep.contracts.plugins import Plugin, PluginStatus
from tavernkeep.plugins.calls import Calls, Results
from tavernkeep.plugins.discovery import Found, find_plugins, imported, turned_off, what_is_missing
from tavernkeep.plugins.order import in_order
from tavernkeep.plugins.registrations import KERNEL, Registrations, Taken, Undo

_log = structlog.get_logger(__name__)
_LONGEST_ERROR: Final = 600  # characters of what an exception says


@attrs.define
class Plugins:
    """All plugins that are there; the active ones in an order in which each comes after what it requires.

    Attributes:
        registrations: What they have registered.
    """

    registrations: Registrations = attrs.field(init=False)
    _calls: Calls = attrs.field(init=False)
    _all: dict[str, Plugin] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.registrations = Registrations(self._settle)
        self._calls = Calls(self.fail)

    @classmethod
    def discover(cls, config: PluginsConfig, folders: Iterable[Path] = ()) -> "Plugins":
        """Import every plugin that is there and that the configuration does not turn off.

        Args:
            folders: Where plugin folders are; what is installed has precedence over one of the same name.
        """
        plugins = cls()
        for plugin, found in find_plugins(folders):
            plugins.load(plugin, found, config)
        plugins.enter_all()
        return plugins

    def add(self, plugin: Plugin) -> bool:
        """List a plugin, which is not called yet; `False` when there was one of its name first, or it has the kernel's."""
        other = "the kernel" if plugin.name == KERNEL else self._all.get(plugin.name)
        if other is None:
            self._all[plugin.name] = plugin
            return True
        plugin.name = second_name(plugin.name, plugin.distribution)
        self._all[plugin.name] = plugin
        self._put_out(plugin, PluginStatus.FAILED, f"its name is that of {other}, which was there first")
        return False

    def load(self, plugin: Plugin, found: Found, config: PluginsConfig) -> None:
        """List and import a plugin, where the configuration does not turn it off; it is not called yet."""
        if self.add(plugin) and not turned_off(plugin, config.disabled, config.only) and (problem := self.imports(plugin, found)):
            self._put_out(plugin, *problem)

    def imports(self, plugin: Plugin, found: Found) -> tuple[PluginStatus, str] | None:
        """Import a plugin, and nothing else; gives what it is when that cannot be done, and why."""
        try:
            plugin.implementation = imported(found)
            _ = plugin.requires, plugin.description  # read here, so that they raise here
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            plugin.implementation = None
            _log.info("plugin cannot be imported", plugin=plugin.name, **place_of(error))
            return _what_is_wrong("import", error)
        return None

    def enter_all(self) -> None:
        """Let the hooks of all that could be loaded be called, in order, those who bring hooks before those who implement them."""
        ordered, stuck = in_order(plugin for plugin in self if plugin.is_active)
        # First those that miss what is not there, and with them all that need them; what is left then is a circle.
        for plugin, missing in sorted(stuck.items(), key=lambda entry: (there := self._all.get(entry[1])) is not None and there.is_active):
            if plugin.is_active:
                self._put_out(plugin, PluginStatus.UNAVAILABLE, f"needs {self._why_missing(missing)}")
        for plugin in ordered:
            for module in self._calls.guarded(plugin, "register_hookspecs", self._calls.specifications_of, plugin) or ():
                undo = self._calls.guarded(plugin, "register_hookspecs", self._calls.add_specifications, module)
                if undo is not None:
                    self.registrations.add(plugin.name, undo)
        for plugin in ordered:
            self.enter(plugin)

    def enter(self, plugin: Plugin) -> None:
        """Let the hooks of a plugin be called, after those of the plugins that are there."""
        self._all[plugin.name] = plugin
        if plugin.is_active:
            self._calls.guarded(plugin, "registration", self._calls.add, plugin)

    def withdraw(self, plugin: Plugin) -> None:
        """Take back all that a plugin registered, for another to come in its place."""
        self.registrations.undo(plugin.name)
        self._calls.remove(plugin)

    def leave(self, plugin: Plugin, reason: str = "") -> None:
        """Take a plugin out; with a reason it is listed as disabled from now on, else it is forgotten."""
        self._put_out(plugin, PluginStatus.DISABLED, reason or "its folder is gone")
        self._calls.remove(plugin)
        if not reason:
            del self._all[plugin.name]

    def _why_missing(self, name: str) -> str:
        plugin = self._all.get(name)
        if plugin is None:
            return f"plugin {name!r}, which is not installed"
        if plugin.is_active:
            return f"plugin {name!r}, which cannot start before it (a circle of requirements)"
        return f"plugin {name!r}, which is {plugin.status} ({plugin.error})"

    def _put_out(self, plugin: Plugin, status: PluginStatus, error: str, **place: str) -> None:
        plugin.status, plugin.error = status, error
        tell = _log.info if status is PluginStatus.DISABLED else _log.error
        tell("plugin is not available", plugin=plugin.name, distribution=plugin.distribution, reason=error, **place)
        for other in list(self):
            if other.is_active and plugin.name in other.requires:
                self._put_out(other, PluginStatus.UNAVAILABLE, f"needs {self._why_missing(plugin.name)}")
        self.registrations.undo(plugin.name)

    def fail(self, plugin: Plugin, where: str, error: BaseException) -> None:
        """Put a plugin out of service that raised, at any time: all that it registered is undone, and what requires it goes too."""
        if not plugin.is_active:
            return
        status, said = _what_is_wrong(where, error)
        self._put_out(plugin, status, said, **place_of(error))

    def undo_with(self, owner: str, undo: Undo) -> None:
        """Note what a plugin has registered with another, to be taken back with all else."""
        self.registrations.add(owner, undo)

    def claim(self, plugin: Plugin, what: str, undo: Undo) -> bool:
        """Note something of a plugin's that can be had once; where somebody has it the plugin has failed, and the answer is False."""
        try:
            self.registrations.take(plugin.name, what)
        except Taken as taken:
            self.fail(plugin, "registration", taken)
            return False
        self.registrations.add(plugin.name, undo)
        return True

    def _settle(self, what: str, there: str, newcomer: str) -> None:
        """The first stays, but where it is none of the bundle's and the newcomer is."""
        first, second = self._all.get(there), self._all.get(newcomer)
        taken = Taken(f"{second or newcomer} wants {what}, which is {first or f'the {there}'}'s")
        if first is not None and second is not None and second.in_bundle and not first.in_bundle:
            self.fail(first, "registration", Taken(f"{first} wants {what}, which is {second}'s"))
        else:
            raise taken

    def guarded(self, plugin: Plugin, where: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function of a plugin gives; `None` when it raised, and the plugin has failed then."""
        return self._calls.guarded(plugin, where, function, *arguments)

    def call(self, hook: str, among: Container[Plugin] | None = None, **arguments: Any) -> Results:
        """See `Calls.call`."""
        return self._calls.call(hook, among, **arguments)

    def collect(
        self, hook: str, kind: type | tuple[type, ...], among: Container[Plugin] | None = None, **arguments: Any
    ) -> list[tuple[Plugin, list[Any]]]:
        """Call a hook that gives several things of a kind; a plugin that gives anything else is put out of service."""
        found = []
        for plugin, result in self.call(hook, among, **arguments):
            items = self._calls.guarded(plugin, hook, _listed, result, kind)
            if items is not None:
                found.append((plugin, items))
        return found

    def agather(
        self, hook: str, plugins: Iterable[Plugin] | None = None, *, backwards: bool = False, **arguments: Any
    ) -> AsyncIterator[tuple[Plugin, BaseException | None, Any]]:
        """See `Calls.agather`."""
        return self._calls.agather(hook, plugins, backwards=backwards, **arguments)

    @property
    def awaited(self) -> Collection[str]:
        """The hooks that are being awaited at present."""
        return self._calls.awaited

    def check_required(self, config: PluginsConfig) -> None:
        """Refuse to go on without a plugin that the configuration requires.

        Raises:
            StartError: Naming the plugin and what became of it.
        """
        for name in config.required:
            plugin = self._all.get(name)
            if plugin is None:
                raise StartError(f"plugins.required names {name!r}, which is not installed; installed: {', '.join(self._all)}")
            if not plugin.is_active:
                raise StartError(f"plugins.required names {name!r}, which is {plugin.status}: {plugin.error}")

    def __iter__(self) -> Iterator[Plugin]:
        return iter(list(self._all.values()))

    def get(self, name: str) -> Plugin | None:
        """The plugin of a name, or `None`."""
        return self._all.get(name)

    def inactive(self) -> str:
        """In a few words, which installed plugins do not run, and why; for messages about something that is missing."""
        return "; ".join(f"{plugin.name} is {plugin.status} ({plugin.error})" for plugin in self if not plugin.is_active)


def second_name(name: str, distribution: str) -> str:
    """What a plugin is listed as whose name another has."""
    return f"{name}@{distribution}"


def _what_is_wrong(where: str, error: BaseException) -> tuple[PluginStatus, str]:
    if missing := what_is_missing(error):
        return PluginStatus.UNAVAILABLE, f"needs {missing!r}, which is not installed"
    said = str(error) if isinstance(error, Taken) else f"{where} raised {type(error).__name__}: {_text_of(error)}".removesuffix(": ")
    return PluginStatus.FAILED, " ".join(said.split())


def _text_of(error: BaseException) -> str:
    """What an exception says, as text that can be written anywhere; what is to be told of a plugin's mistake must not be the next one."""
    try:
        return "".join(c if c.isprintable() or c.isspace() else ascii(c)[1:-1] for c in str(error)[:_LONGEST_ERROR])
    except BaseException as second:
        return f"(its message cannot be read: {type(second).__name__})"


def place_of(error: BaseException) -> dict[str, str]:
    """Where something was raised, for logs: answers to clients have no path of the server."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    return {"at": f"{last[0].filename}:{last[0].lineno}"} if last else {}


def installed_since(plugins: Iterable[Plugin]) -> list[str]:
    """The names of installed plugins that are there now in another version, or were not, or are no more: they need a restart."""
    then = {(plugin.name.partition("@")[0], plugin.distribution, plugin.version) for plugin in plugins if plugin.folder is None}
    now = {(plugin.name, plugin.distribution, plugin.version) for plugin, _ in find_plugins(()) if plugin.folder is None}
    return sorted({name for name, _, _ in then ^ now})


def _listed(result: Iterable[Any], kind: type | tuple[type, ...]) -> list[Any]:
    items = list(result)
    for item in items:
        if not isinstance(item, kind):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            raise TypeError(f"gave {item!r}, expected {' or '.join(one.__name__ for one in kinds)}")
    return items
