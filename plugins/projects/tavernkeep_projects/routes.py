"""`/api/projects…` and `/api/workflows…`."""

import contextlib
from typing import Any

import attrs

from tavernkeep import ApiError, Request, Response, Route, UserContext
from tavernkeep.contracts.auth import AuditLog
from tavernkeep.contracts.execution import EXECUTE, Scheduler, Submission
from tavernkeep.contracts.workflow import StoredWorkflow
from tavernkeep.finish import finishing
from tavernkeep.wire import Invalid, Problem, dumps, loads, structure
from tavernkeep_accounts.contracts import Accounts
from tavernkeep_projects.bodies import (
    Interface,
    NewProject,
    ProjectChanges,
    ProjectShown,
    RunRequest,
    ShareBody,
    ShareInfo,
    ShareList,
    ShareQuery,
    Started,
    WorkflowShort,
    WorkflowShown,
)
from tavernkeep_projects.contracts import PROJECTS, READ, SHARE, WRITE
from tavernkeep_projects.sharing import EVERYBODY, Shares
from tavernkeep_projects.store import Json, ProjectStore


@attrs.frozen
class ProjectRoutes:
    """The handlers; each does what its route says."""

    store: ProjectStore
    scheduler: Scheduler
    shares: Shares

    def routes(self) -> list[Route]:
        """The routes."""
        gone = {404: "There is no such project or workflow.", 400: "The id is no safe one."}
        taken = {409: "There is one already."}
        stale = {412: "It has changed since `If-Match`."}
        one, workflow = "/api/projects/{project_id}", "/api/projects/{project_id}/workflows/{workflow_id}"
        return [
            Route("GET", "/api/projects", self.projects, READ, answers=list[ProjectShown]),
            Route("POST", "/api/projects", self.create, WRITE, answers=ProjectShown, status=201, errors=taken),
            Route("GET", one + "/metadata", self.metadata, READ, answers=ProjectShown, errors=gone, resource="project_id"),
            Route("PUT", one, self.update, WRITE, answers=ProjectShown, errors=gone | stale, resource="project_id"),
            Route("DELETE", one, self.delete, WRITE, errors=gone, resource="project_id"),
            Route("GET", one + "/workflows", self.workflows, READ, answers=list[WorkflowShort], errors=gone, resource="project_id"),
            Route(
                "POST",
                one + "/workflows",
                self.create_workflow,
                WRITE,
                answers=WorkflowShown,
                status=201,
                errors=gone | taken,
                resource="project_id",
            ),
            Route("GET", workflow, self.workflow, READ, errors=gone, resource="project_id"),
            Route("PUT", workflow, self.update_workflow, WRITE, errors=gone | taken | stale, resource="project_id"),
            Route("DELETE", workflow, self.delete_workflow, WRITE, errors=gone, resource="project_id"),
            Route(
                "POST",
                workflow + "/run",
                self.run,
                EXECUTE,
                errors=gone | {503: "There is no room."},
                resource=("project_id", "workflow_id"),
            ),
            Route("GET", "/api/workflows", self.library, READ, answers=list[WorkflowShort]),
            Route("GET", "/api/workflows/{workflow_id}", self.library_workflow, READ, errors=gone),
        ]

    async def projects(self, user: UserContext) -> list[dict[str, Any]]:
        """The user's projects, and those that are shared with them, which say so in `sharedAs`."""
        found = await self.store.projects(user)
        for project_id, writable in self.shares.with_user(user).items():
            with contextlib.suppress(ApiError):
                found.append({**await self.store.metadata(project_id, user), "sharedAs": "write" if writable else "read"})
        return found

    async def create(self, body: NewProject, user: UserContext) -> dict[str, Any]:
        """Make a project."""
        return await self.store.create(body.name, body.description, user)

    async def metadata(self, project_id: str, user: UserContext) -> Response:
        """A project's metadata."""
        return tagged(await self.store.metadata(project_id, user))

    async def update(self, project_id: str, body: dict[str, Any], request: Request, user: UserContext) -> Response:
        """Change a project's metadata; `If-Match` with the old `updatedAt` is honoured."""
        structure(body, ProjectChanges)
        return tagged(await self.store.update(project_id, body, request.headers.get("if-match"), user))

    @finishing
    async def delete(self, project_id: str, user: UserContext) -> None:
        """Move a project to the recycle bin."""
        await self.store.recycle(project_id, user)
        await self.shares.withdraw(project_id, user)

    async def workflows(self, project_id: str, user: UserContext) -> list[dict[str, Any]]:
        """The workflows of a project."""
        return await self.store.workflows(project_id, user)

    async def create_workflow(self, project_id: str, body: dict[str, Any], user: UserContext) -> dict[str, Any]:
        """Store a new workflow in a project; of an execution payload the stored form."""
        stored = self.store.in_form(body)
        structure(stored, Interface)
        return await self.store.create_workflow(project_id, stored, user)

    async def workflow(self, project_id: str, workflow_id: str, user: UserContext) -> Response:
        """A workflow of a project, as it was stored."""
        return tagged(await self.store.workflow(project_id, workflow_id, user))

    async def update_workflow(
        self, project_id: str, workflow_id: str, body: dict[str, Any], request: Request, user: UserContext
    ) -> Response:
        """Store a workflow anew; `If-Match` with the old `updatedAt` is honoured."""
        stored = self.store.in_form(body)
        structure(stored, Interface)
        if body.get("id") not in (None, workflow_id):
            raise ApiError(400, f"The workflow's id is {body['id']!r}, and not {workflow_id!r}.")
        return tagged(await self.store.update_workflow(project_id, workflow_id, stored, request.headers.get("if-match"), user))

    async def delete_workflow(self, project_id: str, workflow_id: str, user: UserContext) -> None:
        """Move a workflow to the recycle bin."""
        await self.store.recycle_workflow(project_id, workflow_id, user)

    async def run(self, project_id: str, workflow_id: str, request: Request, user: UserContext) -> Started:
        """Run a stored workflow, with values for its inputs."""
        data = await request.body()
        options = structure(loads(data), RunRequest) if data else RunRequest()
        stored = structure(await self.store.workflow(project_id, workflow_id, user), StoredWorkflow)
        try:
            payload = stored.to_payload().with_inputs(options.inputs)
        except KeyError as error:
            known = ", ".join(stored.interface_inputs) or "none"
            raise Invalid([Problem(f"inputs.{error.args[0]}", f"the workflow has no such input; it has: {known}")]) from None
        metadata = {**payload.metadata, "projectId": project_id, "workflowId": workflow_id, "workflowName": stored.name or workflow_id}
        payload = attrs.evolve(payload, metadata=metadata, priority=options.priority, timeout_s=options.timeout_s)
        return Started(await self.scheduler.submit(Submission(payload, user)))

    async def library(self, user: UserContext) -> list[dict[str, Any]]:
        """The workflows of the shared library."""
        return await self.store.library(user)

    async def library_workflow(self, workflow_id: str, user: UserContext) -> dict[str, Any]:
        """A workflow of the shared library."""
        return await self.store.library_workflow(workflow_id, user)


def tagged(content: Json) -> Response:
    """An answer with its `updatedAt` as its tag, for `If-Match`."""
    headers = {"ETag": f'"{content["updatedAt"]}"'} if isinstance(content.get("updatedAt"), str) else {}
    return Response(dumps(content), "application/json", headers=headers)


@attrs.frozen
class ShareRoutes:
    """The handlers; each does what its route says."""

    store: ProjectStore
    shares: Shares
    accounts: Accounts
    audit: AuditLog

    def routes(self) -> list[Route]:
        """The routes."""
        path, gone = "/api/projects/{project_id}/shares", {404: "There is no such project, or no such user.", 400: "The id is no safe one."}
        return [
            Route("GET", path, self.listed, SHARE, resource="project_id", errors=gone),
            Route("PUT", path, self.share, SHARE, resource="project_id", errors=gone),
            Route("DELETE", path, self.withdraw, SHARE, resource="project_id", errors=gone),
        ]

    async def listed(self, project_id: str, user: UserContext) -> ShareList:
        """With whom a project of one's own is shared."""
        await self._own(project_id, user)
        found = []
        for grantee, writable in sorted(self.shares.of(project_id, user).items()):
            account = await self.accounts.get(grantee) if grantee else None
            if account is not None or not grantee:
                found.append(ShareInfo("write" if writable else "read", account.username if account else None))
        return ShareList(found)

    async def share(self, project_id: str, body: ShareBody, user: UserContext) -> ShareList:
        """Share a project of one's own with a user, or with everybody, to read or to change."""
        await self._own(project_id, user)
        grantee = await self._uid(body.username)
        await self.shares.grant(project_id, user, grantee, body.access == "write")
        self.audit.note("project.shared", user, target=project_id, grantee=grantee or "everybody", access=body.access)
        return await self.listed(project_id, user)

    async def withdraw(self, project_id: str, query: ShareQuery, user: UserContext) -> None:
        """Share it no longer."""
        await self._own(project_id, user)
        grantee = await self._uid(query.username)
        if not await self.shares.withdraw(project_id, user, grantee):
            raise ApiError(404, "It is not shared so.")
        self.audit.note("project.unshared", user, target=project_id, grantee=grantee or "everybody")

    async def _own(self, project_id: str, user: UserContext) -> None:
        await self.store.metadata(project_id, user)
        if self.shares.resolve(PROJECTS / project_id, user) is not None:
            raise ApiError(403, "Only its owner shares a project.")

    async def _uid(self, username: str | None) -> str:
        if username is None:
            return EVERYBODY
        account = await self.accounts.find(username)
        if account is None:
            raise ApiError(404, f"There is no user {username!r}.")
        return account.uid
