"""The plugin: projects and workflow files, over HTTP and as services."""

from pathlib import Path
from typing import TYPE_CHECKING

from tavernkeep import ModelSet, Route, Services, hookimpl
from tavernkeep.contracts.app import App
from tavernkeep.contracts.auth import AuditLog
from tavernkeep.contracts.execution import Scheduler
from tavernkeep.contracts.storage import Storage
from tavernkeep.contracts.workflow import WorkflowSource
from tavernkeep_accounts.contracts import Accounts
from tavernkeep_engine.contracts import WorkflowForms
from tavernkeep_files.contracts import Files
from tavernkeep_projects import hookspecs
from tavernkeep_projects.contracts import Ownership, Projects

if TYPE_CHECKING:
    from tavernkeep_projects.sharing import Shares
    from tavernkeep_projects.store import ProjectStore


class ProjectsPlugin:
    """Projects and workflow files, and sharing them."""

    requires = ("accounts", "files")

    def __init__(self) -> None:
        self._store: ProjectStore | None = None
        self._shares: Shares | None = None

    @hookimpl
    def register_hookspecs(self) -> list[object]:
        return [hookspecs]

    @hookimpl
    def register_models(self) -> list[ModelSet]:
        return [ModelSet("projects", "tavernkeep_projects.models", Path(__file__).parent / "migrations")]

    @hookimpl
    def register_services(self, app: App, services: Services, owner: str) -> None:
        from tavernkeep_projects.sharing import Shares
        from tavernkeep_projects.store import ProjectStore
        from tavernkeep_projects.workflows import StoredWorkflows

        files = services.get(Files)
        self._store, self._shares = (
            ProjectStore(files, find_forms=lambda: services.find(WorkflowForms)),
            Shares(files, services.get(Storage)),
        )
        app.plugins.undo_with(owner, files.add_resolver(self._shares.resolve))
        services.add(Projects, self._store, owner=owner)
        services.add(Ownership, self._shares, owner=owner)
        services.add(WorkflowSource, StoredWorkflows(files, self._store.in_form), owner=owner)

    @hookimpl
    async def startup(self) -> None:
        if self._shares is not None:
            await self._shares.load()

    @hookimpl(optionalhook=True)
    async def hand_over(self, source: str, target: str) -> list[str]:
        from tavernkeep_projects.models import ProjectShare

        await ProjectShare.filter(owner=source).update(owner=target)
        known = {(row.owner, row.project_id) for row in await ProjectShare.filter(grantee=target)}
        for row in await ProjectShare.filter(grantee=source):
            if (row.owner, row.project_id) in known or row.owner == target:
                await row.delete()
            else:
                await ProjectShare.filter(id=row.id).update(grantee=target)
        return []

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        from tavernkeep_projects.routes import ProjectRoutes, ShareRoutes

        assert self._store is not None, "services are registered before routes"
        assert self._shares is not None, "services are registered before routes"
        self._store.first_workflows = tuple(app.plugins.collect("first_workflows", dict, app=app))
        shares = ShareRoutes(self._store, self._shares, app.services.get(Accounts), app.services.get(AuditLog))
        return [*ProjectRoutes(self._store, app.services.get(Scheduler), self._shares).routes(), *shares.routes()]
