"""The plugin: LLM channels and models of each user."""

from pathlib import Path
from typing import TYPE_CHECKING

from tavernkeep import ModelSet, Route, Services, hookimpl
from tavernkeep.contracts.app import App
from tavernkeep.contracts.storage import Storage
from tavernkeep_llm_config.contracts import LlmImport
from tavernkeep_nodes_llm.contracts import Llm
from tavernkeep_secrets.contracts import Resealing, Secrets

if TYPE_CHECKING:
    from tavernkeep_llm_config.service import LlmStore


class LlmConfigPlugin:
    """LLM channels and models of each user; requests are routed through them."""

    requires = ("nodes_llm", "secrets")

    def __init__(self) -> None:
        self._store: LlmStore | None = None

    @hookimpl
    def register_models(self) -> list[ModelSet]:
        return [ModelSet("llm_config", "tavernkeep_llm_config.models", Path(__file__).parent / "migrations")]

    @hookimpl
    def register_services(self, app: App, services: Services, owner: str) -> None:
        from tavernkeep_llm_config.service import LlmStore

        self._store = LlmStore(services.get(Storage), services.get(Secrets), services.get(Llm))
        app.plugins.undo_with(owner, services.get(Llm).add_source(self._store))
        services.add(LlmImport, self._store, owner=owner)

    @hookimpl(optionalhook=True)
    async def hand_over(self, source: str, target: str) -> list[str]:
        from tavernkeep_llm_config.models import ChannelRow, ModelRow

        await ChannelRow.filter(user_id=source).update(user_id=target)
        known = {row.model_id for row in await ModelRow.filter(user_id=target)}
        await ModelRow.filter(user_id=source).exclude(model_id__in=known).update(user_id=target)
        return [f"model {row.model_id} stays: there is one of that id" for row in await ModelRow.filter(user_id=source)]

    @hookimpl
    async def reseal(self, again: Resealing) -> int:
        from tavernkeep_llm_config.models import ChannelRow

        return sum([await again.rows(ChannelRow.all(), field) for field in ("sealed_key", "sealed_headers")])

    @hookimpl
    def register_routes(self, app: App) -> list[Route]:
        from tavernkeep_llm_config.routes import LlmRoutes

        assert self._store is not None, "services are registered before routes"
        return LlmRoutes(self._store, app.services.get(Llm)).routes()
