"""Any service that speaks the chat-completions protocol of OpenAI, over HTTP and server-sent events."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, TypeVar

import httpx2
import stamina

from tavernkeep import Chunk
from tavernkeep.logs import hide
from tavernkeep.wire import Invalid, loads
from tavernkeep_nodes_llm.channels import LlmConfig
from tavernkeep_nodes_llm.contracts import Channel, LlmError, LlmRequest, LlmResponse

T = TypeVar("T")
_Pieces = AsyncGenerator[Chunk | LlmResponse, None]

_LONGEST_ERROR: Final = 500  # characters of a service's error that are shown
_LONGEST_WAIT_S: Final = 60.0  # a `Retry-After` beyond this is not waited for


class OpenAiAdapter:
    """Talks to OpenAI-compatible services.

    Args:
        client: Gives the HTTP client; called at each request, so that none is made before it is needed.
    """

    id = "openai"
    name = "OpenAI-compatible"

    def __init__(self, client: Callable[[], httpx2.AsyncClient], config: LlmConfig) -> None:
        self._client = client
        self._config = config

    async def complete(self, request: LlmRequest, channel: Channel) -> LlmResponse:
        """See `LlmAdapter`."""

        async def ask() -> LlmResponse:
            async with self._post(request, channel, stream=False) as response:
                return _whole(await response.aread(), channel, request.model)

        return await self._with_retries(ask)

    async def stream(self, request: LlmRequest, channel: Channel) -> _Pieces:
        """See `LlmAdapter`. A request is tried again only while nothing of the answer has come."""
        pieces, first = await self._with_retries(lambda: self._begin(request, channel))
        async with aclosing(pieces):
            yield first
            async for piece in pieces:
                yield piece

    async def _begin(self, request: LlmRequest, channel: Channel) -> tuple[_Pieces, Chunk | LlmResponse]:
        pieces = self._pieces(request, channel)
        return pieces, await anext(pieces)

    async def _pieces(self, request: LlmRequest, channel: Channel) -> _Pieces:
        answer = _Answer(channel, request.model)
        async with self._post(request, channel, stream=True) as response:
            try:
                async for event in httpx2.EventSource(response):
                    if event.data == "[DONE]":
                        answer.ended = True
                        break
                    for chunk in answer.take(event.data):
                        yield chunk
            except httpx2.SSEError as error:
                raise LlmError(f"{channel.label} answered no event stream: {error}") from None
        for piece in answer.finish():
            yield piece

    @asynccontextmanager
    async def _post(self, request: LlmRequest, channel: Channel, *, stream: bool) -> AsyncIterator[httpx2.Response]:
        body = {"model": request.model, "messages": list(request.messages), **request.parameters, "stream": stream}
        if stream:
            body["stream_options"] = {"include_usage": True}
        headers = dict(channel.headers)
        if channel.api_key:
            headers["Authorization"] = f"Bearer {channel.api_key}"
        try:
            async with self._client().stream("POST", f"{channel.base_url}/chat/completions", json=body, headers=headers) as response:
                if response.status_code >= 400:
                    raise await _refusal(response, channel)
                yield response
        except httpx2.TimeoutException:
            raise LlmError(f"{channel.label} did not answer in time", retryable=True) from None
        except httpx2.HTTPError as error:
            raise LlmError(f"{channel.label} cannot be reached, or broke off: {error or type(error).__name__}", retryable=True) from None
        except httpx2.InvalidURL as error:
            raise LlmError(f"{channel.label} has an address that is no URL ({channel.base_url}): {error}") from None

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
        error = loads(text).get("error")
        message = error.get("message") if isinstance(error, dict) else error
    except (Invalid, AttributeError):
        message = None
    shown = hide(str(message or text or response.reason_phrase)[:_LONGEST_ERROR], [channel.api_key])  # some quote the key they refuse
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


def _object(data: bytes | str, channel: Channel) -> Mapping[str, Any]:
    try:
        value = loads(data)
    except Invalid:
        value = None
    if not isinstance(value, dict):
        raise LlmError(f"{channel.label} answered something that is no chat completion")
    if value.get("error"):
        error = value["error"]
        message = error.get("message", error) if isinstance(error, dict) else error
        raise LlmError(f"{channel.label} reported an error: {str(message)[:_LONGEST_ERROR]}")
    return value


def _whole(data: bytes, channel: Channel, model: str) -> LlmResponse:
    answer = _object(data, channel)
    try:
        choice = answer["choices"][0]
        text = choice["message"].get("content") or ""
    except (LookupError, TypeError, AttributeError):
        raise LlmError(f"{channel.label} answered something that is no chat completion") from None
    return LlmResponse(
        text=text if isinstance(text, str) else str(text),
        model=str(answer.get("model") or model),
        finish_reason=choice.get("finish_reason"),
        usage=answer.get("usage"),
        choices=answer["choices"],
        response_id=answer.get("id"),
        raw=answer,
    )


class _Answer:
    """Puts an answer together from the events of its stream."""

    def __init__(self, channel: Channel, model: str) -> None:
        self._channel = channel
        self._model = model
        self._id: str | None = None
        self._texts: list[str] = []
        self._usage: Mapping[str, Any] | None = None
        self._finish_reason: str | None = None
        self._tool_calls: dict[int, dict[str, Any]] = {}
        self.ended = False

    def take(self, data: str) -> list[Chunk]:
        """The chunks of one event."""
        event = _object(data, self._channel)
        self._id = self._id or event.get("id")
        self._model = event.get("model") or self._model
        self._usage = event.get("usage") or self._usage
        choices = event.get("choices")
        if not choices:
            return []
        try:
            choice = choices[0]
            delta = choice.get("delta") or {}
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            chunks = []
            if text := delta.get("content"):
                self._texts.append(text)
                chunks.append(Chunk("text_chunk", text))
            for call in delta.get("tool_calls") or ():
                self._merge_tool_call(call)
                chunks.append(Chunk("tool_call_chunk", call))
        except (LookupError, TypeError, AttributeError):
            raise LlmError(f"{self._channel.label} answered something that is no chat completion") from None
        return chunks

    def _merge_tool_call(self, call: Mapping[str, Any]) -> None:
        whole = self._tool_calls.setdefault(call.get("index", 0), {"type": "function", "function": {"name": "", "arguments": ""}})
        if call.get("id"):
            whole["id"] = call["id"]
        for key in ("name", "arguments"):
            whole["function"][key] += (call.get("function") or {}).get(key) or ""

    def finish(self) -> list[Chunk | LlmResponse]:
        """The last pieces.

        Raises:
            LlmError: The stream stopped before the answer was whole.
        """
        if not self.ended and self._finish_reason is None:
            raise LlmError(f"{self._channel.label} broke off before its answer was whole", retryable=True)
        text = "".join(self._texts)
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if self._tool_calls:
            message["tool_calls"] = [call for _, call in sorted(self._tool_calls.items())]
        response = LlmResponse(
            text=text,
            model=self._model,
            finish_reason=self._finish_reason or "stop",
            usage=self._usage,
            choices=[{"index": 0, "message": message, "finish_reason": self._finish_reason or "stop"}],
            response_id=self._id,
        )
        usage: list[Chunk | LlmResponse] = [Chunk("usage_chunk", self._usage)] if self._usage else []
        return [*usage, response]
