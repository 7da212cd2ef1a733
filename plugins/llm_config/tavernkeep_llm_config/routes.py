"""`/api/llm/…`: providers, channels, models."""

from typing import Any, Final

import attrs

from tavernkeep import ApiError, NodeFailure, Route, UserContext
from tavernkeep.wire import structure
from tavernkeep_llm_config.bodies import ChannelBody, ChannelShown, Deleted, DeletedModel, ModelBody, ModelShown, Provider
from tavernkeep_llm_config.service import LlmStore, without_nulls
from tavernkeep_nodes_llm.contracts import Llm, LlmError

READ: Final = "llm:read"
WRITE: Final = "llm:write"


@attrs.frozen
class LlmRoutes:
    """The handlers; each does what its route says."""

    store: LlmStore
    llm: Llm

    def routes(self) -> list[Route]:
        """The routes."""
        gone = {404: "The user has none of that id."}
        taken, keyless = {409: "There is one of that id already."}, {503: "There is no encryption key."}
        unreachable = {502: "The service cannot be reached, or refuses; the reason is in the message."}
        channel, model = "/api/llm/channels/{channel_id}", "/api/llm/models/{model_id:path}"
        return [
            Route("GET", "/api/llm/providers", self.providers, READ),
            Route("GET", "/api/llm/channels", self.channels, READ, answers=list[ChannelShown]),
            Route("POST", "/api/llm/channels", self.create, WRITE, answers=ChannelShown, status=201, errors=keyless),
            Route("GET", channel, self.channel, READ, answers=ChannelShown, errors=gone),
            Route("PUT", channel, self.update, WRITE, answers=ChannelShown, errors=gone),
            Route("DELETE", channel, self.delete, WRITE, errors=gone),
            Route("POST", channel + "/discover-models", self.discover, WRITE, errors=gone | unreachable),
            Route("GET", channel + "/list-models", self.offered, READ, errors=gone | unreachable),
            Route("GET", "/api/llm/models", self.models, READ, answers=list[ModelShown]),
            Route("POST", "/api/llm/models", self.create_model, WRITE, answers=ModelShown, status=201, errors=taken),
            Route("GET", model, self.model, READ, answers=ModelShown, errors=gone),
            Route("PUT", model, self.update_model, WRITE, answers=ModelShown, errors=gone | taken),
            Route("DELETE", model, self.delete_model, WRITE, errors=gone),
        ]

    async def providers(self) -> list[Provider]:
        """The kinds of services for which an adapter is installed."""
        return [Provider(id_, name) for id_, name in self.llm.adapter_names().items()]

    async def channels(self, user: UserContext) -> list[dict[str, Any]]:
        """The user's channels, the oldest first; of each key only a hint."""
        return await self.store.channels_of(user)

    async def channel(self, channel_id: str, user: UserContext) -> dict[str, Any]:
        """A channel."""
        return await self.store.channel(channel_id, user)

    async def create(self, body: dict[str, Any], user: UserContext) -> dict[str, Any]:
        """Add a channel."""
        return await self.store.create(structure(without_nulls(body), ChannelBody), user)

    async def update(self, channel_id: str, body: dict[str, Any], user: UserContext) -> dict[str, Any]:
        """Change a channel; what is left out stays, and a key that is its hint; `null` unsets."""
        return await self.store.update(channel_id, body, user)

    async def delete(self, channel_id: str, user: UserContext) -> Deleted:
        """Remove a channel."""
        await self.store.delete(channel_id, user)
        return Deleted(True, channel_id)

    async def discover(self, channel_id: str, user: UserContext) -> list[dict[str, Any]]:
        """The models that a channel's service offers, each with a name."""
        return [{"name": model["id"], **model} for model in await self.offered(channel_id, user)]

    async def offered(self, channel_id: str, user: UserContext) -> list[dict[str, Any]]:
        """The models that a channel's service offers, with all that it tells of them."""
        channel = await self.store.open(channel_id, user)
        try:
            models = await self.llm.models(channel)
        except (LlmError, NodeFailure) as error:
            raise ApiError(502, str(error)) from None
        return [{**model, "object": "model"} for model in models]

    async def models(self, user: UserContext) -> list[dict[str, Any]]:
        """The user's models."""
        return await self.store.models_of(user)

    async def model(self, model_id: str, user: UserContext) -> dict[str, Any]:
        """A model."""
        return await self.store.model(model_id, user)

    async def create_model(self, body: dict[str, Any], user: UserContext) -> dict[str, Any]:
        """Add a model."""
        return await self.store.create_model(structure(without_nulls(body), ModelBody), user)

    async def update_model(self, model_id: str, body: dict[str, Any], user: UserContext) -> dict[str, Any]:
        """Change a model; what is left out stays, `null` unsets."""
        return await self.store.update_model(model_id, body, user)

    async def delete_model(self, model_id: str, user: UserContext) -> DeletedModel:
        """Remove a model."""
        await self.store.delete_model(model_id, user)
        return DeletedModel(True, model_id)
