"""What the adapters for services over HTTP have in common: one request, an answer or a stream of events, errors, further attempts."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, TypeVar

import httpx2
import stamina
import structlog

from tavernkeep import Chunk
from tavernkeep.logs import hide
from tavernkeep.wire import Invalid, dumps, loads
from tavernkeep_guard.contracts import Headers, OutgoingRefused, Unanswered
from tavernkeep_nodes_llm.adapters.answers import Answer, Event
from tavernkeep_nodes_llm.adapters.errors import error_in, readable, reason_of, refusal, reported, secrets_of
from tavernkeep_nodes_llm.adapters.questions import Refusals, other_name, refused_field, without
from tavernkeep_nodes_llm.adapters.reading import DONE, AnswerReader, Unreadable, models_in
from tavernkeep_nodes_llm.adapters.urls import below, endpoint
from tavernkeep_nodes_llm.config import LlmConfig
from tavernkeep_nodes_llm.contracts import Channel, LlmError, LlmRequest, LlmResponse

T = TypeVar("T")
Pieces = AsyncGenerator[Chunk | LlmResponse, None]
Body = dict[str, Any]

_MOST_REDIRECTS: Final = 3
_MOST_REFUSALS: Final = 5  # fields that are left out of one question
_LONGEST_WAIT_S: Final = 60.0  # a `Retry-After` beyond this is not waited for
_log = structlog.get_logger(__name__)


class HttpAdapter:
    """Talks to services of one protocol; what differs between protocols is in the methods that raise `NotImplementedError` here.

    Args:
        client: Gives the HTTP client for a channel; called at each request, so that none is made before it is needed.
    """

    id = ""
    name = ""
    default_path = ""  # of a base URL that has none
    endpoints: Sequence[str] = ()  # what people leave at the end of a base URL

    def __init__(self, client: Callable[[Channel], httpx2.AsyncClient], config: LlmConfig) -> None:
        self._client = client
        self._config = config
        self._refusals = Refusals()

    # The protocol

    def path(self, model: str, *, stream: bool) -> str:
        """Where questions go, below the base URL."""
        raise NotImplementedError

    def headers(self, channel: Channel) -> dict[str, str]:
        """The headers that show the channel's key."""
        return {"authorization": f"Bearer {Headers.value(channel.api_key)}"} if channel.api_key else {}

    def body(self, request: LlmRequest, *, stream: bool) -> Body:
        """A question as the service wants it."""
        raise NotImplementedError

    def answer(self, model: str) -> Answer:
        """What puts an answer together, whether it comes in one piece or in many."""
        raise NotImplementedError

    def models_path(self) -> str:
        """Where the service tells its models."""
        return "/models"

    def embedding_request(self, model: str, texts: Sequence[str]) -> tuple[str, Body]:
        """Where texts are embedded, and what is sent there.

        Raises:
            LlmError: The service embeds nothing.
        """
        raise LlmError(f"services of the kind {self.name!r} make no embeddings")

    def embeddings(self, answer: Event) -> list[list[float]]:
        """The vectors of an answer, in the order of the texts."""
        raise NotImplementedError

    # What nodes call; see `LlmAdapter`

    async def complete(self, request: LlmRequest, channel: Channel) -> LlmResponse:
        """See `LlmAdapter`."""
        path, body = self.path(request.model, stream=False), self.body(request, stream=False)

        async def ask(body: Body) -> LlmResponse:
            answer, events = self.answer(request.model), []
            async with self._send("POST", path, body, channel) as response:
                async for event in self._events(response, channel):
                    events.append(event)
                    if event is not DONE:
                        with _understood(channel):
                            answer.take(event)
            answer.end()
            # A text that is one whole JSON value has come whole, whatever the connection said.
            ended = len(events) == 1 or DONE in events or _is_framed(response)
            whole = answer.finish(ended=ended, raw=events[0] if len(events) == 1 else None)
            if whole is None:
                raise _no_answer(answer, events, channel)
            return whole

        return await self._with_retries(lambda: self._without_refused(body, request.model, channel, ask))

    async def embed(self, model: str, texts: Sequence[str], channel: Channel) -> list[list[float]]:
        """See `LlmAdapter`."""
        path, body = self.embedding_request(model, texts)

        async def ask(body: Body) -> list[list[float]]:
            answer = await self._value("POST", path, body, channel)
            with _understood(channel):
                return self.embeddings(answer)

        vectors = await self._with_retries(lambda: self._without_refused(body, model, channel, ask))
        if len(vectors) != len(texts):
            raise LlmError(f"{channel.label} gave {len(vectors)} embeddings for {len(texts)} texts")
        return vectors

    async def models(self, channel: Channel) -> list[dict[str, Any]]:
        """See `LlmAdapter`."""
        path = below(channel.base_url, channel.model_list) if channel.model_list.strip() else self.models_path()
        answer = await self._value("GET", path, None, channel)
        try:
            return models_in(hide(answer, secrets_of(channel)))
        except ValueError as error:
            raise LlmError(f"{channel.label} answered no list of models: {error}") from None

    async def stream(self, request: LlmRequest, channel: Channel) -> Pieces:
        """See `LlmAdapter`. A request is tried again only while nothing of the answer has come."""
        body = self.body(request, stream=True)

        async def begin(body: Body) -> tuple[Pieces, Chunk | LlmResponse]:
            pieces = self._pieces(request.model, body, channel)
            return pieces, await anext(pieces)

        pieces, first = await self._with_retries(lambda: self._without_refused(body, request.model, channel, begin))
        async with aclosing(pieces):
            yield first
            async for piece in pieces:
                yield piece

    async def _pieces(self, model: str, body: Body, channel: Channel) -> Pieces:
        answer, last, done = self.answer(model), [], False
        sending = self._send("POST", self.path(model, stream=True), body, channel)
        async with sending as response, aclosing(self._events(response, channel)) as events:
            async for event in events:
                if event is DONE:
                    done = True
                    break
                last = [event]
                with _understood(channel):
                    chunks = answer.take(event)
                for chunk in chunks:
                    yield chunk
        for chunk in answer.end():
            yield chunk
        whole = answer.finish(ended=done or _is_framed(response))
        if whole is None:
            raise _no_answer(answer, last, channel)
        if whole.usage:
            yield Chunk("usage_chunk", whole.usage)
        yield whole

    # The connection

    async def _events(self, response: httpx2.Response, channel: Channel) -> AsyncGenerator[Any, None]:
        """The events of an answer, of which `DONE` is the last where the service says it; an answer in one piece is one."""
        reader, length, most = AnswerReader(self._config.max_answer_bytes), 0, self._config.max_answer_bytes
        try:
            async for piece in response.aiter_bytes():
                length += len(piece)
                if length > most:
                    raise Unreadable(f"it is longer than {most} bytes (llm.maxAnswerBytes)")
                for name, value in reader.feed(piece):
                    if (event := _event(name, value, channel)) is not None:
                        yield event
            for name, value in reader.end():
                if (event := _event(name, value, channel)) is not None:
                    yield event
        except Unreadable as error:
            raise _not_theirs(channel, f"{error} {readable(hide(error.text, secrets_of(channel)))}".strip()) from None

    async def _value(self, method: str, path: str, body: Any, channel: Channel) -> Any:
        """An answer that is one JSON text."""
        async with self._send(method, path, body, channel) as response:
            found = bytearray()
            async for piece in response.aiter_bytes():
                found += piece
                if len(found) > self._config.max_answer_bytes:
                    raise LlmError(f"{channel.label} answered more than {self._config.max_answer_bytes} bytes (llm.maxAnswerBytes)")
        try:
            value = loads(bytes(found))
        except Invalid:
            raise _not_theirs(channel, readable(hide(found.decode("utf-8", "replace"), secrets_of(channel)))) from None
        if isinstance(value, dict) and error_in(value) is not None:
            raise reported(value, channel)
        return value

    async def _without_refused(self, body: Body, model: str, channel: Channel, ask: Callable[[Body], Awaitable[T]]) -> T:
        """Ask; when the service refuses a field, ask once more without it, and from then on."""
        key = (channel.label, channel.base_url, model)
        refused: dict[str, str | None] = dict(self._refusals.of(key))
        learnt: list[tuple[str, str]] = []
        while True:
            asked = without(body, refused)
            try:
                answer = await ask(asked)
            except LlmError as error:
                field = refused_field(asked, error.said, self.id) if error.status in (400, 422) else None
                if field is None or field in refused or len(learnt) == _MOST_REFUSALS:
                    raise
                refused[field] = other_name(field, error.said)
                learnt.append((field, error.said))
                continue
            for field, said in learnt:
                _log.warning(
                    "a service refuses a field of a question; it was asked without it", channel=channel.label, model=model, field=field
                )
                self._refusals.remember(key, field, refused[field], said)
            return answer

    @asynccontextmanager
    async def _send(self, method: str, path: str, body: Any, channel: Channel) -> AsyncIterator[httpx2.Response]:
        headers = _headers(self, channel)
        content = None if body is None else dumps(body)
        if content is not None:
            headers.setdefault("content-type", "application/json")
        try:
            url = httpx2.URL(endpoint(channel.base_url, path, self.default_path, self.endpoints))
            for _ in range(_MOST_REDIRECTS + 1):
                call = self._client(channel).stream(method, url, content=content, headers=headers, follow_redirects=False)
                async with call as response:
                    if response.has_redirect_location:
                        url = _next(response, url, channel)
                        continue
                    if response.status_code >= 300:
                        raise await refusal(response, channel)
                    yield response
                    return
            raise LlmError(f"{channel.label} leads from one address to the next without an end")
        except OutgoingRefused as refused:
            raise LlmError(f"{channel.label} cannot be asked: {refused}") from None
        except httpx2.HTTPError as error:
            retryable = not isinstance(error, (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol))
            raise LlmError(f"{channel.label} gave no answer: {Unanswered.reason(error)}", retryable=retryable) from None
        except (httpx2.InvalidURL, ValueError):  # what they say quotes the address, and what is in it
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


def _headers(adapter: HttpAdapter, channel: Channel) -> dict[str, str]:
    """The adapter's headers, each replaced by the channel's of the same name, whatever its case."""
    headers: dict[str, str] = {}
    try:
        for name, value in (*adapter.headers(channel).items(), *channel.headers.items()):
            headers[Headers.further(name).lower()] = Headers.value(value)
    except ValueError as error:
        raise LlmError(f"{channel.label} has a key or a header that cannot be sent: {error}") from None
    return headers


def _event(name: str, value: Any, channel: Channel) -> Any:
    """An event as its protocol knows it; `None` for one that says nothing.

    Raises:
        LlmError: It tells of an error, or is of no protocol.
    """
    if value == DONE:
        return DONE
    if value is None or name == "ping" or value == {}:
        return None
    event = {"type": name, **value} if name and isinstance(value, dict) else value
    if error_in(event) is not None:
        raise reported(event, channel)
    if not isinstance(event, dict):
        raise _not_theirs(channel, readable(hide(str(event), secrets_of(channel))))
    return event


def _is_framed(response: httpx2.Response) -> bool:
    """Whether an answer that came without a mishap came whole: HTTP has told its end. Many services tell it in no other way."""
    headers = response.headers
    return response.http_version == "HTTP/2" or "content-length" in headers or "transfer-encoding" in headers


def _next(response: httpx2.Response, url: httpx2.URL, channel: Channel) -> httpx2.URL:
    """Where a redirect leads, when that is the same host: a key goes to nobody else."""
    target = url.join(response.headers["location"])
    safer = url.scheme == "http" and target.scheme == "https"
    if target.host != url.host or not (safer or (target.scheme, target.port) == (url.scheme, url.port)):
        shown = f"{target.scheme}://{target.netloc.decode('ascii', 'replace')}{target.path}"
        raise LlmError(
            f"{channel.label} answered {response.status_code} and leads to {readable(hide(shown, secrets_of(channel)))}; "
            "if that is right, make it the base URL",
            status=response.status_code,
        )
    return target


class _understood:  # noqa: N801 - used as a function
    """Turns what reading an answer of another protocol raises into what it means."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (LookupError, TypeError, AttributeError, ValueError)):
            raise _not_theirs(self._channel) from None


def _not_theirs(channel: Channel, said: str = "") -> LlmError:
    reason = f": {said}" if said else ""
    return LlmError(f"{channel.label} answered something that is not of its protocol ({channel.adapter}){reason}")


def _no_answer(answer: Answer, events: Sequence[Any], channel: Channel) -> LlmError:
    if answer.came or not events:
        return LlmError(f"{channel.label} broke off before its answer was whole", retryable=True)
    return _not_theirs(channel, reason_of(hide(events[-1], secrets_of(channel))))


def _worth_another_try(error: Exception) -> bool | float:
    if not isinstance(error, LlmError) or not error.retryable:
        return False
    if error.retry_after_s is None:
        return True
    return error.retry_after_s if error.retry_after_s <= _LONGEST_WAIT_S else False
