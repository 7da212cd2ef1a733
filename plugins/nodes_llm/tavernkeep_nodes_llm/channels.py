"""Which channel answers for which model."""

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from tavernkeep import NodeFailure, UserContext
from tavernkeep_nodes_llm.contracts import Channel, ChannelSource, LlmAdapter

DEMO_CHANNEL: Final = Channel("demo", "demo")


@attrs.frozen
class ChannelConfig:
    """A service that answers, as the configuration has it.

    Attributes:
        label: Its name for people.
        base_url: Its address; one without a path gets that which is usual for its protocol, such as `/v1`.
        adapter_type: The adapter that speaks its protocol.
        supported_models: The models that it may be asked for; all when empty.
        custom_headers: Sent along with each request.
        disabled: Not to be used.
    """

    label: str
    base_url: str
    api_key: str = attrs.field(default="", repr=False, metadata={"secret": True})
    adapter_type: str = "openai"
    supported_models: list[str] = attrs.field(factory=list)
    custom_headers: dict[str, str] = attrs.field(factory=dict, repr=False, metadata={"secret": True})
    disabled: bool = False

    def to_channel(self) -> Channel:
        """The channel."""
        return Channel(
            self.label,
            self.adapter_type,
            self.base_url,
            self.api_key,
            tuple(self.supported_models),
            self.custom_headers,
            trusted=True,
        )


@attrs.frozen
class LlmConfig:
    """Language models.

    Attributes:
        channels: The services to ask, in order of preference; with none, the demo model answers.
        timeout_s: How long a service may be silent, in seconds.
        connect_timeout_s: How long connecting may take, in seconds.
        attempts: How often a request is tried when the service is busy, fails or cannot be reached.
        retry_wait_s: How long to wait before the second attempt, in seconds; each further wait is twice as long.
        demo_delay_s: How long the demo model takes for a word, in seconds.
    """

    channels: list[ChannelConfig] = attrs.field(factory=list)
    timeout_s: float = attrs.field(default=120.0, metadata={"wire_name": "timeoutS"})
    connect_timeout_s: float = attrs.field(default=10.0, metadata={"wire_name": "connectTimeoutS"})
    attempts: int = attrs.field(default=3, validator=attrs.validators.ge(1))
    retry_wait_s: float = attrs.field(default=0.5, metadata={"wire_name": "retryWaitS"})
    demo_delay_s: float = attrs.field(default=0.02, metadata={"wire_name": "demoDelayS"})


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

    source: ChannelSource
    adapters: Mapping[str, LlmAdapter]

    async def route(self, model: str, user: UserContext) -> tuple[Channel, LlmAdapter]:
        """The user's oldest channel that offers the model, and the adapter that speaks to it.

        Raises:
            NodeFailure: There is none; the message says what there is.
        """
        channels = await self.source.channels(user)
        for channel in channels:
            if not channel.models or model in channel.models:
                return channel, self.adapter(channel.adapter, f"channel {channel.label!r} wants")
        offered = sorted({name for channel in channels for name in channel.models})
        raise NodeFailure(f"no channel offers the model {model!r}; offered are {', '.join(offered)}", slot="activated_model_id")

    def adapter_names(self) -> dict[str, str]:
        """See `Llm`."""
        return {id_: adapter.name for id_, adapter in sorted(self.adapters.items())}

    async def models(self, channel: Channel) -> list[str]:
        """See `Llm`."""
        return await self.adapter(channel.adapter).models(channel)

    def adapter(self, id_: str, who: str = "this needs") -> LlmAdapter:
        """The adapter of a kind of service.

        Raises:
            NodeFailure: No plugin offers it.
        """
        adapter = self.adapters.get(id_)
        if adapter is None:
            raise NodeFailure(f"{who} the adapter {id_!r}; installed are {', '.join(sorted(self.adapters))}")
        return adapter
