"""The plugin: node types and plugins over HTTP."""

from pathlib import Path

import click

from tavernkeep import ModelSet, Route, hookimpl
from tavernkeep.contracts.app import App


class PluginAdmin:
    """What is installed: node types and plugins, over HTTP."""

    @hookimpl
    def register_models(self) -> list[ModelSet]:
        return [ModelSet("plugin_admin", "tavernkeep_plugin_admin.models", Path(__file__).parent / "migrations")]

    @hookimpl(optionalhook=True)
    async def hand_over(self, source: str, target: str) -> list[str]:
        from tavernkeep_plugin_admin.models import PluginSettings

        known = {row.plugin for row in await PluginSettings.filter(user_id=target)}
        await PluginSettings.filter(user_id=source).exclude(plugin__in=known).update(user_id=target)
        return [f"settings of {row.plugin} stay: there are some" for row in await PluginSettings.filter(user_id=source)]

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        from tavernkeep_plugin_admin.command import nodes

        return [nodes]

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        from tavernkeep_plugin_admin.configured import ConfiguredPlugins
        from tavernkeep_plugin_admin.routes import AdminRoutes

        return AdminRoutes(app, ConfiguredPlugins.of(app.config.file)).routes()
