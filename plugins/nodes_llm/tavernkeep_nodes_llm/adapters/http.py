"""What the adapters for services over HTTP have in common: one request, an answer or a stream of events, errors, further attempts."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx2
import stamina

from tavernkeep import Chunk
from tavernkeep.logs import hide
from tavernkeep.wire import Invalid, loads
from tavernkeep_guard.contracts import Headers, OutgoingRefused, Unanswered
from tavernkeep_nodes_llm.config import LlmConfig
from tavernkeep_nodes_llm.contracts import Channel, LlmError, LlmRequest, LlmResponse

T = TypeVar("T")
Pieces = AsyncGenerator[Chunk | LlmResponse, None]
Event = Mapping[str, Any]

_LONGEST_ERROR: Final = 500  # characters of a service's error that are shown
_LONGEST_WAIT_S: Final = 60.0  # a `Retry-After` beyond this is not waited for
DONE: Final = "[DONE]"


class AnswerBuilder(Protocol):
    """Puts an answer together from the events of its stream."""

    def take(self, event: Event) -> list[Chunk]:
        """The chunks of one event. Raises `LookupError`, `TypeError` or `AttributeError` for one that is not of the protocol."""
        ...

    def finish(self, *, ended: bool) -> LlmResponse | None:
        """The whole; `None` when it is not whole.

        Args:
            ended: The service has said, outside of any event, that nothing more comes.
        """
        ...


class HttpAdapter:
    """Talks to services of one protocol; what differs between protocols is in the methods that raise `NotImplementedError` here.

    Args:
        client: Gives the HTTP client for a channel; called at each request, so that none is made before it is needed.
    """

    id = ""
    name = ""
    default_path = ""  # of a base URL that has none

    def __init__(self, client: Callable[[Channel], httpx2.AsyncClient], config: LlmConfig) -> None:
        self._client = client
        self._config = config

    # The protocol

    def path(self, model: str, *, stream: bool) -> str:
        """Where questions go, below the base URL."""
        raise NotImplementedError

    def headers(self, channel: Channel) -> dict[str, str]:
        """The headers that show the channel's key."""
        return {"Authorization": f"Bearer {channel.api_key}"} if channel.api_key else {}

    def body(self, request: LlmRequest, *, stream: bool) -> dict[str, Any]:
        """A question as the service wants it."""
        raise NotImplementedError

    def whole(self, answer: Event, model: str) -> LlmResponse:
        """An answer that came in one piece. Raises `LookupError`, `TypeError` or `AttributeError` for one that is not of the protocol."""
        raise NotImplementedError

    def answer(self, model: str) -> AnswerBuilder:
        """What puts a streamed answer together."""
        raise NotImplementedError

    def embedding_request(self, model: str, texts: Sequence[str]) -> tuple[str, dict[str, Any]]:
        """Where texts are embedded, and what is sent there.

        Raises:
            LlmError: The service embeds nothing.
        """
        raise LlmError(f"services of the kind {self.name!r} make no embeddings")

    def embeddings(self, answer: Event) -> list[list[float]]:
        """The vectors of an answer, in the order of the texts."""
        raise NotImplementedError

    async def events(self, response: httpx2.Response) -> AsyncIterator[str]:
        """The events of a streamed answer, each as its JSON."""
        async for event in httpx2.EventSource(response):
            yield event.data

    # What nodes call; see `LlmAdapter`

    async def complete(self, request: LlmRequest, channel: Channel) -> LlmResponse:
        """See `LlmAdapter`."""
        path, body = self.path(request.model, stream=False), self.body(request, stream=False)
        answer = await self._ask(path, body, channel)
        with _understood(channel):
            return self.whole(answer, request.model)

    async def embed(self, model: str, texts: Sequence[str], channel: Channel) -> list[list[float]]:
        """See `LlmAdapter`."""
        path, body = self.embedding_request(model, texts)
        answer = await self._ask(path, body, channel)
        with _understood(channel):
            vectors = self.embeddings(answer)
        if len(vectors) != len(texts):
            raise LlmError(f"{channel.label} gave {len(vectors)} embeddings for {len(texts)} texts")
        return vectors

    async def models(self, channel: Channel) -> list[str]:
        """See `LlmAdapter`."""
        async with self._send("GET", "/models", None, channel) as response:
            answer = _object(await response.aread(), channel)
        with _understood(channel):
            return sorted({str(entry["id"]) for entry in answer["data"]})

    async def stream(self, request: LlmRequest, channel: Channel) -> Pieces:
        """See `LlmAdapter`. A request is tried again only while nothing of the answer has come."""
        pieces, first = await self._with_retries(lambda: self._begin(request, channel))
        async with aclosing(pieces):
            yield first
            async for piece in pieces:
                yield piece

    async def _begin(self, request: LlmRequest, channel: Channel) -> tuple[Pieces, Chunk | LlmResponse]:
        pieces = self._pieces(request, channel)
        return pieces, await anext(pieces)

    async def _pieces(self, request: LlmRequest, channel: Channel) -> Pieces:
        answer, ended = self.answer(request.model), False
        body = self.body(request, stream=True)
        async with self._send("POST", self.path(request.model, stream=True), body, channel) as response:
            try:
                async for data in self.events(response):
                    if data == DONE:
                        ended = True
                        break
                    event = _object(data, channel)
                    with _understood(channel):
                        chunks = answer.take(event)
                    for chunk in chunks:
                        yield chunk
            except httpx2.SSEError as error:
                raise LlmError(f"{channel.label} answered no event stream: {error}") from None
        whole = answer.finish(ended=ended)
        if whole is None:
            raise LlmError(f"{channel.label} broke off before its answer was whole", retryable=True)
        if whole.usage:
            yield Chunk("usage_chunk", whole.usage)
        yield whole

    async def _ask(self, path: str, body: dict[str, Any], channel: Channel) -> Event:
        async def ask() -> Event:
            async with self._send("POST", path, body, channel) as response:
                return _object(await response.aread(), channel)

        return await self._with_retries(ask)

    @asynccontextmanager
    async def _send(self, method: str, path: str, body: Any, channel: Channel) -> AsyncIterator[httpx2.Response]:
        headers = _headers(self.headers(channel), channel)
        url = with_default_path(channel.base_url, self.default_path) + path
        try:
            async with self._client(channel).stream(method, url, json=body, headers=headers) as response:
                if response.status_code >= 400:
                    raise await _refusal(response, channel)
                yield response
        except OutgoingRefused as refused:
            raise LlmError(f"{channel.label} cannot be asked: {refused}") from None
        except httpx2.HTTPError as error:
            retryable = not isinstance(error, (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol, httpx2.TooManyRedirects))
            raise LlmError(f"{channel.label} gave no answer: {Unanswered.reason(error)}", retryable=retryable) from None
        except (httpx2.InvalidURL, UnicodeError):  # what they say quotes the address, and what is in it
            raise LlmError(f"{channel.label} has a base URL that is no URL") from None

    async def _with_retries(self, ask: Callable[[], Awaitable[T]]) -> T:
        attempts = stamina.retry_context(
            on=_worth_another_try,
            attempts=self._config.attempts,
            timeout=None,
            wait_initial=self._config.retry_wait_s,
            wait_jitter=self._config.retry_wait_s / 2,
            wait_max=_LONGEST_WAIT_S,
        )
        async for attempt in attempts:
            with attempt:
                return await ask()
        raise AssertionError("the last attempt returns or raises")


def with_default_path(base_url: str, default_path: str = "/v1") -> str:
    """A base URL without a slash at the end, and with a path where it had none.

    >>> with_default_path("http://localhost:8080/")
    'http://localhost:8080/v1'
    """
    trimmed = base_url.rstrip("/")
    return trimmed if urlsplit(trimmed).path else trimmed + default_path


def _headers(own: Mapping[str, str], channel: Channel) -> dict[str, str]:
    """The adapter's headers, each replaced by the channel's of the same name, whatever its case."""
    headers: dict[str, str] = {}
    try:
        for name, value in (*own.items(), *channel.headers.items()):
            headers[Headers.name(name).lower()] = Headers.value(value)
    except ValueError as error:
        raise LlmError(f"{channel.label} has a key or a header that cannot be sent: {error}") from None
    return headers


def secrets_of(channel: Channel) -> list[str]:
    """What must not be shown of a channel."""
    return [channel.api_key, *Headers.secrets(channel.headers)]


class _understood:  # noqa: N801 - used as a function
    """Turns what reading an answer of another protocol raises into what it means."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (LookupError, TypeError, AttributeError, ValueError)):
            raise LlmError(f"{self._channel.label} answered something that is not of its protocol ({self._channel.adapter})") from None


def _worth_another_try(error: Exception) -> bool | float:
    if not isinstance(error, LlmError) or not error.retryable:
        return False
    if error.retry_after_s is None:
        return True
    return error.retry_after_s if error.retry_after_s <= _LONGEST_WAIT_S else False


async def _refusal(response: httpx2.Response, channel: Channel) -> LlmError:
    try:
        text = (await response.aread()).decode("utf-8", "replace")
    except httpx2.HTTPError:
        text = ""
    try:
        message = _error_in(loads(text))
    except Invalid:
        message = None
    shown = hide((message or text or response.reason_phrase)[:_LONGEST_ERROR], secrets_of(channel))  # some quote the key they refuse
    status = response.status_code
    return LlmError(
        f"{channel.label} answered {status}: {shown}",
        retryable=status == 429 or status >= 500,
        status=status,
        retry_after_s=_seconds(response.headers.get("retry-after")),
    )


def _seconds(retry_after: str | None) -> float | None:
    try:
        return max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        return None  # a date: the ordinary wait does


def _error_in(answer: Any) -> str | None:
    """The message of an error, as the services of all these protocols write one."""
    if isinstance(answer, list) and answer:  # Google's streams wrap it in a list
        answer = answer[0]
    error = answer.get("error") if isinstance(answer, dict) else None
    if not error:
        return None
    message = error.get("message", error) if isinstance(error, dict) else error
    return str(message)


def _object(data: bytes | str, channel: Channel) -> Event:
    try:
        value = loads(data)
    except Invalid:
        value = None
    if message := _error_in(value):
        raise LlmError(f"{channel.label} reported an error: {hide(message[:_LONGEST_ERROR], secrets_of(channel))}")
    if not isinstance(value, dict):
        raise LlmError(f"{channel.label} answered something that is not of its protocol ({channel.adapter})")
    return value
