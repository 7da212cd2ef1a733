"""The plugin: character cards."""

from tavernkeep import ConfigSection, Route, Services, hookimpl
from tavernkeep.contracts.app import App
from tavernkeep_characters.config import CharactersConfig
from tavernkeep_characters.contracts import Cards
from tavernkeep_files.contracts import Files


class CharactersPlugin:
    """Character cards: read and written for others, kept for people."""

    requires = ("files",)

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        return [ConfigSection("characters", CharactersConfig)]

    @hookimpl
    def register_services(self, app: App, services: Services, owner: str) -> None:
        from tavernkeep_characters.cards import CardFiles

        services.add(Cards, CardFiles(app.config.section(CharactersConfig).max_pixels), owner=owner)

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        from tavernkeep_characters.changes import Maker
        from tavernkeep_characters.keeping import CharacterKeeper
        from tavernkeep_characters.routes import CharacterRoutes

        files = app.services.get(Files)
        return CharacterRoutes(files, CharacterKeeper(files, Maker(app.config.section(CharactersConfig)))).routes()
