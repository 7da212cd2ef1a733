"""How a plugin is shown."""

from tavernkeep.app import Application
from tavernkeep.config import ConfigSource
from tavernkeep_plugin_admin.bodies import PluginInfo, PluginsQuery
from tavernkeep_plugin_admin.plugin import PluginAdmin


async def test_each_plugin_is_shown_with_what_became_of_it(tmp_path: object) -> None:
    """A disabled one with the reason, an active one with its nodes."""
    app = Application.load(ConfigSource.read(tmp_path / "config.json", {"TAVERNKEEP_PLUGINS__DISABLED": "nodes_io"}))  # type: ignore[operator]
    app.collect_nodes()
    routes = {route.path: route for route in PluginAdmin().register_routes(app)}
    plugins: dict[str, PluginInfo] = {plugin.name: plugin for plugin in await routes["/api/plugins"].handler(PluginsQuery())}
    assert (plugins["nodes_io"].is_enabled, plugins["nodes_io"].error) == (False, "disabled by plugins.disabled")
    assert "core:TextMerge" in plugins["nodes_utility"].provides
    assert plugins["nodes_utility"].display_name == "Nodes utility"
    nodes = await routes["/api/nodes"].handler()
    assert {"core:TextMerge"} <= {f"{node['namespace']}:{node['type']}" for node in nodes}
    assert not [node for node in nodes if node["type"] == "GroupInput"]
