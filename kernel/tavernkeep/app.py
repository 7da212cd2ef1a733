"""The application: loads the configuration and the plugins, brings them up in order, and takes them down again."""

import asyncio
import multiprocessing
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import click
import filelock
import structlog

from tavernkeep.config.sections import (
    ConfigSection,
    ExecutionConfig,
    FolderTaken,
    PluginsConfig,
    StartError,
    StopConfig,
    StorageConfig,
)
from tavernkeep.config.shown import Configuration
from tavernkeep.config.source import ConfigSource
from tavernkeep.contracts.app import Role
from tavernkeep.contracts.auth import AuditLog, AuthProvider, Revocations
from tavernkeep.contracts.bus import EventBus
from tavernkeep.contracts.execution import Scheduler
from tavernkeep.contracts.http import Route, WebSocketMessage
from tavernkeep.contracts.nodes import NodeRegistry
from tavernkeep.contracts.plugins import Plugin, Reloaded
from tavernkeep.contracts.services import Services, called
from tavernkeep.contracts.storage import ModelSet, Storage, StorageProvider
from tavernkeep.ending import Ending
from tavernkeep.finish import finish
from tavernkeep.logs import AuditInLog
from tavernkeep.plugins.folders import find_folders
from tavernkeep.plugins.installed import Plugins, installed_since
from tavernkeep.plugins.order import depending
from tavernkeep.plugins.registrations import KERNEL
from tavernkeep.plugins.reload import Reloading
from tavernkeep.plugins.tables import Tables, a_function, sections_of

DEFAULT_CONFIG: Final = "config.json"
LOCK_FILE: Final = "server.lock"  # in the data folder, and so is the next
RESTORING: Final = ".restoring"  # is there while a backup is put in the place of what was there

_log = structlog.get_logger(__name__)


@attrs.define(eq=False)
class Application:
    """The `App` of the plugins, and how it is started and stopped.

    Attributes:
        sections: The configuration sections of the plugins.
        routes: What the HTTP surface can do, each with the name of its plugin.
        messages: What clients may send over the WebSocket, by type.
        commands: The commands of the plugins, by name.
        restart: Begins the server anew, where whoever runs it can.
        roles: What this process does.
        storage: The chosen storage provider; `None` when no plugin has tables.
        ending: How the process, or this app's part of it, comes to its end.
        asgi: The ASGI application; `None` before `start`, and where this process is no front.
    """

    source: ConfigSource
    config: Configuration
    plugins: Plugins
    sections: Sequence[ConfigSection]
    tables: Tables = attrs.field(init=False)
    services: Services = attrs.field(init=False)
    revocations: Revocations = attrs.field(factory=Revocations)
    events: EventBus = attrs.field(init=False)
    nodes: NodeRegistry = attrs.field(init=False)
    routes: list[tuple[str, Route]] = attrs.field(init=False)
    messages: dict[str, WebSocketMessage] = attrs.field(init=False)
    commands: Mapping[str, click.Command] = attrs.field(init=False)
    ending: Ending = attrs.field(init=False)
    restart: Callable[[], None] | None = None
    roles: Role = Role.NONE
    storage: StorageProvider | None = None
    asgi: Any = None
    _lock: filelock.BaseFileLock | None = None
    _chosen: dict[str, Plugin] = attrs.field(factory=dict)
    _begun: list[Plugin] = attrs.field(factory=list)
    _lock_of_plugins: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    _drained: asyncio.Event = attrs.field(factory=asyncio.Event)
    _lock_of_ending: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    def __attrs_post_init__(self) -> None:
        ledger = self.plugins.registrations
        self.tables, self.services = Tables(self.plugins), Services(ledger)
        self.events, self.nodes = self.tables.events, self.tables.nodes
        self.routes, self.messages = self.tables.routes, self.tables.messages
        self.services.stand_in(AuditLog, AuditInLog())
        for contract in (Revocations, NodeRegistry, AuthProvider, Scheduler):
            ledger.take(KERNEL, called(contract))
        self.commands = self.tables.commands()
        self.ending = Ending(self.config.section(StopConfig).stop_wait_s, self.plugins.awaited)

    @classmethod
    def load(cls, source: ConfigSource) -> "Application":
        """Read the configuration and import the plugins; nothing is opened or started.

        Raises:
            StartError: The configuration is wrong, or a plugin that it requires is not there.
        """
        plugins = Plugins.discover(source.early("plugins", PluginsConfig), source.plugin_folders())
        sections = sections_of(plugins, source)
        config = source.resolve(sections)
        for warning in config.warnings:
            _log.warning("configuration", file=str(config.file), problem=str(warning))
        return cls(source, config, plugins, sections)

    async def start(self, roles: Role, *, alone: bool = False) -> None:
        """Bring everything up, in the order in which one needs the other.

        Args:
            roles: What this process does. With any, the data folder is taken for it alone; as a front, the HTTP surface is built.
            alone: Take the data folder for this process alone in any case.

        Raises:
            StartError: In one line, what stands in the way. What was brought up is taken down again.
        """
        self.roles = roles
        self._check_needed()
        try:
            self.open_data_folder(exclusive=bool(roles) or alone)
            if (self.config.data / RESTORING).exists():
                raise StartError(f"a restore into {self.config.data} was cut off; run `tavernkeep restore` again, which finishes it")
            await self.open_storage()
            if self.storage is not None:
                tell = _log.info if roles else _log.debug
                for migration in await self.storage.migrate():
                    tell("migration applied", app=migration.app, version=migration.version)
            self._begun = [plugin for plugin in self.plugins if plugin.is_active]
            self._register()
            await self._start_plugins()
            if Role.FRONT in roles:
                self.tables.collect_surface(self)
                self._build_surface()
            self._check_needed()
        except BaseException:
            await finish(self.stop())  # also when the start was cancelled
            raise

    def rehearse(self) -> None:
        """Have everything registered as for a server, with nothing opened, written or started: what goes wrong there, `plugins` then tells.

        An app that has rehearsed is not started any more.

        Raises:
            StartError: What would end the start.
        """
        self.roles = Role.ALL
        self.choose_storage()
        self._register()
        self.tables.collect_surface(self)
        self._build_surface()
        self._check_needed()

    def open_data_folder(self, *, exclusive: bool) -> None:
        """Make the data folder where there is none; with `exclusive`, take it for this process alone, until `stop`.

        Raises:
            StartError: Another process has it, or it cannot be written.
        """
        data = self.config.data
        try:
            data.mkdir(parents=True, exist_ok=True)
            if exclusive:
                lock = filelock.FileLock(data / LOCK_FILE)
                lock.acquire(timeout=0)
                self._lock = lock
        except filelock.Timeout:
            is_worker = multiprocessing.parent_process() is not None
            other = (
                "another server, or another worker of this one (it can have one: hypercorn --workers 1)," if is_worker else "another server"
            )
            raise FolderTaken(
                f"{other} is running on the data folder {data}; stop it, or give this one a folder of its own (paths.data)"
            ) from None
        except OSError as error:
            raise StartError(f"the data folder {data} cannot be written: {error.strerror}; set paths.data to one that can") from None

    async def open_storage(self) -> None:
        """Open the chosen storage with every plugin's tables, where any plugin has some.

        Raises:
            StartError: There is no such provider, or its database cannot be opened.
        """
        models = self.choose_storage()
        if self.storage is not None:
            await self.storage.open(models)

    def choose_storage(self) -> list[ModelSet]:
        """Set `storage`, which is not opened; gives every plugin's tables.

        Raises:
            StartError: There is no such provider.
        """
        models = self.tables.models()
        if models:
            owners = {plugin.name for plugin, _ in models.values()}
            wanted = self.config.section(StorageConfig).provider
            self.storage = storage = self._choose("storage.provider", wanted, "storage_provider", owners)
            for app, (plugin, found) in list(models.items()):
                folder = found.migrations / storage.dialect / app
                if not folder.is_dir():
                    self.plugins.fail(plugin, "register_models", FileNotFoundError(f"no migrations for {storage.dialect}: {folder}"))
        return [found for _, found in models.values()]

    def _register(self) -> None:
        self.services.add(Revocations, self.revocations, owner=KERNEL)
        if self.storage is not None:
            self.services.add(Storage, self.storage, owner=KERNEL)
        self.plugins.call("register_services", app=self, services=self.services)
        self.collect_nodes()
        auth = self._choose("auth.provider", self.config.auth_provider, "auth_provider")
        scheduler = self._choose("execution.provider", self.config.section(ExecutionConfig).provider, "scheduler")
        self.services.add(NodeRegistry, self.nodes, owner=KERNEL)
        self.services.add(AuthProvider, auth, owner=KERNEL)
        self.services.add(Scheduler, scheduler, owner=KERNEL)
        self.tables.collect_sinks(self)

    def _choose(self, key: str, wanted: str, hook: str, needed_by: Iterable[str] = ()) -> Any:
        providers = self.tables.providers(self, key, hook)
        if wanted in providers:
            self._chosen[key], provider = providers[wanted]
            return provider
        message = f"{key} is {wanted!r}, which no active plugin provides; there are: {', '.join(sorted(providers)) or 'none'}"
        if needed_by:
            message += f"; needed by {', '.join(sorted(needed_by))}"
        if inactive := self.plugins.inactive():
            message += f"; not active: {inactive}"
        raise StartError(message)

    def collect_nodes(self, among: Container[Plugin] | None = None) -> None:
        """Ask the plugins for their node types; see `Tables.collect_nodes`."""
        self.tables.collect_nodes(self, among)

    async def _start_plugins(self) -> None:
        async for plugin, error, _ in self.plugins.agather("startup", app=self):
            if isinstance(error, StartError):
                raise error
            if error is not None:
                self.plugins.fail(plugin, "startup", error)

    def _build_surface(self) -> None:
        while found := self.plugins.call("asgi_app", app=self):
            plugin, asgi = found[0]
            self._chosen["the HTTP surface"], self.asgi = plugin, self.plugins.guarded(plugin, "asgi_app", a_function, asgi)
            if self.asgi is not None:  # else the next is asked
                return
        inactive = self.plugins.inactive()
        raise StartError("no active plugin serves HTTP (hook asgi_app)" + (f"; not active: {inactive}" if inactive else ""))

    def _check_needed(self) -> None:
        for key, plugin in self._chosen.items():
            if not plugin.is_active:
                raise StartError(f"{key} comes from {plugin}, which is {plugin.status}: {plugin.error}")
        self.plugins.check_required(self.config.section(PluginsConfig))

    def needed(self, without: Iterable[str] = ()) -> dict[str, str]:
        """The plugins without which the server would not start, each with the reason.

        Args:
            without: Plugins that will not be there either.
        """
        reasons = {plugin.name: f"{key} comes from {plugin.name}" for key, plugin in self._chosen.items()}
        reasons |= dict.fromkeys(self.config.section(PluginsConfig).required, "plugins.required names it")
        found = {}
        for plugin in self.plugins:
            gone = depending([*without, plugin.name], self.plugins)
            if hit := next((name for name in reasons if name in gone), None):
                found[plugin.name] = reasons[hit] if hit == plugin.name else f"{hit} needs it, and {reasons[hit]}"
        return found

    async def reload(self) -> Reloaded:
        """Look at the plugin folders again: load, reread, take out. Executions that run keep the nodes that they began with.

        Raises:
            ConfigError: The configuration file, which says where they are and which are off, cannot be read any more.
        """
        async with self._lock_of_plugins:
            source = await asyncio.to_thread(self.source.again)
            found = await asyncio.to_thread(lambda: list(find_folders(source.plugin_folders())))
            restart = await asyncio.to_thread(installed_since, list(self.plugins))
            outcome = attrs.evolve(await self._reloading(source).look(found), restart=restart)
        for name, reason in outcome.failed.items():
            _log.error("plugin folder is not loaded", plugin=name, reason=reason)
        return outcome

    async def switch(self, plugin: Plugin, *, enabled: bool) -> bool:
        """Let a plugin run, or not, from now on; `False` where that needs a restart. The configuration file says so already."""
        if plugin.folder is None:
            return False
        async with self._lock_of_plugins:
            if not enabled:
                self.plugins.leave(plugin, "disabled by plugins.disabled")
            elif not plugin.is_active:
                await self._reloading(await asyncio.to_thread(self.source.again)).load(plugin.name, plugin.folder)
        return True

    def _reloading(self, source: ConfigSource) -> Reloading:
        return Reloading(self.plugins, source.early("plugins", PluginsConfig), self._bring_in)

    def _bring_in(self, plugin: Plugin) -> None:
        self.plugins.enter(plugin)
        self.collect_nodes([plugin])

    async def drain(self) -> None:
        """Bring running work to an end while viewers are still connected; called once, when the server is told to stop."""
        self.ending.begin()
        await self._end("drain")
        self._drained.set()

    async def outlast(self, server: "asyncio.Future[Any]") -> bool:
        """Wait until whoever serves the app is done; once all is drained only for a time, as it waits for its connections, maybe for ever.

        Returns:
            Whether it is done.
        """
        drained = asyncio.create_task(self._drained.wait())
        await asyncio.wait([server, drained], return_when=asyncio.FIRST_COMPLETED)
        drained.cancel()
        self.ending.begin()
        try:
            async with self.ending.share():
                await asyncio.wait([server])
        except TimeoutError:
            _log.warning("connections are cut off that do not take what is sent, or do not end")
            return False
        return True

    async def stop(self) -> None:
        """Take everything down, the last first. What fails on the way is logged; the rest is taken down all the same."""
        self.ending.begin()
        begun, self._begun = self._begun, []
        await self._end("shutdown", begun, backwards=True)
        if self.storage is not None:
            try:
                async with self.ending.share():
                    await self.storage.close()
            except Exception as error:
                self._failed_to_end("the storage failed to close", error)
            self.storage = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    async def _end(self, hook: str, plugins: Iterable[Plugin] | None = None, *, backwards: bool = False) -> None:
        async with self._lock_of_ending:  # not every server that runs an ASGI application waits for the one before it asks for the other
            async for plugin, error, _ in self.plugins.agather(hook, plugins, backwards=backwards, within=self.ending.share, app=self):
                if error is not None:
                    self._failed_to_end("plugin failed to stop", error, plugin=plugin.name, hook=hook)

    def _failed_to_end(self, what: str, error: BaseException, **names: str) -> None:
        self.ending.clean = False
        _log.error(what, **names, error=str(error) or type(error).__name__)

    async def grace(self, work: Collection["asyncio.Task[Any]"], seconds: float) -> float:
        """See `App`."""
        return await self.ending.grace(work, seconds)


def config_source(path: str | None, environment: Mapping[str, str]) -> ConfigSource:
    """The configuration of this process: the named file, else that of `TAVERNKEEP_CONFIG`, else `config.json` here, if there is one.

    Raises:
        ConfigError: The file cannot be read, or was named and is not there.
    """
    named = path or environment.get("TAVERNKEEP_CONFIG")
    return ConfigSource.read(Path(named or DEFAULT_CONFIG), environment, must_exist=named is not None)
