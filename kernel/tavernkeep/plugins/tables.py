"""What the plugins give, asked for and put into plain tables: each thing with its owner, until that is put out of service."""

import importlib
import re
from collections.abc import Container, Mapping
from functools import partial
from typing import Any, Final

import attrs
import click

from tavernkeep.config.sections import CORE_SECTIONS, ConfigSection, check_section, clashes
from tavernkeep.config.source import ConfigSource
from tavernkeep.contracts.app import App
from tavernkeep.contracts.authoring import Node
from tavernkeep.contracts.bus import EventBus
from tavernkeep.contracts.http import Route, WebSocketMessage
from tavernkeep.contracts.nodes import NodeDefinition, NodeRegistry
from tavernkeep.contracts.plugins import Plugin
from tavernkeep.contracts.storage import ModelSet
from tavernkeep.plugins.installed import Plugins
from tavernkeep.plugins.registrations import KERNEL

_COMMANDS: Final = ("config", "plugins", "version")
_PARAMETER: Final = re.compile(r"\{[^{}]*\}")


@attrs.define(eq=False)
class Tables:
    """What has been collected.

    Attributes:
        routes: What the HTTP surface can do, each with the name of its plugin.
        messages: What clients may send over the WebSocket, by type.
    """

    plugins: Plugins
    nodes: NodeRegistry = attrs.field(factory=NodeRegistry)
    events: EventBus = attrs.field(factory=EventBus)
    routes: list[tuple[str, Route]] = attrs.field(factory=list)
    messages: dict[str, WebSocketMessage] = attrs.field(factory=dict)
    _middleware: list[tuple[Plugin, Any]] = attrs.field(factory=list)
    _defined: dict[str, NodeDefinition] = attrs.field(factory=dict)

    def claim(self, plugin: Plugin, what: str, table: dict[str, Any], key: str, value: Any) -> bool:
        """Put what a plugin gave into a table, until it is put out of service. Where another has it the plugin is put out, or has been."""
        if not plugin.is_active or not self.plugins.claim(plugin, what, lambda: table.pop(key, None)):
            return False
        table[key] = value
        return True

    def commands(self) -> Mapping[str, click.Command]:
        """The commands of the plugins, by name."""
        commands: dict[str, click.Command] = {}
        for name in _COMMANDS:
            self.plugins.registrations.take(KERNEL, f"the command {name!r}")
        for plugin, found in self.plugins.collect("register_commands", click.Command):
            for command in found:
                self.claim(plugin, f"the command {command.name!r}", commands, command.name or "", command)
        return commands

    def models(self) -> dict[str, tuple[Plugin, ModelSet]]:
        """Every plugin's tables, by the name of their app."""
        models: dict[str, tuple[Plugin, ModelSet]] = {}
        for plugin, registered in self.plugins.collect("register_models", ModelSet):
            for found in registered:
                if self.claim(plugin, f"the tables {found.app!r}", models, found.app, (plugin, found)):
                    self.plugins.guarded(plugin, "register_models", importlib.import_module, found.module)
        return models

    def providers(self, app: App, key: str, hook: str) -> dict[str, tuple[Plugin, Any]]:
        """The providers that a key of the configuration can choose among, by name."""
        providers: dict[str, tuple[Plugin, Any]] = {}
        for plugin, provider in self.plugins.call(hook, app=app):
            if name := self.plugins.guarded(plugin, hook, _name_of, provider):
                self.claim(plugin, f"the name {name!r} for {key}", providers, name, (plugin, provider))
        return providers

    def collect_nodes(self, app: App, among: Container[Plugin] | None = None) -> None:
        """Ask the plugins for their node types.

        Args:
            among: Those to ask, later than the others; all when not given.
        """
        if among is None:
            for plugin, wrap in self.plugins.call("node_middleware", app=app):
                self._middleware.append((plugin, wrap))
                self.plugins.registrations.add(plugin.name, partial(self._unwrap, (plugin, wrap)))
        for plugin, nodes in self.plugins.collect("register_nodes", (Node, NodeDefinition), among, app=app):
            for entry in nodes:
                definition = entry.definition if isinstance(entry, Node) else entry
                if self.claim(plugin, f"the node type {definition.full_type!r}", self._defined, definition.full_type, definition):
                    self.plugins.registrations.add(plugin.name, self.nodes.add(self._wrapped(definition), str(plugin)))

    def _unwrap(self, entry: tuple[Plugin, Any]) -> None:
        self._middleware.remove(entry)
        for definition in self._defined.values():
            self.nodes.replace(self._wrapped(definition))

    def _wrapped(self, definition: NodeDefinition) -> NodeDefinition:
        for plugin, wrap in list(self._middleware):
            where = f"node_middleware, for {definition.full_type},"
            definition = self.plugins.guarded(plugin, where, _wrapped_by, wrap, definition) or definition
        return definition

    def collect_sinks(self, app: App) -> None:
        """Let the plugins see what happens."""
        for plugin, sink in self.plugins.call("event_sink", app=app):
            if self.plugins.guarded(plugin, "event_sink", a_function, sink):
                undo = self.events.add_sink(sink, partial(self.plugins.fail, plugin, "event sink"))
                self.plugins.registrations.add(plugin.name, undo)

    def collect_surface(self, app: App) -> None:
        """Ask the plugins for their routes and messages."""
        for plugin, routes in self.plugins.collect("register_routes", Route, app=app):
            for route in routes:
                what = f"{route.method.upper()} {_PARAMETER.sub(_unnamed, route.path).rstrip('/') or '/'}"
                entry = (plugin.name, route)
                if plugin.is_active and self.plugins.claim(plugin, what, partial(self.routes.remove, entry)):
                    self.routes.append(entry)
        for plugin, messages in self.plugins.collect("register_websocket_messages", WebSocketMessage, app=app):
            for message in messages:
                self.claim(plugin, f"the message {message.type!r}", self.messages, message.type, message)


def sections_of(plugins: Plugins, source: ConfigSource) -> list[ConfigSection]:
    """The configuration sections of the plugins. One whose section cannot be read has failed, and of two that have one key the newcomer."""
    sections: list[ConfigSection] = []
    owned = [(section, KERNEL) for section in CORE_SECTIONS]

    def check(section: ConfigSection, plugin: Plugin) -> bool:
        check_section(section)
        source.early(section.path, section.type)  # a mistake in its class shows itself with the operator's values, if at all
        for other, owner in owned:
            if (other in sections or owner == KERNEL) and (keys := clashes(section, other)):
                plugins.registrations.settle(f"the configuration key {keys[0]!r}", owner, plugin.name)
        return True

    for plugin, registered in plugins.collect("register_config", ConfigSection):
        for section in registered:
            if not plugins.guarded(plugin, "register_config", check, section, plugin):
                break
            sections.append(section)
            owned.append((section, plugin.name))
            plugins.registrations.add(plugin.name, partial(sections.remove, section))
    return sections


def _name_of(provider: Any) -> str:
    if isinstance(name := getattr(provider, "name", None), str) and name:
        return name
    raise TypeError("the provider has no name for the configuration to choose it by")


def a_function(given: Any) -> Any:
    """What a plugin gave where a function is wanted.

    Raises:
        TypeError: It is none.
    """
    if not callable(given):
        raise TypeError(f"gave {given!r}, expected a function")
    return given


def _wrapped_by(wrap: Any, definition: NodeDefinition) -> NodeDefinition:
    modes = {
        key: attrs.evolve(mode, execute=a_function(wrap(definition, mode.execute))) if mode.execute else mode
        for key, mode in definition.modes.items()
    }
    execute = a_function(wrap(definition, definition.execute)) if definition.execute else None
    return attrs.evolve(definition, execute=execute, modes=modes)


def _unnamed(parameter: re.Match[str]) -> str:
    return "{:path}" if parameter[0].endswith(":path}") else "{}"
