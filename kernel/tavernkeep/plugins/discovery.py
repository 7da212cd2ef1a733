"""Finding plugins, putting them in order, and calling them so that one that breaks harms no other."""

import traceback
from collections.abc import AsyncIterator, Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final

import attrs
import pluggy
import structlog

from tavernkeep import hookspecs
from tavernkeep.config.sections import PluginsConfig, StartError
from tavernkeep.contracts.plugins import Plugin, PluginStatus
from tavernkeep.plugins.folders import FolderEntryPoint, find_folders

ENTRY_POINT_GROUP: Final = "tavernkeep.plugins"

_log = structlog.get_logger(__name__)


@attrs.define
class Plugins:
    """All installed plugins, the active ones in an order in which each comes after what it requires."""

    _all: dict[str, Plugin] = attrs.field(factory=dict)
    _ordered: list[Plugin] = attrs.field(factory=list)
    _hooks: pluggy.PluginManager = attrs.field(factory=lambda: pluggy.PluginManager(hookspecs.PROJECT), repr=False)

    def __attrs_post_init__(self) -> None:
        self._hooks.add_hookspecs(hookspecs)

    @classmethod
    def discover(cls, config: PluginsConfig, folders: Iterable[Path] = ()) -> "Plugins":
        """Import every installed plugin that the configuration does not turn off.

        Args:
            folders: Where plugin folders are; what is installed has precedence over one of the same name.

        Raises:
            StartError: The configuration requires one that is not installed.
        """
        plugins = cls()
        for entry_point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda e: e.name):
            plugins._load(entry_point, config)
        for found in find_folders(folders):
            plugins._load(found, config)
        plugins._order()
        plugins._register()
        unknown = [name for name in config.required if name not in plugins._all]
        if unknown:
            raise StartError(
                f"plugins.required names {', '.join(map(repr, unknown))}, which is not installed; installed: {', '.join(plugins._all)}"
            )
        return plugins

    def _load(self, entry_point: EntryPoint | FolderEntryPoint, config: PluginsConfig) -> None:
        dist = entry_point.dist
        plugin = Plugin(entry_point.name, dist.name if dist else "an unknown distribution", dist.version if dist else "")
        if plugin.name in self._all:
            other = self._all[plugin.name]
            _log.error("two distributions provide a plugin of the same name", kept=str(other), ignored=str(plugin))
            return
        self._all[plugin.name] = plugin
        if plugin.name in config.disabled:
            plugin.status, plugin.error = PluginStatus.DISABLED, "disabled by plugins.disabled"
        elif config.only is not None and plugin.name not in config.only:
            plugin.status, plugin.error = PluginStatus.DISABLED, "not named by plugins.only"
        else:
            loaded = self._guarded(plugin, "import", entry_point.load)
            if isinstance(loaded, type):
                loaded = self._guarded(plugin, "construction", loaded)
            plugin.implementation = loaded

    def _register(self) -> None:
        for plugin in list(self._ordered):
            if plugin.status is PluginStatus.ACTIVE:
                self._guarded(plugin, "registration", self._hooks.register, plugin.implementation, plugin.name)
        for plugin, specifications in self.collect("register_hookspecs", object):
            for module in specifications:
                self._guarded(plugin, "register_hookspecs", self._hooks.add_hookspecs, module)
        for plugin in list(self._ordered):
            for hook in self._hooks.get_hookcallers(plugin.implementation) or ():
                if not hook.has_spec() and plugin.status is PluginStatus.ACTIVE:
                    self.fail(plugin, "registration", LookupError(f"there is no hook {hook.name!r}"))

    def _order(self) -> None:
        """Topological order; whoever requires something that is not there, or requires itself in a circle, is unavailable."""
        done: list[Plugin] = []
        waiting = [plugin for plugin in self._all.values() if plugin.status is PluginStatus.ACTIVE]
        while waiting:
            names = {plugin.name for plugin in done}
            ready = [plugin for plugin in waiting if names.issuperset(plugin.requires)]
            if not ready:
                for plugin in waiting:
                    missing = next(name for name in plugin.requires if name not in names)
                    self._put_out(plugin, PluginStatus.UNAVAILABLE, f"needs {self._why_missing(missing)}")
                break
            done += ready
            waiting = [plugin for plugin in waiting if plugin not in ready]
        self._ordered = done

    def _why_missing(self, name: str) -> str:
        plugin = self._all.get(name)
        if plugin is None:
            return f"plugin {name!r}, which is not installed"
        if plugin.status is PluginStatus.ACTIVE:
            return f"plugin {name!r}, which cannot start before it (a circle of requirements)"
        return f"plugin {name!r}, which is {plugin.status} ({plugin.error})"

    def _put_out(self, plugin: Plugin, status: PluginStatus, error: str) -> None:
        plugin.status, plugin.error = status, error
        _log.error("plugin is not available", plugin=plugin.name, distribution=plugin.distribution, reason=error)
        if plugin.implementation is not None and self._hooks.is_registered(plugin.implementation):
            self._hooks.unregister(plugin.implementation)
        for other in list(self._ordered):
            if other.status is PluginStatus.ACTIVE and plugin.name in other.requires:
                self._put_out(other, PluginStatus.UNAVAILABLE, f"needs {self._why_missing(plugin.name)}")

    def fail(self, plugin: Plugin, where: str, error: BaseException) -> None:
        """Take a plugin out of service because it raised, and with it all that require it."""
        last = traceback.extract_tb(error.__traceback__)[-1:]
        place = f" ({last[0].filename}:{last[0].lineno})" if last else ""
        self._put_out(plugin, PluginStatus.FAILED, f"{where} raised {type(error).__name__}: {error}{place}")

    def _guarded(self, plugin: Plugin, where: str, function: Any, *args: Any) -> Any:
        try:
            return function(*args)
        except StartError:
            raise
        except (Exception, SystemExit) as error:
            self.fail(plugin, where, error)
            return None

    def call(self, hook: str, **arguments: Any) -> Iterator[tuple[Plugin, Any]]:
        """Call a hook plugin by plugin, in order; gives each plugin with what it returned, one that raises is put out of service.

        The plugin that is called is passed as `owner` where the hook takes one.
        """
        for plugin in list(self._ordered):
            caller = self._caller(plugin, hook)
            if caller is None:
                continue
            if "owner" in caller.spec.argnames:
                arguments["owner"] = plugin.name
            result = self._guarded(plugin, hook, lambda caller=caller: caller(**arguments))
            if isinstance(result, list):
                result = result[0] if result else None
            if plugin.status is PluginStatus.ACTIVE and result is not None:
                yield plugin, result

    def collect(self, hook: str, kind: type | tuple[type, ...], **arguments: Any) -> Iterator[tuple[Plugin, list[Any]]]:
        """Call a hook that gives several things of a kind; a plugin that gives anything else is put out of service."""
        for plugin, result in self.call(hook, **arguments):
            items = self._guarded(plugin, hook, _listed, result, kind)
            if items is not None:
                yield plugin, items

    async def acall(self, hook: str, *, backwards: bool = False, **arguments: Any) -> AsyncIterator[tuple[Plugin, Exception | None]]:
        """Await an asynchronous hook plugin by plugin; gives each plugin with the exception that it raised, if any."""
        async for plugin, error, _ in self.agather(hook, backwards=backwards, **arguments):
            yield plugin, error

    async def agather(self, hook: str, *, backwards: bool = False, **arguments: Any) -> AsyncIterator[tuple[Plugin, Exception | None, Any]]:
        """Await an asynchronous hook plugin by plugin; gives each with the exception that it raised, if any, and with what it gave."""
        for plugin in list(reversed(self._ordered) if backwards else self._ordered):
            caller = self._caller(plugin, hook)
            if caller is None:
                continue
            result = None
            try:
                for awaitable in caller(**arguments):
                    result = await awaitable
            except StartError:
                raise
            except Exception as error:
                yield plugin, error, None
            else:
                yield plugin, None, result

    def _caller(self, plugin: Plugin, hook: str) -> Any:
        """The hook as this one plugin implements it, or `None` when it does not."""
        if plugin.status is not PluginStatus.ACTIVE:
            return None
        caller = getattr(self._hooks.hook, hook)
        if not any(impl.plugin is plugin.implementation for impl in caller.get_hookimpls()):
            return None
        others = [other.implementation for other in self._ordered if other is not plugin]
        return self._hooks.subset_hook_caller(hook, others)

    def check_required(self, config: PluginsConfig) -> None:
        """Refuse to go on without a plugin that the configuration requires.

        Raises:
            StartError: Naming the plugin and what became of it.
        """
        for name in config.required:
            plugin = self._all[name]
            if plugin.status is not PluginStatus.ACTIVE:
                raise StartError(f"plugins.required names {name!r}, which is {plugin.status}: {plugin.error}")

    def __iter__(self) -> Iterator[Plugin]:
        return iter(self._all.values())

    def get(self, name: str) -> Plugin | None:
        """The plugin of a name, or `None`."""
        return self._all.get(name)

    def inactive(self) -> str:
        """In a few words, which installed plugins do not run, and why; for messages about something that is missing."""
        gone = [f"{plugin.name} is {plugin.status} ({plugin.error})" for plugin in self if plugin.status is not PluginStatus.ACTIVE]
        return "; ".join(gone)


def _listed(result: Iterable[Any], kind: type | tuple[type, ...]) -> list[Any]:
    items = list(result)
    for item in items:
        if not isinstance(item, kind):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            raise TypeError(f"gave {item!r}, expected {' or '.join(one.__name__ for one in kinds)}")
    return items
