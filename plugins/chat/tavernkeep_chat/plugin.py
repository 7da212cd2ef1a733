"""The plugin: chats."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tavernkeep import ConfigSection, ModelSet, Route, Services, hookimpl
from tavernkeep.contracts.app import App, Role
from tavernkeep_chat.asking import shipped
from tavernkeep_chat.config import ChatConfig
from tavernkeep_chat.contracts import Chats
from tavernkeep_chat.greeting import Greetings
from tavernkeep_files.contracts import Files
from tavernkeep_projects.contracts import Projects

if TYPE_CHECKING:
    from tavernkeep_chat.generating import Generations


class ChatPlugin:
    """Chats: trees of messages, kept with a project, and answered by its workflow."""

    requires = ("files", "projects")

    def __init__(self) -> None:
        self._generations: Generations | None = None

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        return [ConfigSection("chat", ChatConfig)]

    @hookimpl
    def register_models(self) -> list[ModelSet]:
        return [ModelSet("chat", "tavernkeep_chat.models", Path(__file__).parent / "migrations")]

    @hookimpl
    def register_services(self, app: App, services: Services, owner: str) -> None:
        from tavernkeep_chat.foreign import ForeignChats
        from tavernkeep_chat.generating import Generations
        from tavernkeep_chat.store import ChatStore

        store = ChatStore(services.get(Files), services.get(Projects))
        self._generations = Generations(store, services, app.events, app.config.section(ChatConfig))
        services.add(Chats, ForeignChats(store), owner=owner)

    @hookimpl(optionalhook=True)
    def first_workflows(self) -> list[dict[str, Any]]:
        return [shipped()]

    @hookimpl
    async def startup(self, app: App) -> None:
        if self._generations is not None and Role.KEEPER in app.roles:
            self._generations.resume()

    @hookimpl(optionalhook=True)
    async def hand_over(self, source: str, target: str) -> list[str]:
        from tavernkeep_chat.models import GenerationRow

        await GenerationRow.filter(owner=source).update(owner=target)
        await GenerationRow.filter(uid=source).update(uid=target)
        return []

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        from tavernkeep_chat.routes import ChatRoutes

        assert self._generations is not None, "services are registered before routes"
        return ChatRoutes(
            self._generations.store, app.services.get(Files), self._generations, Greetings(self._generations.store, app.services)
        ).routes()

    @hookimpl
    async def shutdown(self) -> None:
        if self._generations is not None:
            await self._generations.close()
