"""Projects and their workflows, as folders and files."""

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import structlog

from tavernkeep import ApiError, UserContext
from tavernkeep.clock import Clock, now
from tavernkeep.contracts.plugins import Plugin
from tavernkeep.contracts.workflow import meant_by
from tavernkeep.finish import finishing
from tavernkeep.wire import Invalid, dumps, iso, loads
from tavernkeep_engine.contracts import WorkflowForms
from tavernkeep_files.contracts import RECYCLED, Files, LogicalPath, PathError
from tavernkeep_projects.contracts import PROJECTS

_log = structlog.get_logger(__name__)

Json = dict[str, Any]
LIBRARY: Final = LogicalPath.parse("shared://library/workflows/")
_METADATA: Final = "project.json"
_WORKFLOWS: Final = "workflows"
_FIXED: Final = ("id", "createdAt")
_LATER: Final = timedelta(milliseconds=1)  # the least that the times tell apart


@attrs.define
class ProjectStore:
    """Reads and writes projects.

    One lock for all writes to a user's projects: a check (is the name taken? is this still the version that was read?) and the write that
    follows it are one step, and a project is nothing that many write at once.

    Attributes:
        find_forms: Gives what reads workflows in other forms than the stored one, where something does.
        first_workflows: What a new project begins with, by whose plugin it is.
    """

    files: Files
    clock: Clock = now
    first_workflows: Sequence[tuple[Plugin, Sequence[Json]]] = attrs.field(default=(), repr=False)
    find_forms: Callable[[], WorkflowForms | None] = lambda: None
    _locks: dict[str, asyncio.Lock] = attrs.field(factory=dict)

    def lock(self, user: UserContext, project_id: str = "") -> asyncio.Lock:
        """The lock of a user's projects, or, for one that is shared with them (`ID@OWNER`), of its owner's."""
        return self._locks.setdefault(project_id.rpartition("@")[2] if "@" in project_id else user.uid, asyncio.Lock())

    # Projects

    async def projects(self, user: UserContext) -> list[Json]:
        """The metadata of every project, by name; broken ones are left out and logged."""
        root = self.files.locate(PROJECTS, user).path
        found = []
        for folder in await asyncio.to_thread(lambda: sorted(path for path in root.glob("*") if path.is_dir())):
            with contextlib.suppress(ApiError):
                found.append(await self.metadata(folder.name, user))
        return found

    def _folder(self, project_id: str) -> LogicalPath:
        return PROJECTS / project_id

    async def metadata(self, project_id: str, user: UserContext) -> Json:
        """A project's metadata.

        Raises:
            ApiError: 404, there is none, or its metadata are broken.
        """
        content = await self._json(self._folder(project_id) / _METADATA, user)
        if content is None:
            raise ApiError(404, f"There is no project {project_id!r}.")
        if not isinstance(content.get("name"), str):
            _log.warning("project is left out: its metadata have no name", project=project_id, user=user.uid)
            raise ApiError(404, f"There is no project {project_id!r}: its metadata are broken.")
        defaults = {
            "version": "1.0.0",
            "createdAt": "",
            "updatedAt": "",
            "preferredView": "editor",
            "schemaVersion": "1.0",
            "enableChatPage": True,
            "description": "",
        }
        return {**defaults, **content, "id": project_id}

    @finishing
    async def create(self, name: str, description: str | None, user: UserContext) -> Json:
        """Make a project.

        Raises:
            ApiError: 409, there is one of that name.
        """
        project_id = self.files.safe_name(name)
        folder = self._folder(project_id)
        async with self.lock(user, project_id):
            if await asyncio.to_thread(self.files.locate(folder, user, write=True).path.exists):
                raise ApiError(409, f"There is a project {project_id!r} already.")
            moment = iso(self.clock())
            metadata: Json = {
                "id": project_id,
                "name": name,
                "version": "1.0.0",
                "createdAt": moment,
                "updatedAt": moment,
                "preferredView": "editor",
                "schemaVersion": "1.0",
                "enableChatPage": True,  # nothing in the front end can switch it on
                "description": description or "",
            }
            async with self.files.making(folder, user) as place:
                await self.files.write(folder / _METADATA, dumps(metadata), user)
                await asyncio.to_thread((place / _WORKFLOWS).mkdir, exist_ok=True)
                for workflow in (one for plugin, workflows in self.first_workflows if plugin.is_active for one in workflows):
                    made = completed({**workflow, "createdAt": moment, "updatedAt": moment})
                    await self.files.write(folder / _WORKFLOWS / f"{self.files.safe_name(made['name'])}.json", dumps(made), user)
        return metadata

    @finishing
    async def update(self, project_id: str, changes: Json, if_match: str | None, user: UserContext) -> Json:
        """Change metadata.

        Raises:
            ApiError: 404, there is no such project; 412, it has changed since `if_match`.
        """
        async with self.lock(user, project_id):
            metadata = await self.metadata(project_id, user)
            check_match(metadata, if_match)
            kept = {key: value for key, value in changes.items() if key not in _FIXED}
            metadata |= kept | {"updatedAt": self._moment(metadata)}
            await self.files.write(self._folder(project_id) / _METADATA, dumps(metadata), user)
        return metadata

    @finishing
    async def recycle(self, project_id: str, user: UserContext) -> None:
        """Move a project to the recycle bin.

        Raises:
            ApiError: 404, there is none.
        """
        async with self.lock(user, project_id):
            source = self.files.locate(self._folder(project_id), user, write=True)
            if not await asyncio.to_thread((source.path / _METADATA).is_file):
                raise ApiError(404, f"There is no project {project_id!r}.")
            await self.files.recycle(source.path, RECYCLED, f"{RECYCLED}/{project_id}", user)

    # Workflows

    def in_form(self, content: Json) -> Json:
        """A stored workflow, also of an execution payload. Raises `Invalid` for another program's, by its name."""
        forms = self.find_forms()
        return content if forms is None else forms.stored(content)

    async def _json(self, path: LogicalPath, user: UserContext) -> Json | None:
        try:
            content = loads(await self.files.read(path, user))
        except PathError as error:
            if error.status == 404:
                return None
            raise
        except Invalid as invalid:
            _log.warning("file is left out: it is no JSON", path=str(path), user=user.uid, problem=str(invalid))
            return {}
        return content if isinstance(content, dict) else {}

    async def _stored(self, folder: LogicalPath, user: UserContext) -> list[tuple[Path, Json]]:
        located = self.files.locate(folder, user)
        return await asyncio.to_thread(lambda: list(workflow_files(located.path)))

    async def workflows(self, project_id: str, user: UserContext) -> list[Json]:
        """The workflows of a project, in short, by name."""
        await self.metadata(project_id, user)
        stored = await self._stored(self._folder(project_id) / _WORKFLOWS, user)
        return [in_short(path, content) for path, content in stored]

    async def library(self, user: UserContext) -> list[Json]:
        """The workflows of the shared library: id and name."""
        return [
            {"id": content.get("id", path.stem), "name": content.get("name", path.stem)}
            for path, content in await self._stored(LIBRARY, user)
        ]

    async def library_workflow(self, workflow_id: str, user: UserContext) -> Json:
        """A workflow of the shared library.

        Raises:
            ApiError: 404, there is none.
        """
        return (await self._find(LIBRARY, workflow_id, user))[1]

    async def _find(self, folder: LogicalPath, workflow_id: str, user: UserContext) -> tuple[Path, Json]:
        for path, content in await self._stored(folder, user):
            if content.get("id", path.stem) == workflow_id:
                return path, completed({**self.in_form(content), "id": workflow_id})
        raise ApiError(404, f"There is no workflow {workflow_id!r}.")

    async def workflow(self, project_id: str, workflow_id: str, user: UserContext) -> Json:
        """A workflow of a project.

        Raises:
            ApiError: 404, there is none.
        """
        await self.metadata(project_id, user)
        return (await self._find(self._folder(project_id) / _WORKFLOWS, workflow_id, user))[1]

    @finishing
    async def create_workflow(self, project_id: str, content: Json, user: UserContext) -> Json:
        """Store a new workflow.

        Raises:
            ApiError: 404, there is no such project; 409, it has a workflow of that name or id.
        """
        async with self.lock(user, project_id):
            await self.metadata(project_id, user)
            folder = self._folder(project_id) / _WORKFLOWS
            stored = await self._stored(folder, user)
            workflow_id = content.get("id") or str(uuid.uuid4())
            if any(other.get("id", path.stem) == workflow_id for path, other in stored):
                raise ApiError(409, f"There is a workflow with the id {workflow_id!r} already.")
            target = self._target(folder, content["name"], None, stored)
            moment = iso(self.clock())
            made = {**content, "id": workflow_id, "createdAt": moment, "updatedAt": moment, "version": content.get("version") or "1.0.0"}
            made = completed(made)
            await self.files.write(target, dumps(made), user)
            await self._touch(project_id, user)
        return made

    @finishing
    async def update_workflow(self, project_id: str, workflow_id: str, content: Json, if_match: str | None, user: UserContext) -> Json:
        """Store a workflow anew; with another name its file is renamed. Groups that refer to it get its new interface.

        Raises:
            ApiError: 404, there is none; 409, another one has the name; 412, it has changed since `if_match`.
        """
        async with self.lock(user, project_id):
            await self.metadata(project_id, user)
            folder = self._folder(project_id) / _WORKFLOWS
            path, before = await self._find(folder, workflow_id, user)
            check_match(before, if_match)
            target = self._target(folder, content["name"], path, await self._stored(folder, user))
            made = {**content, "id": workflow_id, "updatedAt": self._moment(before)}
            if before.get("createdAt"):
                made["createdAt"] = before["createdAt"]
            made.setdefault("version", before.get("version", "1.0.0"))
            made = completed(made)
            moves = target.name != path.name
            try:
                await self.files.write(target, dumps(made), user)
                if moves:
                    await asyncio.to_thread(path.unlink, missing_ok=True)
            except BaseException:
                if moves and await asyncio.to_thread(path.exists):  # there are not to be two of one id
                    await asyncio.to_thread(self.files.locate(target, user, write=True).path.unlink, missing_ok=True)
                raise
            await self._pass_interface_on(folder, made, user)
            await self._touch(project_id, user)
        return made

    async def _touch(self, project_id: str, user: UserContext) -> None:
        """Something in a project has changed: who lists projects sorts them by when."""
        try:
            metadata = self._folder(project_id) / _METADATA
            if content := await self._json(metadata, user):
                await self.files.write(metadata, dumps(content | {"updatedAt": self._moment(content)}), user)
        except (ApiError, OSError) as error:  # what was to be stored is
            _log.warning("it could not be noted when a project was changed", project=project_id, problem=str(error))

    def _target(self, folder: LogicalPath, name: str, own: Path | None, stored: list[tuple[Path, Json]]) -> LogicalPath:
        file = f"{self.files.safe_name(name)}.json"
        for path, content in stored:
            if path != own and (path.name.casefold() == file.casefold() or content.get("name") == name):
                raise ApiError(409, f"There is a workflow called {name!r} already.")
        return folder / file

    async def _pass_interface_on(self, folder: LogicalPath, changed: Json, user: UserContext) -> None:
        """Tell the groups that refer to a workflow of its interface; a workflow whose groups know it already stays as it is."""
        interface = {"inputs": changed["interfaceInputs"], "outputs": changed["interfaceOutputs"]}
        for path, content in await self._stored(folder, user):
            if content.get("id", path.stem) == changed["id"]:
                continue
            groups = [node for node in _nodes(content) if changed["id"] in meant_by(_reference_of(node) or "")]
            stale = [node for node in groups if _data(node).get("groupInterface") != interface]
            for node in stale:
                node["data"] = {**_data(node), "groupInterface": interface}
            if stale:
                content["updatedAt"] = self._moment(content)
                await self.files.write(folder / path.name, dumps(content), user)

    def _moment(self, before: Json) -> str:
        """The time, but never the one of the content before: it is a tag, by which one knows them apart."""
        moment = self.clock()
        told = iso(moment)
        return told if told != before.get("updatedAt") else iso(moment + _LATER)

    @finishing
    async def recycle_workflow(self, project_id: str, workflow_id: str, user: UserContext) -> None:
        """Move a workflow to the recycle bin.

        Raises:
            ApiError: 404, there is none.
        """
        async with self.lock(user, project_id):
            await self.metadata(project_id, user)
            folder = self._folder(project_id) / _WORKFLOWS
            path, _ = await self._find(folder, workflow_id, user)
            located = self.files.locate(folder / path.name, user, write=True)
            if located.parts != located.logical.parts:  # it is shared, and its owner is who may want it back
                project_id, _, owner = project_id.rpartition("@")
                user = attrs.evolve(user, uid=owner)
            bin_ = RECYCLED / project_id / _WORKFLOWS
            await self.files.recycle(path, bin_, f"{bin_}/{path.stem}", user)


def workflow_files(folder: Path) -> Iterator[tuple[Path, Json]]:
    """The workflows of a folder; what is none is left out and logged."""
    for path in sorted(folder.glob("*.json")):
        try:
            content = loads(path.read_bytes())
        except (Invalid, OSError) as error:
            _log.warning("workflow is left out", path=path.name, problem=str(error))
            continue
        if isinstance(content, dict):
            yield path, content


def completed(content: Json) -> Json:
    """A workflow with everything that the editor reads of it, also where whoever stored it left that out."""
    interfaces = {key: content.get(key) or {} for key in ("interfaceInputs", "interfaceOutputs")}
    return {**content, **interfaces, "referencedWorkflows": _referenced(content)}


def _referenced(content: Json) -> list[str]:
    """The ids of the workflows that its groups refer to, each once, in their order."""
    return list(dict.fromkeys(meant_by(reference)[-1] for reference in map(_reference_of, _nodes(content)) if reference))


def _nodes(content: Json) -> list[Json]:
    nodes = content.get("nodes")
    return [node for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []


def _data(node: Json) -> Json:
    data = node.get("data")
    return data if isinstance(data, dict) else {}


def _reference_of(node: Json) -> str | None:
    if node.get("type") != "core:NodeGroup":
        return None
    config = node.get("configValues")
    reference = config.get("referencedWorkflowId") if isinstance(config, dict) else None
    return reference if isinstance(reference, str) and reference else None


def in_short(path: Path, content: Json) -> Json:
    """A workflow as lists show it."""
    shown = {"id": content.get("id", path.stem), "name": content.get("name", path.stem), "referencedWorkflows": _referenced(content)}
    for key in ("description", "updatedAt", "creationMethod"):
        if content.get(key) is not None:
            shown[key] = content[key]
    return shown


def check_match(content: Json, if_match: str | None) -> None:
    """Hold a write back that does not know the last one.

    Raises:
        ApiError: 412, the content is not that which was read.
    """
    if if_match is None or if_match.strip() == "*":
        return
    wanted = {tag.strip().removeprefix("W/").strip('"') for tag in if_match.split(",")}
    if content.get("updatedAt") not in wanted:
        raise ApiError(412, "It has changed since it was read.", {"updatedAt": content.get("updatedAt")})
