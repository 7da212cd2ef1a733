"""The plugin: chats."""

from pathlib import Path
from typing import Any

from tavernkeep import Route, Services, hookimpl
from tavernkeep.contracts.app import App
from tavernkeep.wire import loads
from tavernkeep_chat.contracts import Chats
from tavernkeep_files.contracts import Files
from tavernkeep_projects.contracts import Projects


class ChatPlugin:
    """Chats: trees of messages, kept with a project."""

    requires = ("files", "projects")

    @hookimpl(optionalhook=True)
    def first_workflows(self) -> list[dict[str, Any]]:
        return [loads((Path(__file__).parent / "main.json").read_bytes())]

    @hookimpl
    def register_services(self, services: Services, owner: str) -> None:
        from tavernkeep_chat.foreign import ForeignChats
        from tavernkeep_chat.store import ChatStore

        services.add(Chats, ForeignChats(ChatStore(services.get(Files), services.get(Projects))), owner=owner)

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        from tavernkeep_chat.routes import ChatRoutes
        from tavernkeep_chat.store import ChatStore

        files = app.services.get(Files)
        return ChatRoutes(ChatStore(files, app.services.get(Projects)), files).routes()
