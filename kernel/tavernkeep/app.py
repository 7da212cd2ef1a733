"""The application: loads the configuration and the plugins, brings them up in order, and takes them down again."""

import gc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import filelock
import structlog

from tavernkeep.config import Config, ConfigSection, ConfigSource, StartError
from tavernkeep.config.sections import ExecutionConfig, PluginsConfig, StorageConfig
from tavernkeep.contracts.auth import AuthProvider, Revocations
from tavernkeep.contracts.authoring import Node
from tavernkeep.contracts.bus import EventBus
from tavernkeep.contracts.execution import Scheduler
from tavernkeep.contracts.http import Route, WebSocketMessage
from tavernkeep.contracts.nodes import DuplicateNodeType, NodeDefinition, NodeRegistry
from tavernkeep.contracts.plugins import Plugin, PluginStatus
from tavernkeep.contracts.services import Services
from tavernkeep.contracts.storage import ModelSet, Storage, StorageProvider
from tavernkeep.plugins.discovery import Plugins

DEFAULT_CONFIG: Final = "config.json"
_LOCK_FILE: Final = "server.lock"

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

    config: Config
    plugins: Plugins
    sections: Sequence[ConfigSection]
    services: Services = attrs.field(factory=Services)
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

    @classmethod
    def load(cls, source: ConfigSource) -> "Application":
        """Read the configuration and import the plugins; nothing is opened or started.

        Raises:
            StartError: The configuration is wrong, or a plugin that it requires is not there.
        """
        plugins = Plugins.discover(source.early("plugins", PluginsConfig), source.plugin_folders())
        sections: list[ConfigSection] = []
        for _, registered in plugins.collect("register_config", ConfigSection):
            sections += registered
        config = source.resolve(sections)
        for warning in config.warnings:
            _log.warning("configuration", file=str(config.file), problem=str(warning))
        return cls(config, plugins, sections)

    @property
    def storage(self) -> StorageProvider | None:
        """The chosen storage provider; `None` when no plugin has tables."""
        return self._storage

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
            self.services.add(Revocations, self.revocations, owner="kernel")
            for _ in self.plugins.call("register_services", app=self, services=self.services):
                pass
            self.collect_nodes()
            auth = self._choose("auth.provider", self.config.auth_provider, "auth_provider")
            scheduler = self._choose("execution.provider", self.config.section(ExecutionConfig).provider, "scheduler")
            self.services.add(NodeRegistry, self.nodes, owner="kernel")
            self.services.add(AuthProvider, auth, owner="kernel")
            self.services.add(Scheduler, scheduler, owner="kernel")
            for _, sink in self.plugins.call("event_sink", app=self):
                self.events.add_sink(sink)
            await self._start_plugins()
            if serving:
                self._build_surface()
            self.plugins.check_required(self.config.section(PluginsConfig))
            settle_garbage_collector()
        except BaseException:
            await self.stop()
            raise

    def _open_data_folder(self, *, exclusive: bool) -> None:
        data = self.config.data
        try:
            data.mkdir(parents=True, exist_ok=True)
            if exclusive:
                lock = filelock.FileLock(data / _LOCK_FILE)
                lock.acquire(timeout=0)
                self._lock = lock
        except filelock.Timeout:
            raise StartError(
                f"another server is running on the data folder {data}; stop it, or give this one a folder of its own (paths.data)"
            ) from None
        except OSError as error:
            raise StartError(f"the data folder {data} cannot be written: {error.strerror}; set paths.data to one that can") from None

    async def open_storage(self) -> None:
        """Open the chosen storage with every plugin's tables, where any plugin has some.

        Raises:
            StartError: There is no such provider, or its database cannot be opened.
        """
        by_plugin = list(self.plugins.collect("register_models", ModelSet))
        if not by_plugin:
            return
        wanted, owners = self.config.section(StorageConfig).provider, [plugin.name for plugin, _ in by_plugin]
        storage: StorageProvider = self._choose("storage.provider", wanted, "storage_provider", needed_by=owners)
        models: list[ModelSet] = []
        for plugin, registered in by_plugin:
            missing = [folder for entry in registered if not (folder := entry.migrations / storage.dialect / entry.app).is_dir()]
            if missing:
                self.plugins.fail(plugin, "register_models", FileNotFoundError(f"no migrations for {storage.dialect}: {missing[0]}"))
            else:
                models += registered
        self._storage = storage
        await storage.open(models)
        self.services.add(Storage, storage, owner="kernel")

    def _choose(self, key: str, wanted: str, hook: str, needed_by: list[str] | None = None) -> Any:
        providers = {str(getattr(provider, "name", "")): (plugin, provider) for plugin, provider in self.plugins.call(hook, app=self)}
        if wanted in providers:
            plugin, provider = providers[wanted]
            self._chosen[key] = plugin
            return provider
        message = f"{key} is {wanted!r}, which no active plugin provides; there are: {', '.join(sorted(providers)) or 'none'}"
        if needed_by:
            message += f"; needed by {', '.join(needed_by)}"
        if inactive := self.plugins.inactive():
            message += f"; not active: {inactive}"
        raise StartError(message)

    def collect_nodes(self) -> None:
        """Ask every plugin for its node types."""
        middleware = list(self.plugins.call("node_middleware", app=self))
        for plugin, nodes in self.plugins.collect("register_nodes", (Node, NodeDefinition), app=self):
            owner = str(plugin)
            try:
                for entry in nodes:
                    self.nodes.add(self._wrapped(entry.definition if isinstance(entry, Node) else entry, middleware), owner)
            except DuplicateNodeType as error:
                self.nodes.remove_all_of(owner)
                self.plugins.fail(plugin, "register_nodes", error)

    def _wrapped(self, definition: NodeDefinition, middleware: list[tuple[Plugin, Any]]) -> NodeDefinition:
        for plugin, wrap in middleware:
            if plugin.status is not PluginStatus.ACTIVE:
                continue
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
        async for plugin, error in self.plugins.acall("startup", app=self):
            if error is not None:
                self.plugins.fail(plugin, "startup", error)
        self._clear_up()
        for key, plugin in self._chosen.items():
            if plugin.status is not PluginStatus.ACTIVE:
                raise StartError(f"{key} chooses {plugin}, which is {plugin.status}: {plugin.error}")

    def _clear_up(self) -> None:
        """Forget what plugins registered that have failed since."""
        for plugin in self.plugins:
            if plugin.status is not PluginStatus.ACTIVE:
                self.nodes.remove_all_of(str(plugin))
                self.services.remove_all_of(plugin.name)

    def _build_surface(self) -> None:
        owners: dict[str, Plugin] = {}
        for plugin, routes in self.plugins.collect("register_routes", Route, app=self):
            if self._claim(plugin, [f"{route.method} {route.path}" for route in routes], owners):
                self.routes += [(plugin.name, route) for route in routes]
        for plugin, messages in self.plugins.collect("register_websocket_messages", WebSocketMessage, app=self):
            if self._claim(plugin, [f"message {message.type}" for message in messages], owners):
                self.messages.update((message.type, message) for message in messages)
        for _, asgi in self.plugins.call("asgi_app", app=self):
            self.asgi = asgi
            self._clear_up()
            return
        inactive = self.plugins.inactive()
        raise StartError("no active plugin serves HTTP (hook asgi_app)" + (f"; not active: {inactive}" if inactive else ""))

    def _claim(self, plugin: Plugin, names: list[str], owners: dict[str, Plugin]) -> bool:
        for name in names:
            if name in owners:
                self.plugins.fail(plugin, "registration", ValueError(f"{name} is also provided by {owners[name]}"))
                return False
        owners.update((name, plugin) for name in names)
        return True

    async def drain(self) -> None:
        """Bring running work to an end while viewers are still connected; called once, when the server is told to stop."""
        async for plugin, error in self.plugins.acall("drain", app=self):
            if error is not None:
                _log.error("plugin failed to drain", plugin=plugin.name, error=str(error))

    async def stop(self) -> None:
        """Take everything down, the last first. What fails on the way is logged; the rest is taken down all the same."""
        async for plugin, error in self.plugins.acall("shutdown", backwards=True, app=self):
            if error is not None:
                _log.error("plugin failed to stop", plugin=plugin.name, error=str(error))
        if self._storage is not None:
            await self._storage.close()
            self._storage = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None


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
