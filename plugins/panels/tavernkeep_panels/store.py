"""Panels: folders with a `panel.json`, in a project or among the templates, and the files that each keeps."""

import asyncio
import shutil
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any, Final

import attrs
import structlog

from tavernkeep import ApiError, UserContext
from tavernkeep.finish import finishing
from tavernkeep.wire import Invalid, dumps, loads
from tavernkeep_files.contracts import Files, LogicalPath
from tavernkeep_projects.contracts import Projects

_log = structlog.get_logger(__name__)

Json = dict[str, Any]
TEMPLATES: Final = LogicalPath.parse("shared://templates/panels/")
_FILE: Final = "panel.json"
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title><script src="/api/fam/sdk/panel.js"></script></head>
<body><h1>{title}</h1></body>
</html>
"""


@attrs.frozen
class PanelStore:
    """Reads and makes panels."""

    files: Files
    projects: Projects
    _making: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    async def _folder(self, project_id: str, user: UserContext) -> LogicalPath:
        await self.projects.metadata(project_id, user)
        return LogicalPath("user", "", ("projects",)) / project_id

    async def templates(self, user: UserContext) -> list[Json]:
        """The panels to begin with."""
        return await self._panels(TEMPLATES, "shared", user)

    async def of_project(self, project_id: str, user: UserContext) -> list[Json]:
        """A project's panels. Raises `ApiError` 404."""
        return await self._panels(await self._folder(project_id, user) / "ui", "user", user)

    async def _panels(self, folder: LogicalPath, source: str, user: UserContext) -> list[Json]:
        located = self.files.locate(folder, user)
        found = await asyncio.to_thread(lambda: list(_definitions(located.path)))
        return [{**panel, "panelDirectory": str(folder / path.name), "source": source} for path, panel in found]

    async def panel(self, project_id: str, panel_id: str, user: UserContext) -> Json:
        """One panel of a project. Raises `ApiError` 404."""
        for panel in await self.of_project(project_id, user):
            if panel["id"] == panel_id:
                return panel
        raise ApiError(404, f"There is no panel {panel_id!r}.")

    @finishing
    async def create(self, project_id: str, panel_id: str, name: str, template_id: str | None, user: UserContext) -> Json:
        """Make a panel, of a template or afresh; one after the other. Raises `ApiError` 404, 409 and 507."""
        async with self._making:
            return await self._create(project_id, panel_id, name, template_id, user)

    async def _create(self, project_id: str, panel_id: str, name: str, template_id: str | None, user: UserContext) -> Json:
        folder = await self._folder(project_id, user) / "ui" / panel_id
        if await asyncio.to_thread(self.files.locate(folder, user, write=True).path.exists):
            raise ApiError(409, f"There is a panel {panel_id!r} already.")
        template = None
        if template_id is not None:
            template = next((panel for panel in await self.templates(user) if panel["id"] == template_id), None)
            if template is None:
                raise ApiError(404, f"There is no template {template_id!r}.")
        try:
            async with self.files.making(folder, user) as target:
                definition = await self._fill(folder, target, panel_id, name, template, user)
                await self._list_in_project(project_id, panel_id, user)
        except OSError as error:
            raise ApiError(507, f"The panel {panel_id!r} cannot be written: {error.strerror or error}.") from None
        return {**definition, "panelDirectory": str(folder), "source": "user"}

    async def _fill(self, folder: LogicalPath, target: Path, panel_id: str, name: str, template: Json | None, user: UserContext) -> Json:
        definition: Json = {"version": "1.0.0", "uiEntryPoint": "index.html"}
        if template is not None:
            source = self.files.locate(template["panelDirectory"], user).path
            await asyncio.to_thread(shutil.copytree, source, target, symlinks=True)
            definition = {key: value for key, value in template.items() if key not in ("panelDirectory", "source")}
        else:
            page = _PAGE.format(title=escape(name))
            await self.files.write(folder / "index.html", page.encode(), user)
        definition |= {"id": panel_id, "displayName": name}
        await self.files.write(folder / _FILE, dumps(definition), user)
        return definition

    async def _list_in_project(self, project_id: str, panel_id: str, user: UserContext) -> None:
        metadata = await self.projects.metadata(project_id, user)
        panels = [entry for entry in metadata.get("panels") or () if isinstance(entry, dict) and entry.get("id") != panel_id]
        await self.projects.update(project_id, {"panels": [*panels, {"id": panel_id, "path": f"ui/{panel_id}"}]}, None, user)

    async def data_folder(self, project_id: str, panel_id: str, user: UserContext) -> LogicalPath:
        """Where a panel keeps files of its own. Raises `ApiError` 404."""
        return await self._folder(project_id, user) / "panel_data" / panel_id


def _definitions(folder: Path) -> Iterator[tuple[Path, Json]]:
    for path in sorted(folder.glob(f"*/{_FILE}")):
        try:
            content = loads(path.read_bytes())
        except (Invalid, OSError) as error:
            _log.warning("panel is left out", panel=path.parent.name, problem=str(error))
            continue
        if isinstance(content, dict) and not path.parent.is_symlink():
            defaults = {"displayName": path.parent.name, "version": "1.0.0", "uiEntryPoint": "index.html"}
            yield path.parent, {**defaults, **content, "id": content.get("id") or path.parent.name}
