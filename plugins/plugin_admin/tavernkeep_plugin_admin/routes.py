"""`/api/nodes…`, `/api/plugins…`, `/plugins/…`."""

import asyncio
import inspect
import mimetypes
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from tavernkeep import ApiError, FileResponse, Route, UserContext
from tavernkeep.config import ConfigError
from tavernkeep.contracts.app import App
from tavernkeep.contracts.events import NodesReloaded, PluginDisabled, PluginEnabled, PluginsReloaded
from tavernkeep.contracts.plugins import Plugin, PluginStatus, Reloaded
from tavernkeep.contracts.storage import Storage
from tavernkeep.plugins.folders import FolderPlugin
from tavernkeep.wire import dumps, unstructure
from tavernkeep_plugin_admin.bodies import Looked, Outcome, PluginInfo, PluginsQuery, PluginState
from tavernkeep_plugin_admin.configured import ConfiguredPlugins, SwitchError, disabled_in
from tavernkeep_plugin_admin.models import PluginSettings
from tavernkeep_plugin_admin.shown import humanized, shown_node

_READ: Final = "nodes:read"
_SETTINGS: Final = "plugins:settings"
_ADMIN: Final = "plugins:admin"
_SCRIPTS: Final = (".js", ".mjs")
_SOURCES: Final = (".py", ".pyc", ".yaml", ".yml")


@attrs.frozen
class AdminRoutes:
    """The handlers; each does what its route says."""

    app: App
    _configured: ConfiguredPlugins
    _switching: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    def routes(self) -> list[Route]:
        """The routes."""
        gone = {404: "There is no such plugin, node type or file."}
        refused = gone | {409: "The server could not start without it, or the configuration file cannot be written."}
        files = gone | {400: "The path is no safe one.", 403: "The path leads elsewhere, or the file is no script."}
        unread = {409: "The configuration file cannot be read."}
        one = "/api/plugins/{name}"
        return [
            Route("GET", "/api/nodes", self.nodes, _READ),
            Route("POST", "/api/nodes/reload", self.reload_nodes, _ADMIN, errors=unread),
            Route("GET", "/api/nodes/{namespace}/{type}/client-script/{path:path}", self.client_script, _READ, errors=files),
            Route("GET", "/api/plugins", self.plugins, _READ),
            Route("POST", "/api/plugins/reload", self.reload_plugins, _ADMIN, errors=unread),
            Route("PUT", one + "/state", self.set_state, _ADMIN, errors=refused),
            Route("GET", one + "/settings", self.settings, _SETTINGS, errors=gone),
            Route("POST", one + "/settings", self.save_settings, _SETTINGS, errors=gone),
            Route("GET", "/plugins/{name}/{path:path}", self.web_file, public=True, errors=files),
        ]

    # Nodes

    async def nodes(self) -> list[dict[str, Any]]:
        """Every node type, as editors need it."""
        shown = []
        for definition in self.app.nodes:
            try:
                node = shown_node(definition)
                dumps(node)
            except Exception as error:  # what one pack says of its nodes must not cost editors those of all
                self._fail_owner_of(definition.full_type, error)
            else:
                shown.append(node)
        return shown

    def _fail_owner_of(self, full_type: str, error: Exception) -> None:
        owner = self.app.nodes.owner_of(full_type)
        for plugin in self.app.plugins:
            if str(plugin) == owner:
                self.app.plugins.fail(plugin, f"the node type {full_type!r}, as editors are shown it,", error)

    async def reload_nodes(self) -> Looked:
        """Look at the plugin folders again, and tell every client of the node types; what was installed since needs a restart."""
        outcome = await self._look_again()
        self._tell_nodes(outcome)
        if outcome.has_changed:
            self._tell_plugins(outcome)
        return _looked(outcome, len(self.app.nodes), "node types")

    async def _look_again(self) -> Reloaded:
        try:
            return await self.app.reload()
        except ConfigError as error:
            raise _refused(str(error)) from None

    def _tell_nodes(self, outcome: Reloaded) -> None:
        count = len(self.app.nodes)
        message = _message(outcome, count, "node types")
        self.app.events.publish(NodesReloaded(not outcome.failed, message, count))

    async def client_script(self, namespace: str, type: str, path: str) -> FileResponse:  # noqa: A002 - the name in the path
        """A script that the editor runs for a node type; only scripts, and only from the node's own package."""
        definition = self.app.nodes.get(f"{namespace}:{type}")
        if definition is None:
            raise ApiError(404, f"There is no node type {namespace}:{type}.")
        if not path.endswith(_SCRIPTS):
            raise ApiError(403, "Only scripts are served here.")
        executes = (definition.execute, *(mode.execute for mode in definition.modes.values()))
        module = next((inspect.getmodule(inspect.unwrap(execute)) for execute in executes if execute is not None), None)
        if module is None or module.__file__ is None:
            raise ApiError(404, f"Node type {namespace}:{type} has no files.")
        root = Path(module.__file__).parent
        return await _own_file(root, path, "text/javascript; charset=utf-8")

    # Plugins

    async def plugins(self, query: PluginsQuery) -> list[PluginInfo]:
        """The plugins that somebody may want to switch off, and those that are off or do not run; with `all` every installed one."""
        needed, disabled = self.app.needed(), await asyncio.to_thread(disabled_in, self.app.config.file)
        found = [(plugin, self._info(plugin, needed, disabled)) for plugin in self.app.plugins]
        return [info for plugin, info in found if query.all or _is_optional(plugin, info)]

    def _info(self, plugin: Plugin, needed: Mapping[str, str], disabled: Container[str]) -> PluginInfo:
        owner = str(plugin)
        provides = [node.full_type for node in self.app.nodes if self.app.nodes.owner_of(node.full_type) == owner]
        display_name, frontend = (getattr(plugin.implementation, name, None) for name in ("display_name", "frontend"))
        return PluginInfo(
            name=plugin.name,
            display_name=display_name if isinstance(display_name, str) and display_name else humanized(plugin.name),
            version=plugin.version,
            is_enabled=plugin.status is not PluginStatus.DISABLED and plugin.name not in disabled,
            status=plugin.status.value,
            distribution=plugin.distribution,
            provides=sorted(provides),
            description=plugin.description or None,
            error=plugin.error,
            needed=needed.get(plugin.name),
            frontend=frontend if isinstance(frontend, dict) else None,
            config_options=_options_of(plugin) or None,
        )

    def _plugin(self, name: str) -> Plugin:
        plugin = self.app.plugins.get(name)
        if plugin is None:
            raise ApiError(404, f"There is no plugin {name!r}.", body={"success": False, "message": f"There is no plugin {name!r}."})
        return plugin

    async def set_state(self, name: str, body: PluginState) -> Outcome:
        """Enable or disable a plugin, in the configuration file. Of a plugin folder it takes effect at once, else at the next start."""
        async with self._switching:
            return await self._switch(self._plugin(name), enabled=body.enabled)

    async def _switch(self, plugin: Plugin, *, enabled: bool) -> Outcome:
        name, file = plugin.name, self.app.config.file
        disabled = [other for other in await asyncio.to_thread(disabled_in, file) if other != name]
        if not enabled:
            if reason := self.app.needed(disabled).get(name):
                raise _refused(f"The server could not start without {name!r}: {reason}.")
            disabled.append(name)
        try:
            await self._configured.switch(name, disabled, enabled=enabled)
        except SwitchError as error:
            raise _refused(str(error)) from None
        at_once = await self.app.switch(plugin, enabled=enabled)
        plugin = self._plugin(name)  # another one where its folder has been loaded
        shown = unstructure(self._info(plugin, self.app.needed(), disabled))
        self.app.events.publish(PluginEnabled(shown) if enabled else PluginDisabled(shown, name))
        if at_once:
            self._tell_nodes(Reloaded())
        message = f"Plugin {name!r} is {'enabled' if enabled else 'disabled'}"
        if not at_once:
            message += "; restart the server for it to take effect"
        elif enabled and not plugin.is_active:
            message += f", and is {plugin.status}: {plugin.error}"
        return Outcome(True, f"{message}.")

    async def reload_plugins(self) -> Looked:
        """Look at the plugin folders again, and tell every client; what was installed since needs a restart."""
        outcome = await self._look_again()
        self._tell_plugins(outcome)
        if outcome.has_changed:
            self._tell_nodes(outcome)
        return _looked(outcome, self._active(), "active plugins")

    def _tell_plugins(self, outcome: Reloaded) -> None:
        count = self._active()
        message = _message(outcome, count, "active plugins")
        self.app.events.publish(PluginsReloaded(message, count))

    def _active(self) -> int:
        return sum(plugin.is_active for plugin in self.app.plugins)

    # Settings and files

    async def settings(self, name: str, user: UserContext) -> dict[str, Any]:
        """A plugin's settings: the defaults of its options, with what the user has set over them."""
        defaults = {option["key"]: option["defaultValue"] for option in _options_of(self._plugin(name)) if "defaultValue" in option}
        saved = await PluginSettings.get_or_none(user_id=user.uid, plugin=name)
        return defaults | (saved.content if saved else {})

    async def save_settings(self, name: str, body: dict[str, Any], user: UserContext) -> Outcome:
        """Save the user's settings of a plugin."""
        self._plugin(name)
        await self.app.services.get(Storage).put(PluginSettings, {"user_id": user.uid, "plugin": name}, {"content": body})
        return Outcome(True, "The settings are saved.")

    async def web_file(self, name: str, path: str) -> FileResponse:
        """A file of a plugin's web folder, `web` beside its module."""
        plugin = self._plugin(name)
        if not plugin.is_active:
            raise ApiError(404, f"Plugin {name!r} is {plugin.status}.")
        implementation = plugin.implementation
        root: Path | None = getattr(implementation, "web_root", None)
        if root is None:
            module = implementation if inspect.ismodule(implementation) else inspect.getmodule(type(implementation))
            if module is None or module.__file__ is None or isinstance(implementation, FolderPlugin):
                raise ApiError(404, f"Plugin {name!r} has no files.")
            root = Path(module.__file__).parent / "web"
        if path.lower().endswith(_SOURCES):
            raise ApiError(403, "The source of a plugin is not served.")
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        return await _own_file(root, path, kind)


def _is_optional(plugin: Plugin, info: PluginInfo) -> bool:
    """Whether somebody may want to switch a plugin off, or on: a node pack, or what the operator added; never what the server stands on."""
    return info.needed is None and (not plugin.in_bundle or bool(info.provides) or not info.is_enabled or plugin.has_failed)


def _refused(message: str) -> ApiError:
    return ApiError(409, message, body={"success": False, "message": message})


def _looked(outcome: Reloaded, count: int, what: str) -> Looked:
    return Looked(
        not outcome.failed,
        _message(outcome, count, what),
        count,
        outcome.loaded,
        outcome.changed,
        outcome.removed,
        dict(outcome.failed),
        outcome.restart,
    )


def _message(outcome: Reloaded, count: int, what: str) -> str:
    """What came of it, for people."""
    said = [f"{count} {what}"]
    for verb, names in (("loaded", outcome.loaded), ("changed", outcome.changed), ("removed", outcome.removed), ("failed", outcome.failed)):
        if names:
            said.append(f"{verb}: {', '.join(names)}")
    if outcome.restart:
        said.append(f"restart the server for {', '.join(outcome.restart)}")
    return "; ".join(said) + "."


def _options_of(plugin: Plugin) -> list[dict[str, Any]]:
    """What a user may set; what a plugin says of it in another form counts as nothing."""
    options = getattr(plugin.implementation, "config_options", ())
    if not isinstance(options, (list, tuple)):
        return []
    return [option for option in options if isinstance(option, dict) and isinstance(option.get("key"), str)]


async def _own_file(root: Path, path: str, kind: str) -> FileResponse:
    def find() -> Path:
        try:
            found = (root / path).resolve()
            inside = found.is_relative_to(root.resolve())
            there = inside and found.is_file()
        except (OSError, ValueError):
            raise ApiError(400, "The path is no safe one.") from None
        if not inside:
            raise ApiError(403, "The path leads elsewhere.")
        if not there:
            raise ApiError(404, f"There is no file {path!r}.")
        return found

    return FileResponse(await asyncio.to_thread(find), kind)
