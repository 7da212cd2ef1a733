"""The plugin: panels of projects."""

from tavernkeep import ConfigSection, Route, Services, hookimpl
from tavernkeep.contracts.app import App
from tavernkeep_files.contracts import Files
from tavernkeep_projects.contracts import Ownership, Projects


class PanelsPlugin:
    """Panels: pages of a project, with files of their own."""

    requires = ("files", "projects")

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        from tavernkeep_panels.config import PanelsConfig

        return [ConfigSection("panels", PanelsConfig)]

    @hookimpl
    def register_services(self, app: App, services: Services, owner: str) -> None:
        from tavernkeep_panels.config import PanelsConfig
        from tavernkeep_panels.origin import OwnPanels

        chosen = app.config.section(PanelsConfig).same_origin
        if chosen == "own" or (chosen is None and app.config.auth_provider == "local"):
            files = services.get(Files)
            app.plugins.undo_with(owner, files.add_page_rule(OwnPanels(files, services.get(Ownership))))

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        from tavernkeep_panels.routes import PanelRoutes
        from tavernkeep_panels.store import PanelStore

        files = app.services.get(Files)
        return PanelRoutes(PanelStore(files, app.services.get(Projects)), files).routes()
