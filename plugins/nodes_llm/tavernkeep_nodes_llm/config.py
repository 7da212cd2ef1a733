"""Its section of the configuration."""

import attrs

from tavernkeep_guard.contracts import Headers
from tavernkeep_nodes_llm.contracts import Channel


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

    def __attrs_post_init__(self) -> None:
        """Refuse a key or a header that no request can carry, where it is typed in; the message does not repeat it."""
        for value in (self.api_key, *self.custom_headers.values()):
            Headers.value(value)
        for name in self.custom_headers:
            Headers.further(name)

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
        max_answer_bytes: How long an answer may be, and each event of one.
        demo_delay_s: How long the demo model takes for a word, in seconds.
    """

    channels: list[ChannelConfig] = attrs.field(factory=list)
    timeout_s: float = attrs.field(default=120.0, metadata={"wire_name": "timeoutS"})
    connect_timeout_s: float = attrs.field(default=10.0, metadata={"wire_name": "connectTimeoutS"})
    attempts: int = attrs.field(default=3, validator=attrs.validators.ge(1))
    retry_wait_s: float = attrs.field(default=0.5, metadata={"wire_name": "retryWaitS"})
    max_answer_bytes: int = attrs.field(default=64 * 1024 * 1024, validator=attrs.validators.ge(1))
    demo_delay_s: float = attrs.field(default=0.02, metadata={"wire_name": "demoDelayS"})
