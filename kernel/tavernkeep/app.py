"""The application: loads the configuration and the plugins, brings them up in order, and takes them down again."""

import asyncio
import gc
import importlib
import multiprocessing
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import click
import filelock
import structlog

from tavernkeep.config.sections import (
    CORE_SECTIONS,
    ConfigSection,
    ExecutionConfig,
    PluginsConfig,
    StartError,
    StorageConfig,
    check_section,
    clashes,
)
from tavernkeep.config.shown import Configuration
from tavernkeep.config.source import ConfigSource
from tavernkeep.contracts.auth import AuditLog, AuthProvider, Revocations
from tavernkeep.contracts.authoring import Node
from tavernkeep.contracts.bus import EventBus
from tavernkeep.contracts.execution import Scheduler
from tavernkeep.contracts.http import Route, WebSocketMessage
from tavernkeep.contracts.nodes import NodeDefinition, NodeRegistry
from tavernkeep.contracts.plugins import Plugin, Reloaded
from tavernkeep.contracts.services import Services, called
from tavernkeep.contracts.storage import ModelSet, Storage, StorageProvider
from tavernkeep.logs import AuditInLog
from tavernkeep.plugins.folders import find_folders
from tavernkeep.plugins.installed import Plugins, installed_since
from tavernkeep.plugins.order import depending
from tavernkeep.plugins.registrations import KERNEL
from tavernkeep.plugins.reload import Reloading

DEFAULT_CONFIG: Final = "config.json"
_LOCK_FILE: Final = "server.lock"
_COMMANDS: Final = ("config", "migrate", "plugins", "version")
_PARAMETER: Final = re.compile(r"\{[^{}]*\}")

_log = structlog.get_logger(__name__)


@attrs.define(eq=False)
class Application:
    """The `App` of the plugins, and how it is started and stopped.

    Attributes:
        sections: The configuration sections of the plugins.
        routes: What the HTTP surface can do, each with the name of its plugin.
        messages: What clients may send over the WebSocket, by type.
        restart: Begins the server anew, where whoever runs it can.
        serving: This is the one server of its data folder, not a command beside it.
        asgi: The ASGI application; `None` before `start(serving=True)`.
    """

    source: ConfigSource
    config: Configuration
    plugins: Plugins
    sections: Sequence[ConfigSection]
    services: Services = attrs.field(init=False)
    events: EventBus = attrs.field(factory=EventBus)
    revocations: Revocations = attrs.field(factory=Revocations)
    nodes: NodeRegistry = attrs.field(factory=NodeRegistry)
    routes: list[tuple[str, Route]] = attrs.field(factory=list)
    messages: dict[str, WebSocketMessage] = attrs.field(factory=dict)
    restart: Callable[[], None] | None = None
    serving: bool = False
    asgi: Any = None
    _storage: StorageProvider | None = None
    _lock: filelock.BaseFileLock | None = None
    _chosen: dict[str, Plugin] = attrs.field(factory=dict)
    _middleware: list[tuple[Plugin, Any]] = attrs.field(factory=list)
    _defined: dict[str, NodeDefinition] = attrs.field(factory=dict)
    _begun: list[Plugin] = attrs.field(factory=list)
    _commands: dict[str, click.Command] | None = None
    _lock_of_plugins: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    def __attrs_post_init__(self) -> None:
        ledger = self.plugins.registrations
        self.services = Services(ledger)
        self.services.stand_in(AuditLog, AuditInLog())
        for contract in (Revocations, NodeRegistry, AuthProvider, Scheduler):
            ledger.take(KERNEL, called(contract))

    @classmethod
    def load(cls, source: ConfigSource) -> "Application":
        """Read the configuration and import the plugins; nothing is opened or started.

        Raises:
            StartError: The configuration is wrong, or a plugin that it requires is not there.
        """
        plugins = Plugins.discover(source.early("plugins", PluginsConfig), source.plugin_folders())
        sections = _sections(plugins, source)
        config = source.resolve(sections)
        for warning in config.warnings:
            _log.warning("configuration", file=str(config.file), problem=str(warning))
        return cls(source, config, plugins, sections)

    @property
    def storage(self) -> StorageProvider | None:
        """The chosen storage provider; `None` when no plugin has tables."""
        return self._storage

    @property
    def commands(self) -> Mapping[str, click.Command]:
        """The commands of the plugins, by name."""
        if self._commands is None:
            commands = self._commands = {}
            for name in _COMMANDS:
                self.plugins.registrations.take(KERNEL, f"the command {name!r}")
            for plugin, found in self.plugins.collect("register_commands", click.Command):
                for command in found:
                    name = command.name or ""
                    self._claim(plugin, f"the command {name!r}", commands, name, command)
        return self._commands

    async def start(self, *, serving: bool, alone: bool = False) -> None:
        """Bring everything up, in the order in which one needs the other.

        Args:
            serving: Take the data folder for this process alone, and build the HTTP surface.
            alone: Take the data folder for this process alone in any case.

        Raises:
            StartError: In one line, what stands in the way. What was brought up is taken down again.
        """
        self.serving = serving
        try:
            self._open_data_folder(exclusive=serving or alone)
            await self.open_storage()
            if self._storage is not None:
                tell = _log.info if serving else _log.debug
                for migration in await self._storage.migrate():
                    tell("migration applied", app=migration.app, version=migration.version)
            self._begun = [plugin for plugin in self.plugins if plugin.is_active]
            self._register()
            await self._start_plugins()
            if serving:
                self._register_surface()
                self._build_surface()
            self._check_needed()
            settle_garbage_collector()
        except BaseException:
            await self.stop()
            raise

    def rehearse(self) -> None:
        """Have everything registered as for a server, with nothing opened, written or started: what goes wrong there, `plugins` then tells.

        An app that has rehearsed is not started any more.

        Raises:
            StartError: What would end the start.
        """
        self.serving = True
        self._choose_storage()
        self._register()
        self._register_surface()
        _ = self.commands
        self._check_needed()

    def _open_data_folder(self, *, exclusive: bool) -> None:
        data = self.config.data
        try:
            data.mkdir(parents=True, exist_ok=True)
            if exclusive:
                lock = filelock.FileLock(data / _LOCK_FILE)
                lock.acquire(timeout=0)
                self._lock = lock
        except filelock.Timeout:
            is_worker = multiprocessing.parent_process() is not None
            other = (
                "another server, or another worker of this one (it can have one: hypercorn --workers 1)," if is_worker else "another server"
            )
            raise StartError(
                f"{other} is running on the data folder {data}; stop it, or give this one a folder of its own (paths.data)"
            ) from None
        except OSError as error:
            raise StartError(f"the data folder {data} cannot be written: {error.strerror}; set paths.data to one that can") from None

    async def open_storage(self) -> None:
        """Open the chosen storage with every plugin's tables, where any plugin has some.

        Raises:
            StartError: There is no such provider, or its database cannot be opened.
        """
        models = self._choose_storage()
        if self._storage is not None:
            await self._storage.open(models)

    def _choose_storage(self) -> list[ModelSet]:
        models: dict[str, ModelSet] = {}
        owners: dict[str, Plugin] = {}
        for plugin, registered in self.plugins.collect("register_models", ModelSet):
            for found in registered:
                if self._claim(plugin, f"the tables {found.app!r}", models, found.app, found):
                    owners[found.app] = plugin
                    self.plugins.guarded(plugin, "register_models", importlib.import_module, found.module)
        if models:
            wanted, names = self.config.section(StorageConfig).provider, sorted({plugin.name for plugin in owners.values()})
            self._storage = storage = self._choose("storage.provider", wanted, "storage_provider", needed_by=names)
            for app, found in list(models.items()):
                folder = found.migrations / storage.dialect / app
                if not folder.is_dir():
                    self.plugins.fail(owners[app], "register_models", FileNotFoundError(f"no migrations for {storage.dialect}: {folder}"))
        return list(models.values())

    def _register(self) -> None:
        self.services.add(Revocations, self.revocations, owner=KERNEL)
        if self._storage is not None:
            self.services.add(Storage, self._storage, owner=KERNEL)
        self.plugins.call("register_services", app=self, services=self.services)
        self.collect_nodes()
        auth = self._choose("auth.provider", self.config.auth_provider, "auth_provider")
        scheduler = self._choose("execution.provider", self.config.section(ExecutionConfig).provider, "scheduler")
        self.services.add(NodeRegistry, self.nodes, owner=KERNEL)
        self.services.add(AuthProvider, auth, owner=KERNEL)
        self.services.add(Scheduler, scheduler, owner=KERNEL)
        for plugin, sink in self.plugins.call("event_sink", app=self):
            self._add_sink(plugin, sink)

    def _add_sink(self, plugin: Plugin, sink: Any) -> None:
        if not callable(sink):
            self.plugins.fail(plugin, "event_sink", TypeError(f"gave {sink!r}, expected a function"))
            return
        undo = self.events.add_sink(sink, lambda error: self.plugins.fail(plugin, "event sink", error))
        self.plugins.registrations.add(plugin.name, undo)

    def _choose(self, key: str, wanted: str, hook: str, needed_by: list[str] | None = None) -> Any:
        providers: dict[str, Any] = {}
        for plugin, provider in self.plugins.call(hook, app=self):
            name = getattr(provider, "name", None)
            if not isinstance(name, str) or not name:
                self.plugins.fail(plugin, hook, TypeError("the provider has no name for the configuration to choose it by"))
            elif self._claim(plugin, f"the name {name!r} for {key}", providers, name, provider) and name == wanted:
                self._chosen[key] = plugin
        if wanted in providers:
            return providers[wanted]
        message = f"{key} is {wanted!r}, which no active plugin provides; there are: {', '.join(sorted(providers)) or 'none'}"
        if needed_by:
            message += f"; needed by {', '.join(needed_by)}"
        if inactive := self.plugins.inactive():
            message += f"; not active: {inactive}"
        raise StartError(message)

    def _claim(self, plugin: Plugin, what: str, table: dict[str, Any], key: str, value: Any) -> bool:
        """Put what a plugin gave into a table, until it is put out of service. Where another has it the plugin is put out, or has been."""
        if not plugin.is_active or not self.plugins.claim(plugin, what, lambda: table.pop(key, None)):
            return False
        table[key] = value
        return True

    def collect_nodes(self, among: Container[Plugin] | None = None) -> None:
        """Ask the plugins for their node types.

        Args:
            among: Those to ask, later than the others; all when not given.
        """
        if among is None:
            for plugin, wrap in self.plugins.call("node_middleware", app=self):
                self._middleware.append((plugin, wrap))
                self.plugins.registrations.add(plugin.name, partial(self._unwrap, (plugin, wrap)))
        for plugin, nodes in self.plugins.collect("register_nodes", (Node, NodeDefinition), among, app=self):
            for entry in nodes:
                definition = entry.definition if isinstance(entry, Node) else entry
                if self._claim(plugin, f"the node type {definition.full_type!r}", self._defined, definition.full_type, definition):
                    self.plugins.registrations.add(plugin.name, self.nodes.add(self._wrapped(definition), str(plugin)))

    def _unwrap(self, entry: tuple[Plugin, Any]) -> None:
        self._middleware.remove(entry)
        for definition in self._defined.values():
            self.nodes.replace(self._wrapped(definition))

    def _wrapped(self, definition: NodeDefinition) -> NodeDefinition:
        for plugin, wrap in list(self._middleware):
            try:
                modes = {
                    key: attrs.evolve(mode, execute=wrap(definition, mode.execute)) if mode.execute else mode
                    for key, mode in definition.modes.items()
                }
                execute = wrap(definition, definition.execute) if definition.execute else None
            except Exception as error:
                self.plugins.fail(plugin, f"node_middleware, for {definition.full_type},", error)
            else:
                definition = attrs.evolve(definition, execute=execute, modes=modes)
        return definition

    async def _start_plugins(self) -> None:
        async for plugin, error, _ in self.plugins.agather("startup", app=self):
            if isinstance(error, StartError):
                raise error
            if error is not None:
                self.plugins.fail(plugin, "startup", error)

    def _register_surface(self) -> None:
        for plugin, routes in self.plugins.collect("register_routes", Route, app=self):
            for route in routes:
                what = f"{route.method.upper()} {_PARAMETER.sub(_unnamed, route.path).rstrip('/') or '/'}"
                entry = (plugin.name, route)
                if plugin.is_active and self.plugins.claim(plugin, what, partial(self.routes.remove, entry)):
                    self.routes.append(entry)
        for plugin, messages in self.plugins.collect("register_websocket_messages", WebSocketMessage, app=self):
            for message in messages:
                self._claim(plugin, f"the message {message.type!r}", self.messages, message.type, message)

    def _build_surface(self) -> None:
        for plugin, asgi in self.plugins.call("asgi_app", app=self):
            self.asgi = asgi
            self._chosen["the HTTP surface"] = plugin
            return
        inactive = self.plugins.inactive()
        raise StartError("no active plugin serves HTTP (hook asgi_app)" + (f"; not active: {inactive}" if inactive else ""))

    def _check_needed(self) -> None:
        for key, plugin in self._chosen.items():
            if not plugin.is_active:
                raise StartError(f"{key} chooses {plugin}, which is {plugin.status}: {plugin.error}")
        self.plugins.check_required(self.config.section(PluginsConfig))

    def needed(self, without: Iterable[str] = ()) -> dict[str, str]:
        """The plugins without which the server would not start, each with the reason.

        Args:
            without: Plugins that will not be there either.
        """
        reasons = {plugin.name: f"{key} chooses {plugin.name}" for key, plugin in self._chosen.items()}
        reasons |= dict.fromkeys(self.config.section(PluginsConfig).required, "plugins.required names it")
        found = {}
        for plugin in self.plugins:
            gone = depending([*without, plugin.name], self.plugins)
            if hit := next((name for name in reasons if name in gone), None):
                found[plugin.name] = reasons[hit] if hit == plugin.name else f"{hit} needs it, and {reasons[hit]}"
        return found

    async def reload(self) -> Reloaded:
        """Look at the plugin folders again: load, reread, take out. Executions that run keep the nodes that they began with."""
        async with self._lock_of_plugins:
            found = await asyncio.to_thread(lambda: list(find_folders(self.source.plugin_folders())))
            restart = await asyncio.to_thread(installed_since, list(self.plugins))
            outcome = attrs.evolve(await self._reloading().look(found), restart=restart)
        for name, reason in outcome.failed.items():
            _log.error("plugin folder is not loaded", plugin=name, reason=reason)
        return outcome

    async def switch(self, plugin: Plugin, *, enabled: bool) -> bool:
        """Let a plugin run, or not, from now on; `False` where that needs a restart."""
        if plugin.folder is None:
            return False
        async with self._lock_of_plugins:
            if not enabled:
                self.plugins.leave(plugin, "disabled by plugins.disabled")
            elif not plugin.is_active:
                await self._reloading().load(plugin.folder)
        return True

    def _reloading(self) -> Reloading:
        config = self.config.section(PluginsConfig)
        return Reloading(self.plugins, config, self._bring_in)

    def _bring_in(self, plugin: Plugin) -> None:
        self.plugins.enter(plugin)
        self.collect_nodes([plugin])

    async def drain(self) -> None:
        """Bring running work to an end while viewers are still connected; called once, when the server is told to stop."""
        async for plugin, error, _ in self.plugins.agather("drain", app=self):
            if error is not None:
                _log.error("plugin failed to drain", plugin=plugin.name, error=str(error))

    async def stop(self) -> None:
        """Take everything down, the last first. What fails on the way is logged; the rest is taken down all the same."""
        begun, self._begun = self._begun, []
        async for plugin, error, _ in self.plugins.agather("shutdown", begun, backwards=True, app=self):
            if error is not None:
                _log.error("plugin failed to stop", plugin=plugin.name, error=str(error))
        if self._storage is not None:
            await self._storage.close()
            self._storage = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _sections(plugins: Plugins, source: ConfigSource) -> list[ConfigSection]:
    """The configuration sections of the plugins. One whose section cannot be read has failed, and of two that have one key the newcomer."""
    sections: list[ConfigSection] = []
    owned = [(section, KERNEL) for section in CORE_SECTIONS]
    for plugin, registered in plugins.collect("register_config", ConfigSection):
        for section in registered:
            try:
                check_section(section)
                source.early(section.path, section.type)  # a mistake in its class shows itself with the operator's values, if at all
                for other, owner in owned:
                    if (other in sections or owner == KERNEL) and (keys := clashes(section, other)):
                        plugins.registrations.settle(f"the configuration key {keys[0]!r}", owner, plugin.name)
            except Exception as error:
                plugins.fail(plugin, "register_config", error)
                break
            sections.append(section)
            owned.append((section, plugin.name))
            plugins.registrations.add(plugin.name, partial(sections.remove, section))
    return sections


def _unnamed(parameter: re.Match[str]) -> str:
    return "{:path}" if parameter[0].endswith(":path}") else "{}"


def settle_garbage_collector() -> None:
    """Spare the collector what lives as long as the process, and let it look less often.

    An execution makes many objects that live as long as it does and are in no cycle. At Python's own thresholds the collector goes through
    all of them again and again, which makes a node of 100,000 cost half as much again as one of 1,000 (`benchmarks/engine.py`).
    """
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def config_source(path: str | None, environment: Mapping[str, str]) -> ConfigSource:
    """The configuration of this process: the named file, else that of `TAVERNKEEP_CONFIG`, else `config.json` here, if there is one.

    Raises:
        ConfigError: The file cannot be read, or was named and is not there.
    """
    named = path or environment.get("TAVERNKEEP_CONFIG")
    return ConfigSource.read(Path(named or DEFAULT_CONFIG), environment, must_exist=named is not None)
