"""`/api/llm/…`: providers, channels, models."""

from typing import Any, Final

import attrs

from tavernkeep import ApiError, NodeFailure, Route, UserContext
from tavernkeep.wire import Invalid, Problem, structure, unstructure
from tavernkeep_llm_config.bodies import ChannelBody, ChannelShown, Deleted, ModelBody, ModelShown, Provider
from tavernkeep_llm_config.service import LlmStore
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
            Route("GET", channel + "/list-models", self.discover, READ, errors=gone | unreachable),
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

    async def create(self, body: ChannelBody, user: UserContext) -> dict[str, Any]:
        """Add a channel."""
        self._check(body)
        return await self.store.create(body, user)

    async def update(self, channel_id: str, body: ChannelBody, user: UserContext) -> dict[str, Any]:
        """Change a channel; a key that is its hint, or left out, stays as it is."""
        self._check(body)
        return await self.store.update(channel_id, body, user)

    def _check(self, body: ChannelBody) -> None:
        wanted, known = body.adapter_type or body.provider_id, self.llm.adapter_names()
        if wanted is not None and wanted not in known:
            raise Invalid([Problem("adapterType", f"expected one of {', '.join(known)}; got {wanted!r}")])

    async def delete(self, channel_id: str, user: UserContext) -> Deleted:
        """Remove a channel."""
        await self.store.delete(channel_id, user)
        return Deleted(True, channel_id)

    async def discover(self, channel_id: str, user: UserContext) -> list[dict[str, str]]:
        """The models that a channel's service offers."""
        channel = await self.store.open(channel_id, user)
        try:
            names = await self.llm.models(channel)
        except (LlmError, NodeFailure) as error:
            raise ApiError(502, str(error)) from None
        return [{"id": name, "name": name} for name in names]

    async def models(self, user: UserContext) -> list[dict[str, Any]]:
        """The user's models."""
        return await self.store.models_of(user)

    async def model(self, model_id: str, user: UserContext) -> dict[str, Any]:
        """A model."""
        return await self.store.model(model_id, user)

    async def create_model(self, body: ModelBody, user: UserContext) -> dict[str, Any]:
        """Add a model."""
        return await self.store.create_model(unstructure(body), user)

    async def update_model(self, model_id: str, body: dict[str, Any], user: UserContext) -> dict[str, Any]:
        """Change a model; what is left out stays."""
        before = await self.store.model(model_id, user)
        changed = structure({**before, **body}, ModelBody)
        return await self.store.update_model(model_id, unstructure(changed), user)

    async def delete_model(self, model_id: str, user: UserContext) -> Deleted:
        """Remove a model."""
        await self.store.delete_model(model_id, user)
        return Deleted(True, model_id)
