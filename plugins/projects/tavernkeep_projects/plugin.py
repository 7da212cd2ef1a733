"""The plugin: stored workflows as a service."""

from tavernkeep import Services, hookimpl
from tavernkeep.workflow import WorkflowSource
from tavernkeep_files.contracts import Files
from tavernkeep_projects.workflows import StoredWorkflows


class ProjectsPlugin:
    """Projects and workflow files."""

    requires = ("files",)

    @hookimpl
    def register_services(self, services: Services, owner: str) -> None:
        source = StoredWorkflows(services.get(Files))  # type: ignore[type-abstract]
        services.add(WorkflowSource, source, owner=owner)  # type: ignore[type-abstract]
