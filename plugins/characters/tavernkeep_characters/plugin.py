"""The plugin: character cards."""

from tavernkeep import Route, Services, hookimpl
from tavernkeep.contracts.app import App
from tavernkeep_characters.cards import CardReader
from tavernkeep_characters.contracts import Cards
from tavernkeep_files.contracts import Files


class CharactersPlugin:
    """Character cards: read for nodes, listed for people."""

    requires = ("files",)

    @hookimpl
    def register_services(self, services: Services, owner: str) -> None:
        services.add(Cards, CardReader(), owner=owner)

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        from tavernkeep_characters.routes import CharacterRoutes

        return CharacterRoutes(app.services.get(Files)).routes()
