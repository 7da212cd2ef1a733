"""The plugin: logical paths as a service."""

from tavernkeep import Services, hookimpl
from tavernkeep.app import App
from tavernkeep_files.contracts import Files
from tavernkeep_files.service import FileStore


class FilesPlugin:
    """Logical paths: each user's files, the shared library, the server's own folders."""

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
        services.add(Files, FileStore(config.data / "users", roots), owner=owner)  # type: ignore[type-abstract]
