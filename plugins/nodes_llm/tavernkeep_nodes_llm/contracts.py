"""What this plugin publishes: the contract of an LLM adapter, and of who knows the channels."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Protocol

import attrs

from tavernkeep import Chunk, NodeFailure, UserContext


@attrs.frozen
class Channel:
    """A service that answers, with what it takes to reach it.

    Attributes:
        adapter: The id of the adapter that speaks its protocol.
        base_url: The address below which the protocol's own paths are; one without a path gets that which is usual for the protocol.
        models: The models that it may be asked for; all when empty.
        model_list: Where the service tells its models, where that is another place than is usual: an address, or a path below the base URL.
        trusted: The operator has configured it: it may be anywhere, also where requests of users must not go.
    """

    label: str
    adapter: str
    base_url: str = ""
    api_key: str = attrs.field(default="", repr=False)
    models: tuple[str, ...] = ()
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    trusted: bool = False
    model_list: str = ""


@attrs.frozen
class LlmRequest:
    """A question to a model.

    Attributes:
        messages: `{role, content}` objects; content is text, or a list of parts.
        parameters: What the protocol of OpenAI calls them: `temperature`, `max_tokens`, `tools`, …
    """

    model: str
    messages: Sequence[Mapping[str, Any]]
    parameters: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class LlmResponse:
    """The whole answer.

    Attributes:
        usage: Tokens: `prompt_tokens`, `completion_tokens`, `total_tokens`; `None` where the service does not tell.
        raw: The service's own answer, where there is one.
        reasoning: What it thought before it answered, where it tells.
        images: The pictures in it, as addresses or `data:` URLs.
        unread: The kinds of its parts that are not read.
    """

    text: str
    model: str
    finish_reason: str | None = None
    usage: Mapping[str, Any] | None = None
    choices: Sequence[Any] | None = None
    response_id: str | None = None
    raw: Mapping[str, Any] | None = None
    reasoning: str | None = None
    images: Sequence[str] | None = None
    unread: Sequence[str] | None = None

    def to_output(self) -> dict[str, Any]:
        """The answer as the node's `response` output."""
        found = {
            "text": self.text,
            "choices": self.choices,
            "usage": self.usage,
            "raw_response": self.raw,
            "model": self.model,
            "response_id": self.response_id,
            "reasoning": self.reasoning,
            "images": self.images,
            "unread": self.unread,
        }
        return {key: value for key, value in found.items() if value is not None}


class LlmError(NodeFailure):
    """A service did not answer as it should.

    Args:
        status: Its HTTP status, where it gave one.
        retry_after_s: How long it asks to be left alone, in seconds.
        said: Its own words.
    """

    def __init__(
        self, message: str, *, retryable: bool = False, status: int | None = None, retry_after_s: float | None = None, said: str = ""
    ) -> None:
        super().__init__(message, retryable=retryable)
        self.status = status
        self.retry_after_s = retry_after_s
        self.said = said


class LlmAdapter(Protocol):
    """Speaks the protocol of one kind of service."""

    @property
    def id(self) -> str:
        """What channels call it."""

    @property
    def name(self) -> str:
        """What people call it."""

    async def complete(self, request: LlmRequest, channel: Channel) -> LlmResponse:
        """Ask, and wait for the whole answer.

        Raises:
            LlmError: There is none.
        """

    def stream(self, request: LlmRequest, channel: Channel) -> AsyncGenerator[Chunk | LlmResponse, None]:
        """Ask, and give the answer as it comes: `text_chunk`s, `usage_chunk`, `tool_call_chunk`s, then the whole as an `LlmResponse`.

        Raises:
            LlmError: It did not come, or not to its end.
        """

    async def embed(self, model: str, texts: Sequence[str], channel: Channel) -> list[list[float]]:
        """A vector for each text, in their order.

        Raises:
            LlmError: There is none.
        """

    async def models(self, channel: Channel) -> Sequence[str | Mapping[str, Any]]:
        """The models that the service offers: their names, or what it tells of each, the name as its `id`.

        Raises:
            LlmError: It does not tell.
        """


class ChannelSource(Protocol):
    """Knows the channels of a user."""

    async def channels(self, user: UserContext) -> Sequence[Channel]:
        """The user's channels that are in use, the oldest first."""


class Llm(Protocol):
    """Finds who answers; a service."""

    def add_source(self, source: ChannelSource) -> Callable[[], None]:
        """Let a plugin say which channels a user has, before those of the configuration; the returned function ends that."""

    async def route(self, model: str, user: UserContext) -> tuple[Channel, LlmAdapter]:
        """The user's oldest channel that offers a model, and the adapter that speaks to it.

        Raises:
            NodeFailure: There is none.
        """

    def adapter(self, id_: str) -> LlmAdapter:
        """The adapter of a kind of service.

        Raises:
            NodeFailure: No plugin offers it.
        """

    def adapter_names(self) -> dict[str, str]:
        """The installed adapters: what channels call each, and what people do."""

    async def models(self, channel: Channel) -> list[dict[str, Any]]:
        """The models that a channel's service offers: what it tells of each, the name as its `id`.

        Raises:
            NodeFailure: It does not tell.
        """
