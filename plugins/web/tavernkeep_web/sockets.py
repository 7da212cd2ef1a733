"""`/ws`: a bare ASGI endpoint. Every message of every execution passes here, so there are as few layers as possible."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final

import attrs
import msgspec
import structlog

from tavernkeep.contracts.app import App
from tavernkeep.contracts.auth import BEARER, KEY_PREFIX, AuthError, AuthProvider, Credentials, UserContext
from tavernkeep.contracts.events import Event
from tavernkeep.contracts.execution import Refused, Scheduler
from tavernkeep.contracts.http import ApiError, WebSocketMessage
from tavernkeep.contracts.storage import Unavailable
from tavernkeep.wire import Invalid, describe, dumps, loads, structure, unstructure
from tavernkeep_web.authority import Authority
from tavernkeep_web.binding import handled
from tavernkeep_web.config import WebConfig
from tavernkeep_web.forwarded import arrival_of
from tavernkeep_web.gate import Denied, Gate
from tavernkeep_web.outbox import Outbox
from tavernkeep_web.presence import Presence
from tavernkeep_web.watching import Watching

_log = structlog.get_logger(__name__)

_GOING_AWAY: Final = 1001
_TRY_AGAIN_LATER: Final = 1013
_LOG_IN_AGAIN: Final = 4401
_LONGEST_REASON: Final = 123  # bytes; RFC 6455, section 5.5
_SHOWN: Final = 200  # characters of what was sent
_NO_KEYS: Final = ("null", "undefined")  # what JavaScript makes of a key that is none
_TURN: Final = 200  # frames sent before others on the event loop get their turn
_BATCH: Final = 256 * 1024  # bytes after which a frame takes no further message
_NO_WINDOW: Final = re.compile(r"max_window_bits[^=;,]*=(?!\s*\d{1,9}\s*(?:[;,]|$))")
_LONGEST_ID: Final = 4096  # characters of a request's id that is repeated
_CLOSE_WAIT_S: Final = 5.0  # for the close frame to a viewer that reads nothing


@attrs.frozen(eq=False)
class SocketEndpoint:
    """Accepts viewers.

    Attributes:
        closing: Once it is set, every viewer is sent what waits for it and disconnected.
    """

    app: App
    gate: Gate
    config: WebConfig
    closing: asyncio.Event

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one WebSocket connection."""
        await receive()  # websocket.connect
        headers = _headers(scope)
        if _NO_WINDOW.search(headers.get("sec-websocket-extensions", "")):  # Hypercorn would fail on it
            await refuse_handshake(scope, send, 400, "The window that is offered for permessage-deflate is no number.")
            return
        try:
            if KEY_PREFIX.encode() in scope.get("query_string", b""):
                raise Denied("there is an API key in the address, where logs keep it: revoke it, and use the subprotocols `bearer, KEY`")
            origins = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"origin"]
            self.gate.check("CONNECT", headers.get("host"), origins)
            credentials = credentials_of(scope, headers)
            user = await self.app.services.get(AuthProvider).authenticate(credentials)
            if user is None:
                raise AuthError("Log in first.")
        except (Denied, AuthError) as refusal:
            await refuse_handshake(scope, send, getattr(refusal, "status", 403), str(refusal))
            return
        except Unavailable as unavailable:
            await refuse_handshake(scope, send, 503, str(unavailable))
            return
        await send(_accepted(scope))
        presence = Presence(self.app, user, credentials, self.config.socket_recheck_s)
        await _Connection(self.app, presence, self.config, receive, send).serve(self.closing)


def _headers(scope: Any) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def credentials_of(scope: Any, headers: Mapping[str, str]) -> Credentials:
    """What a request or handshake carries that may say who sent it; the key of a front end that has none is none."""
    client, server = scope.get("client"), scope.get("server")
    subprotocols = tuple(scope.get("subprotocols", ()))
    if headers.get("authorization", "").removeprefix("Bearer ") in _NO_KEYS:
        headers = {name: value for name, value in headers.items() if name != "authorization"}
    if subprotocols[1:] and subprotocols[1] in _NO_KEYS:
        subprotocols = ()
    cookies: dict[str, str] = {}
    for part in headers.get("cookie", "").split(";"):
        name, equals, value = part.strip().partition("=")
        if equals:
            cookies.setdefault(name, value)  # of several the one for the longest path comes first
    return Credentials(
        headers=headers,
        cookies=cookies,
        client=client[0] if client else None,
        server=server[0] if server else None,
        subprotocols=subprotocols,
        forwarded=arrival_of(scope).named,
    )


class _Asked(msgspec.Struct, rename="camel"):
    request_id: str | int | float | None = None


class _Envelope(msgspec.Struct):
    payload: _Asked = msgspec.field(default_factory=_Asked)


_envelope_in = msgspec.json.Decoder(_Envelope).decode  # it skips all else, of a message that is too large too


def _asked_in(frame: Mapping[str, Any]) -> dict[str, Any]:
    """The `requestId` of a message that is answered with an error, for its sender to know which it was."""
    try:
        request_id = _envelope_in(frame.get("text") or "").payload.request_id
    except (msgspec.MsgspecError, RecursionError, UnicodeError):  # it has none that could be repeated
        return {}
    return {} if request_id is None or len(str(request_id)) > _LONGEST_ID else {"requestId": request_id}


async def refuse_handshake(scope: Any, send: Any, status: int, message: str) -> None:
    """Answer a handshake with an error, and say in the log why.

    A browser's is taken and closed at once: of an answer that is none of a socket a page is not told anything, of a reason to close it is.
    """
    headers = _headers(scope)
    shown = {name: headers.get(name, "")[:_SHOWN] for name in ("origin", "host")}
    _log.warning("a WebSocket is refused", reason=message, status=status, path=scope["path"][:_SHOWN], client=scope.get("client"), **shown)
    is_browsers = "origin" in headers and headers.get("user-agent", "").startswith("Mozilla/")
    if is_browsers:
        await send(_accepted(scope))
    if is_browsers or "websocket.http.response" not in scope.get("extensions", {}):
        reason = message.encode()[:_LONGEST_REASON].decode(errors="ignore")
        await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER if status >= 500 else 4000 + status, "reason": reason})
        return
    answer = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": answer})
    await send({"type": "websocket.http.response.body", "body": dumps({"error": message})})


def _accepted(scope: Any) -> dict[str, str]:
    return {"type": "websocket.accept"} | ({"subprotocol": BEARER} if BEARER in scope.get("subprotocols", ()) else {})


class _Connection:
    """One viewer; what message handlers get as their `Client`."""

    def __init__(self, app: App, presence: Presence, config: WebConfig, receive: Any, send: Any) -> None:
        self._presence = presence
        self._app = app
        self._config = config
        self._receive = receive
        self._send = send
        self._outbox = Outbox(config.socket_queue_messages, config.socket_queue_bytes)
        self._watching = Watching(app.events, self._outbox, self._fetch, self.send)
        self._batches = False

    async def serve(self, closing: asyncio.Event) -> None:
        """Take messages and send events until either side ends it, or `closing` is set."""
        unlisten = self._app.events.listen(self._outbox.put_notice)
        writer = asyncio.create_task(self._write())
        # The overflow is waited for apart from the writer, which a viewer that reads nothing holds up in the middle of a message.
        ends = (self._read(), closing.wait(), self._outbox.overflow.wait(), self._presence.end())
        tasks = {writer, *map(asyncio.create_task, ends)}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if closing.is_set():
                await self._watching.close()
                self._outbox.close()
                await asyncio.wait({writer}, timeout=_CLOSE_WAIT_S)
        finally:
            unlisten()
            await self._watching.close()
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            for result in results:
                if isinstance(result, Exception):
                    _log.error("socket failed", exc_info=result)
        if closing.is_set():
            await self._close(_GOING_AWAY, "the server is stopping")
        elif self._presence.has_ended:
            await self._close(_LOG_IN_AGAIN, "the session or key that opened this socket has ended")
        elif self._outbox.overflow.is_set():
            _log.warning("viewer is too slow and is disconnected", user=self.user.uid)
            await self._close(_TRY_AGAIN_LATER, "too slow; SUBSCRIBE with `after` to resume")

    async def _close(self, code: int, reason: str) -> None:
        # What comes in is read to the end: unread messages keep Hypercorn from ending the connection, for ever where there are some.
        rest = asyncio.create_task(self._read_to_the_end())
        try:
            async with asyncio.timeout(_CLOSE_WAIT_S):
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
                await rest
        except TimeoutError:
            _log.info("viewer does not even take the close frame, or does not answer it", user=self.user.uid)
        finally:
            rest.cancel()
            await asyncio.wait([rest])

    async def _read_to_the_end(self) -> None:
        while (await self._receive())["type"] != "websocket.disconnect":
            pass

    async def _write(self) -> None:
        outbox, send = self._outbox, self._send
        while not outbox.drained:
            await outbox.wait()
            for _ in range(_TURN):
                data = self._take_batch() if self._batches else outbox.take()
                if data is None:
                    break
                await send({"type": "websocket.send", "text": data.decode()})
            else:
                await asyncio.sleep(0)

    def _take_batch(self) -> bytes | None:
        taken: list[bytes] = []
        size = 0
        while len(taken) < _TURN and size < _BATCH and (data := self._outbox.take()) is not None:
            taken.append(data)
            size += len(data)
        return b"[" + b",".join(taken) + b"]" if taken else None

    async def _read(self) -> None:
        while True:
            frame = await self._receive()
            if frame["type"] == "websocket.disconnect":
                return
            if (error := await self._problem_with(frame)) is not None:
                self.send("error", error | _asked_in(frame))

    async def _problem_with(self, frame: Mapping[str, Any]) -> dict[str, Any] | None:
        """Handle a message; gives what its sender is told where that cannot be done."""
        try:
            await self._handle(frame)
        except Invalid as invalid:
            return {"message": str(invalid), "details": unstructure(invalid.problems)}
        except Refused as refused:
            return {"message": str(refused), "details": unstructure(refused.problems)}
        except ApiError as error:
            details = error.body.get("details")
            return {"message": str(error)} | ({} if details is None else {"details": details})
        except Unavailable as unavailable:
            _log.error("the database is unavailable", reason=unavailable.reason, problem=str(unavailable))
            return {"message": str(unavailable), "details": {"reason": unavailable.reason}}
        except Exception as error:
            _log.exception("message handler failed")
            return {"message": f"The message could not be processed: {type(error).__name__}"}
        return None

    async def _handle(self, frame: Mapping[str, Any]) -> None:
        text = frame.get("text")
        if text is None:
            raise ApiError(400, "Messages are JSON in text frames; this was a binary frame.")
        if len(text) > self._config.max_body_bytes:
            raise ApiError(
                413,
                f"The message has {len(text)} characters; at most {self._config.max_body_bytes} are taken (web.maxBodyBytes).",
            )
        message = loads(text)
        if not isinstance(message, dict):
            raise ApiError(400, f"A message is an object with a type and a payload, not {describe(message)}.")
        type_ = message.get("type")
        if not isinstance(type_, str):
            raise ApiError(
                400, f"A message's type is a string, not {describe(type_)}." if "type" in message else "The message has no type."
            )
        known = self._app.messages.get(type_)
        if known is None:
            raise ApiError(400, f"Unknown message type: {type_[:200]}")
        await self._dispatch(known, message.get("payload"))

    async def _dispatch(self, message: WebSocketMessage, payload: Any) -> None:
        authority = Authority(message.scope, message.type, message.sources())
        authority.admit(self.user, {})
        if message.payload_type is not Any:
            payload = structure(payload, message.payload_type, "payload")
        authority.check(self.user, {"payload": payload})
        await handled(message.handler(payload, self))

    async def _fetch(self, execution_id: str, after: int, limit: int) -> list[Event] | None:
        return await self._app.services.get(Scheduler).events_after(execution_id, self.user, after, limit)

    # What handlers may do; see `tavernkeep.contracts.http.Client`

    @property
    def user(self) -> UserContext:
        """Who it is."""
        return self._presence.user

    def send(self, type_: str, payload: Mapping[str, Any]) -> None:
        """Queue a message."""
        self._outbox.put_message(type_, payload)

    def watch(self, execution_id: str, after: int | None = None) -> None:
        """Send the events of an execution after a number, or from now on."""
        self._watching.watch(execution_id, after)

    def unwatch(self, execution_id: str) -> None:
        """Stop sending them."""
        self._watching.unwatch(execution_id)

    def allow_batches(self) -> None:
        """Send several messages in one frame from now on."""
        self._batches = True
