"""Request bodies piece by piece: who sends one is held back while nobody reads it, so that its length costs no memory."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Final

import attrs
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from tavernkeep.contracts.http import ApiError, Part

_METER: Final = "tavernkeep.body"
_AHEAD: Final = 1024 * 1024  # bytes that may wait unread
_MOST_PARTS: Final = 10_000


@attrs.define(eq=False)
class BodyMeter:
    """Counts what has come in of a body, and what of it was read.

    Attributes:
        received: Set when the body has come in, read or not.
    """

    received: asyncio.Event = attrs.field(factory=asyncio.Event)
    _unread: int = 0
    _open: bool = False
    _room: asyncio.Event = attrs.field(factory=asyncio.Event)

    def open(self) -> None:
        """Let everything come: whoever reads it takes it whole, within its limit, or drops it."""
        self._open = True
        self._room.set()

    def came(self, size: int) -> None:
        """So many bytes have come in."""
        self._unread += size

    def taken(self, size: int) -> None:
        """So many bytes were read."""
        self._unread -= size
        self._room.set()

    async def wait_for_room(self) -> None:
        """Return when more may come in."""
        while not self._open and self._unread > _AHEAD:
            self._room.clear()
            await self._room.wait()


def metered(scope: Any, receive: Any) -> tuple[Any, Any]:
    """A request's scope with a meter in it, and a `receive` that the meter holds back."""
    meter = BodyMeter()

    async def metered_receive() -> Any:
        if not meter.received.is_set():
            await meter.wait_for_room()
        message = await receive()
        meter.came(len(message.get("body", b"")))
        if not message.get("more_body"):
            meter.received.set()
        return message

    return {**scope, _METER: meter}, metered_receive


def meter_of(scope: Any) -> BodyMeter:
    """The meter of a request."""
    meter: BodyMeter = scope[_METER]
    return meter


async def parts_of(content_type: str, chunks: AsyncIterator[bytes]) -> AsyncGenerator[Part, None]:
    """The parts of a multipart body; one that is not read to its end is passed over.

    Raises:
        ApiError: It is no multipart body (415), or a broken one (400).
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get("boundary")
    if kind != "multipart/form-data":
        raise ApiError(415, f"The body must be multipart/form-data, not {kind or 'of no type'}.")
    if not boundary:
        raise ApiError(400, "The multipart body's type does not say how its parts are divided: a boundary is missing, or no plain text.")
    events = _events(MultipartDecoder(boundary.encode(), max_parts=_MOST_PARTS), chunks)
    async with aclosing(events):
        try:
            async for event in events:
                if isinstance(event, (Field, File)):
                    part = Part(
                        event.name,
                        event.filename if isinstance(event, File) else None,
                        event.headers.get("content-type", "application/octet-stream" if isinstance(event, File) else "text/plain"),
                        _content(events),
                    )
                    yield part
                    async for _ in part.chunks:
                        pass
        except (ValueError, UnicodeError) as error:
            raise ApiError(400, f"The multipart body is broken: {error}") from None


async def _events(decoder: MultipartDecoder, chunks: AsyncIterator[bytes]) -> AsyncGenerator[Any, None]:
    async for chunk in chunks:
        decoder.receive_data(chunk)
        while True:
            event = decoder.next_event()
            if isinstance(event, NeedData):
                break
            yield event
            if isinstance(event, Epilogue):
                return
    decoder.receive_data(None)
    while not isinstance(event := decoder.next_event(), (NeedData, Epilogue)):
        yield event


async def _content(events: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    async for event in events:
        assert isinstance(event, Data), "a part's head is followed by its data"
        if event.data:
            yield event.data
        if not event.more_data:
            return
