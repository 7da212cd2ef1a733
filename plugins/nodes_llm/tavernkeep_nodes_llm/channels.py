"""Which channel answers for which model."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
import structlog

from tavernkeep import NodeFailure, UserContext
from tavernkeep_nodes_llm.config import LlmConfig
from tavernkeep_nodes_llm.contracts import Channel, ChannelSource, LlmAdapter

_log = structlog.get_logger(__name__)

DEMO_CHANNEL: Final = Channel("demo", "demo")


@attrs.frozen
class ConfiguredChannels:
    """The channels of the configuration, the same for every user; the demo channel when there are none."""

    config: LlmConfig

    async def channels(self, user: UserContext) -> Sequence[Channel]:
        """See `ChannelSource`."""
        return [entry.to_channel() for entry in self.config.channels if not entry.disabled] or [DEMO_CHANNEL]


@attrs.define
class LlmRouter:
    """See `Llm`."""

    configured: ChannelSource
    adapters: Mapping[str, LlmAdapter]
    _sources: tuple[ChannelSource, ...] = ()

    def add_source(self, source: ChannelSource) -> Callable[[], None]:
        """See `Llm`."""
        self._sources += (source,)

        def remove() -> None:
            self._sources = tuple(other for other in self._sources if other is not source)

        return remove

    async def _channels(self, user: UserContext) -> Sequence[Channel]:
        """What the first source that knows any says."""
        for source in (*self._sources, self.configured):
            if channels := await source.channels(user):
                return channels
        return ()

    async def route(self, model: str, user: UserContext) -> tuple[Channel, LlmAdapter]:
        """The user's oldest channel that offers the model, and the adapter that speaks to it.

        Raises:
            NodeFailure: There is none; the message says what there is.
        """
        channels = await self._channels(user)
        for channel in channels:
            if not channel.models or model in channel.models:
                return channel, self.adapter(channel.adapter, f"channel {channel.label!r} wants")
        offered = sorted({name for channel in channels for name in channel.models})
        raise NodeFailure(f"no channel offers the model {model!r}; offered are {', '.join(offered)}", slot="activated_model_id")

    def adapter_names(self) -> dict[str, str]:
        """See `Llm`."""
        return {id_: adapter.name for id_, adapter in sorted(self.adapters.items())}

    async def models(self, channel: Channel) -> list[dict[str, Any]]:
        """See `Llm`."""
        found = await self.adapter(channel.adapter).models(channel)
        return [{"id": model} if isinstance(model, str) else dict(model) for model in found]

    def adapter(self, id_: str, who: str = "this needs") -> LlmAdapter:
        """The adapter of a kind of service.

        Raises:
            NodeFailure: No plugin offers it.
        """
        adapter = self.adapters.get(id_)
        if adapter is None:
            raise NodeFailure(f"{who} the adapter {id_!r}; installed are {', '.join(sorted(self.adapters))}")
        return adapter


def by_id(offers: Iterable[tuple[object, Iterable[LlmAdapter]]]) -> dict[str, LlmAdapter]:
    """The adapters that plugins offer, each with its plugin; of two with one id the first stays."""
    adapters: dict[str, LlmAdapter] = {}
    for plugin, offered in offers:
        for adapter in offered:
            if adapter.id in adapters:
                _log.error("two plugins offer an LLM adapter of the same name", adapter=adapter.id, ignored=str(plugin))
            else:
                adapters[adapter.id] = adapter
    return adapters
