"""HttpRequest: a request through the guarded client."""

from collections.abc import Mapping
from typing import Any, Final

import httpx2

from tavernkeep import DataFlowType, NodeContext, NodeDefinition, NodeFailure, Slot, choices
from tavernkeep.wire import Invalid, describe, dumps, loads
from tavernkeep_guard.contracts import Headers, OutgoingHttp, OutgoingRefused, Unanswered

_T = DataFlowType

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")

_MAX_BYTES: Final = 10 * 1024 * 1024

_MOST_REDIRECTS: Final = 5

_TIMEOUT_S: Final = 30.0


async def http_request(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Send a request; give the answer, which is no failure whatever its status unless the configuration says so."""
    method = str(context.config.get("method", "GET")).upper()
    if method not in _METHODS:
        raise NodeFailure(f"method must be one of {', '.join(_METHODS)}, not {method!r}")
    max_bytes = _number(context.config, "maxBytes", _MAX_BYTES)
    headers, query = _headers(_texts(inputs, "headers"), context), _texts(inputs, "query")
    content, kind = _body(inputs.get("body"))
    if kind and "content-type" not in {name.lower() for name in headers}:
        headers["content-type"] = kind
    http = context.service(OutgoingHttp)
    async with http.client(timeout_s=_number(context.config, "timeoutS", _TIMEOUT_S)) as client:
        client.max_redirects = _MOST_REDIRECTS
        client.follow_redirects = context.config.get("followRedirects", True) is not False
        try:
            async with client.stream(method, str(inputs["url"]), headers=headers, params=query or None, content=content) as answer:
                data = await _read(answer, max_bytes)
        except OutgoingRefused as refused:
            raise NodeFailure(str(refused), slot="url") from None
        except (httpx2.InvalidURL, UnicodeError):  # what they say quotes the address, and what is in it
            raise NodeFailure("url is no address that begins with http:// or https://", slot="url") from None
        except httpx2.UnsupportedProtocol as error:
            raise NodeFailure(f"url: {Unanswered.reason(error)}", slot="url") from None
        except httpx2.TimeoutException:
            raise NodeFailure("there was no answer in time", retryable=True) from None
        except httpx2.TooManyRedirects:
            raise NodeFailure(f"there were more than {_MOST_REDIRECTS} redirects", slot="url") from None
        except httpx2.HTTPError as error:
            raise NodeFailure(f"the request failed: {Unanswered.reason(error)}", retryable=True) from None
    text = data.decode(answer.encoding or "utf-8", "replace")
    if context.config.get("failOnError") is True and answer.status_code >= 400:
        raise NodeFailure(
            f"the answer was {answer.status_code}: {text[:200]}", retryable=answer.status_code >= 500 or answer.status_code == 429
        )
    return {
        "status": answer.status_code,
        "ok": answer.is_success,
        "headers": dict(answer.headers),
        "text": text,
        "json": _json(data),
    }


async def _read(answer: httpx2.Response, max_bytes: int) -> bytes:
    pieces, length = [], 0
    async for piece in answer.aiter_bytes():
        length += len(piece)
        if length > max_bytes:
            raise NodeFailure(f"the answer is longer than {max_bytes} bytes (maxBytes)")
        pieces.append(piece)
    return b"".join(pieces)


def _body(body: Any) -> tuple[bytes | None, str | None]:
    if body is None:
        return None, None
    if isinstance(body, (str, bytes)):
        return (body.encode() if isinstance(body, str) else body), "text/plain; charset=utf-8"
    return dumps(body), "application/json"


def _json(data: bytes) -> Any:
    try:
        return loads(data)
    except Invalid:
        return None


def _texts(inputs: Mapping[str, Any], slot: str) -> dict[str, str]:
    value = inputs.get(slot) or {}
    if not isinstance(value, dict):
        raise NodeFailure(f"{slot} must be an object, not {describe(value)}", slot=slot)
    return {
        str(key): "true" if item is True else "false" if item is False else str(item) for key, item in value.items() if item is not None
    }


def _headers(given: Mapping[str, str], context: NodeContext) -> dict[str, str]:
    for secret in Headers.secrets(given):
        context.hide(secret)
    try:
        return {Headers.name(name): Headers.value(value) for name, value in given.items()}
    except ValueError as error:
        raise NodeFailure(f"headers: {error}", slot="headers") from None


def _number(config: Mapping[str, Any], key: str, default: float) -> Any:
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise NodeFailure(f"{key} must be a number above 0, not {value!r}")
    return value


REQUEST = NodeDefinition(
    type="Request",
    namespace="http",
    category="HTTP",
    display_name="HTTP request",
    description="Sends an HTTP request. Where it may go is the operator's to say (guard).",
    width=300,
    inputs={
        "url": Slot(_T.STRING, display_name="URL", required=True, match_categories=("Url",)),
        "query": Slot(_T.OBJECT),
        "headers": Slot(_T.OBJECT, secret=True, description="They often hold keys, and are never shown."),
        "body": Slot(_T.WILDCARD, description="A text, or anything else as JSON.", match_categories=("BehaviorWildcard",)),
    },
    outputs={
        "status": Slot(_T.INTEGER),
        "ok": Slot(_T.BOOLEAN),
        "headers": Slot(_T.OBJECT),
        "text": Slot(_T.STRING),
        "json": Slot(_T.WILDCARD, display_name="JSON", description="What the text says, where it is JSON.", match_categories=("Json",)),
    },
    config_schema={
        "method": Slot(
            _T.STRING,
            display_name="Method 方法",
            description="What to do at the address.",
            match_categories=("ComboOption",),
            config={"default": "GET", "suggestions": choices(_METHODS)},
        ),
        "timeoutS": Slot(
            _T.FLOAT,
            display_name="Time limit, seconds 时限（秒）",
            description="It fails when there is no answer in this time.",
            config={"default": _TIMEOUT_S, "min": 0.1},
        ),
        "maxBytes": Slot(
            _T.INTEGER,
            display_name="Longest answer, bytes 最长响应（字节）",
            description="It fails when the answer is longer.",
            config={"default": _MAX_BYTES, "min": 1},
        ),
        "followRedirects": Slot(
            _T.BOOLEAN,
            display_name="Follow redirects 跟随重定向",
            description=f"Go where an answer points, up to {_MOST_REDIRECTS} times.",
            config={"default": True},
        ),
        "failOnError": Slot(
            _T.BOOLEAN,
            display_name="Fail on 400 and above 状态 400 及以上时失败",
            description="Else such an answer is given as any other.",
            config={"default": False},
        ),
    },
    config_values={"method": "GET", "timeoutS": _TIMEOUT_S, "maxBytes": _MAX_BYTES, "followRedirects": True, "failOnError": False},
    execute=http_request,
    is_preview_unsafe=True,
)
