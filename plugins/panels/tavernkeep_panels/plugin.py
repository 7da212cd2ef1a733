"""The plugin: panels of projects."""

from tavernkeep import Route, hookimpl
from tavernkeep.contracts.app import App
from tavernkeep_files.contracts import Files
from tavernkeep_projects.contracts import Projects


class PanelsPlugin:
    """Panels: pages of a project, with files of their own."""

    requires = ("files", "projects")

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        from tavernkeep_panels.routes import PanelRoutes
        from tavernkeep_panels.store import PanelStore

        files = app.services.get(Files)
        return PanelRoutes(PanelStore(files, app.services.get(Projects)), files).routes()
