"""Panels: folders with a `panel.json`, in a project or among the templates, and the files that each keeps."""

import asyncio
import shutil
from codecs import BOM_UTF8
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any, Final

import attrs
import structlog

from tavernkeep import ApiError, UserContext
from tavernkeep.finish import finishing
from tavernkeep.wire import Invalid, Problem, dumps, loads
from tavernkeep_files.contracts import Files, LogicalPath
from tavernkeep_panels.bodies import NewPanel
from tavernkeep_projects.contracts import PROJECTS, Projects

_log = structlog.get_logger(__name__)

Json = dict[str, Any]
TEMPLATES: Final = LogicalPath.parse("shared://templates/panels/")
_FILE: Final = "panel.json"
_LONGEST: Final = 1024 * 1024  # bytes of a definition
_DEFAULTS: Final[Json] = {"description": "", "version": "1.0.0", "uiEntryPoint": "index.html"}
_PAGE: Final = Path(__file__).parent / "page" / "index.html"  # of a panel that is made afresh


@attrs.frozen
class PanelStore:
    """Reads and makes panels."""

    files: Files
    projects: Projects
    _making: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    async def _folder(self, project_id: str, user: UserContext) -> LogicalPath:
        await self.projects.metadata(project_id, user)
        return PROJECTS / project_id

    async def templates(self, user: UserContext) -> list[Json]:
        """The panels to begin with."""
        return await self._panels(TEMPLATES, "shared", user)

    async def of_project(self, project_id: str, user: UserContext) -> list[Json]:
        """A project's panels. Raises `ApiError` 404."""
        return await self._panels(await self._folder(project_id, user) / "ui", "user", user)

    async def _panels(self, folder: LogicalPath, source: str, user: UserContext) -> list[Json]:
        located = self.files.locate(folder, user)
        found = await asyncio.to_thread(lambda: list(_definitions(located.path)))
        return [{**panel, "panelDirectory": path.name, "source": source} for path, panel in found]

    async def panel(self, project_id: str, panel_id: str, user: UserContext) -> Json:
        """One panel of a project. Raises `ApiError` 404."""
        for panel in await self.of_project(project_id, user):
            if panel["id"] == panel_id:
                return panel
        raise ApiError(404, f"There is no panel {panel_id!r}.")

    @finishing
    async def create(self, project_id: str, panel: NewPanel, user: UserContext) -> Json:
        """Make a panel, of a template or afresh; one after the other. Raises `ApiError` 404, 409 and 507."""
        async with self._making:
            return await self._create(project_id, panel, user)

    async def _create(self, project_id: str, panel: NewPanel, user: UserContext) -> Json:
        panel_id = panel.panel_id
        folder = await self._folder(project_id, user) / "ui" / panel_id
        if await asyncio.to_thread(self.files.locate(folder, user, write=True).path.exists):
            raise ApiError(409, f"There is a panel {panel_id!r} already.")
        template = None
        if panel.template_id:
            template = next((known for known in await self.templates(user) if known["id"] == panel.template_id), None)
            if template is None:
                raise ApiError(404, f"There is no template {panel.template_id!r}.")
        try:
            async with self.files.making(folder, user) as target:
                definition = await self._fill(folder, target, panel, template, user)
                await self._list_in_project(project_id, panel_id, user)
        except OSError as error:
            raise ApiError(507, f"The panel {panel_id!r} cannot be written: {error.strerror or error}.") from None
        return {**definition, "panelDirectory": folder.name, "source": "user"}

    async def _fill(self, folder: LogicalPath, target: Path, panel: NewPanel, template: Json | None, user: UserContext) -> Json:
        definition = dict(_DEFAULTS)
        if template is not None:
            source = self.files.locate(TEMPLATES / template["panelDirectory"], user).path
            await asyncio.to_thread(shutil.copytree, source, target, symlinks=True)
            definition = {key: value for key, value in template.items() if key not in ("panelDirectory", "source")}
        else:
            page = _PAGE.read_text(encoding="utf-8").replace("$title", escape(panel.display_name))
            await self.files.write(folder / "index.html", page.encode(), user)
        definition |= {"id": panel.panel_id, "displayName": panel.display_name}
        if panel.description is not None:
            definition["description"] = panel.description
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
            if path.stat().st_size > _LONGEST:
                raise Invalid([Problem("", f"it is longer than {_LONGEST} bytes")])
            content = loads(path.read_bytes().removeprefix(BOM_UTF8))
            if not isinstance(content, dict):
                raise Invalid([Problem("", "it is no JSON object")])
        except (Invalid, OSError) as error:
            _log.warning("panel is left out", panel=path.parent.name, problem=str(error))
            continue
        if not path.parent.is_symlink():
            texts = {"id": path.parent.name, "displayName": path.parent.name, **_DEFAULTS}
            said = {key: content[key] for key in texts if isinstance(content.get(key), str) and (content[key] or key == "description")}
            yield path.parent, {**content, **texts, **said}
