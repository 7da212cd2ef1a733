"""The plugin: `GET /api/nodes` and `GET /api/plugins`."""

from typing import Any, Final

import attrs

from tavernkeep import Route, hookimpl
from tavernkeep.app import App
from tavernkeep.nodes import humanized
from tavernkeep.plugins import Plugin, PluginStatus

_READ: Final = "nodes:read"


@attrs.frozen
class PluginInfo:
    """An installed plugin.

    Attributes:
        status: `active`, `disabled`, `failed` or `unavailable`.
        error: Why it is not active.
        distribution: The package that it comes from.
        provides: The node types that it defines.
    """

    name: str
    display_name: str
    version: str
    is_enabled: bool
    status: str
    distribution: str
    provides: list[str]
    description: str | None = None
    error: str | None = None


@attrs.frozen
class _Handlers:
    app: App

    async def nodes(self) -> list[dict[str, Any]]:
        """Every node type, as editors need it."""
        return [definition.to_wire() for definition in self.app.nodes]

    async def plugins(self) -> list[PluginInfo]:
        """Every installed plugin, and what became of it."""
        return [self._info(plugin) for plugin in self.app.plugins]

    def _info(self, plugin: Plugin) -> PluginInfo:
        owner = str(plugin)
        provides = [node.full_type for node in self.app.nodes if self.app.nodes.owner_of(node.full_type) == owner]
        return PluginInfo(
            name=plugin.name,
            display_name=humanized(plugin.name),
            version=plugin.version,
            is_enabled=plugin.status is not PluginStatus.DISABLED,
            status=plugin.status.value,
            distribution=plugin.distribution,
            provides=sorted(provides),
            description=plugin.description or None,
            error=plugin.error,
        )


class PluginAdmin:
    """What is installed: node types and plugins, over HTTP."""

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        handlers = _Handlers(app)
        return [
            Route("GET", "/api/nodes", handlers.nodes, _READ),
            Route("GET", "/api/plugins", handlers.plugins, _READ),
        ]
