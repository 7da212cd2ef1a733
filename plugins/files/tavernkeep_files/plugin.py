"""The plugin: logical paths as a service, and files over HTTP."""

import asyncio
import time

from tavernkeep import ConfigSection, Route, Services, hookimpl
from tavernkeep.contracts.app import App, Role
from tavernkeep_files.contracts import Files
from tavernkeep_files.service import FileStore, merge_folder, sweep


class FilesPlugin:
    """Logical paths: each user's files, the shared library, the server's own folders."""

    def __init__(self) -> None:
        self._sweeping: asyncio.Task[None] | None = None

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        from tavernkeep_files.config import FilesConfig

        return [ConfigSection("files", FilesConfig)]

    @hookimpl
    def register_services(self, app: App, services: Services, owner: str) -> None:
        config = app.config
        roots = {
            ("shared", "library"): config.folder("library"),
            ("shared", "templates"): config.data / "templates",
            ("system", "public"): config.folder("public"),
            ("system", "data"): config.data,
            ("system", "logs"): config.folder("logs"),
            ("system", "config"): config.file.parent,
        }
        services.add(Files, FileStore(config.data / "users", roots, config.data, config.file), owner=owner)

    @hookimpl
    async def startup(self, app: App) -> None:
        if Role.KEEPER in app.roles:
            data, others = app.config.data, [app.config.folder("library"), app.config.folder("public"), app.config.folder("logs")]
            folders = [data, *(folder for folder in others if not folder.is_relative_to(data))]
            self._sweeping = asyncio.create_task(asyncio.to_thread(sweep, folders, time.time()), name="files sweeps")

    @hookimpl
    async def shutdown(self) -> None:
        if self._sweeping is not None:
            await asyncio.wait([self._sweeping])

    @hookimpl(optionalhook=True, trylast=True)  # files are not taken back when a plugin after this one fails
    async def hand_over(self, app: App, source: str, target: str) -> list[str]:
        users = app.config.data / "users"
        kept = await asyncio.to_thread(merge_folder, users / source, users / target)
        return [f"user://{name} stays: there is one" for name in kept]

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        from tavernkeep_files.config import FilesConfig
        from tavernkeep_files.operations import Operations
        from tavernkeep_files.routes import FileRoutes

        files = app.services.get(Files)
        return FileRoutes(files, Operations(files), app.config.section(FilesConfig)).routes()
