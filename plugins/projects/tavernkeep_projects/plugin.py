"""The plugin: projects and workflow files, over HTTP and as services."""

from typing import TYPE_CHECKING

from tavernkeep import Route, Services, hookimpl
from tavernkeep.app import App
from tavernkeep.workflow import WorkflowSource
from tavernkeep_files.contracts import Files
from tavernkeep_projects.contracts import Projects

if TYPE_CHECKING:
    from tavernkeep_projects.store import ProjectStore


class ProjectsPlugin:
    """Projects and workflow files."""

    requires = ("files",)

    def __init__(self) -> None:
        self._store: ProjectStore | None = None

    @hookimpl
    def register_services(self, services: Services, owner: str) -> None:
        from tavernkeep_projects.store import ProjectStore
        from tavernkeep_projects.workflows import StoredWorkflows

        files = services.get(Files)
        self._store = ProjectStore(files)
        services.add(Projects, self._store, owner=owner)
        services.add(WorkflowSource, StoredWorkflows(files), owner=owner)

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        from tavernkeep_projects.routes import ProjectRoutes

        assert self._store is not None, "services are registered before routes"
        return ProjectRoutes(self._store, app.scheduler).routes()
