"""`/api/characters…`."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import quote

import attrs

from tavernkeep import ApiError, FileResponse, Request, Response, Route, UserContext
from tavernkeep.wire import Invalid, Problem, dumps, loads, structure
from tavernkeep_characters.bodies import Characters, CharacterShown, ExportQuery, NewQuery, Removed
from tavernkeep_characters.changes import Kept, Offered
from tavernkeep_characters.fields import as_version
from tavernkeep_characters.keeping import CharacterKeeper
from tavernkeep_characters.library import FOLDER
from tavernkeep_characters.pictures import LONGEST
from tavernkeep_files.contracts import READ, WRITE, Files, PathError

_PICTURES: Final = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
_FORMATS: Final = {"png": "image/png", "json": "application/json", "charx": "application/zip"}
_FILES: Final = ("application/zip", "application/octet-stream")
_PARTS: Final = {"card": "card", "file": "file", "picture": "picture", "avatar": "picture"}
_ROOM: Final = 1024 * 1024  # bytes for what a multipart body has around its parts


@attrs.frozen
class CharacterRoutes:
    """The handlers; each does what its route says."""

    files: Files
    keeper: CharacterKeeper

    def routes(self) -> list[Route]:
        """The routes."""
        bad = {400: "The name is no safe one."}
        gone = bad | {404: "There is no such character."}
        large = {413: "It is too large."}
        room = large | {409: "Something is in the way.", 415: "It is in no form that is read.", 422: "It is no character."}
        room |= {507: "There is no room."}
        stale = {412: "It has changed since `If-Match`."}
        one, most = "/api/characters/{name}", self.keeper.maker.config.max_card_bytes + _ROOM
        taken: dict[str, Any] = {"answers": CharacterShown, "max_body": most, "content": "multipart/form-data"}
        return [
            Route("GET", "/api/characters", self.characters, READ),
            Route("POST", "/api/characters", self.add, WRITE, status=201, errors=bad | room, **taken),
            Route(
                "GET",
                "/api/characters/image/{name:path}",
                self.image,
                READ,
                errors={400: "The name is no safe one.", 404: "There is no such picture.", 415: "It is no picture."},
            ),
            Route("GET", one, self.character, READ, answers=CharacterShown, errors=gone),
            Route("PUT", one, self.change, WRITE, errors=gone | room | stale, **taken),
            Route("DELETE", one, self.remove, WRITE, errors=gone | stale),
            Route("GET", one + "/export", self.export, READ, errors=gone | large),
        ]

    async def characters(self, user: UserContext) -> Characters:
        """The user's characters, by name; a JSON card beside a picture of the same name wins over what the picture says."""
        return Characters(True, [character.shown() for character in await self.keeper.all(user)])

    async def image(self, name: str, user: UserContext) -> FileResponse:
        """The picture of a character."""
        try:
            located = self.files.locate(FOLDER / name, user)
        except PathError as error:
            raise _refused(error.status, str(error)) from None
        kind = _PICTURES.get(located.path.suffix.lower())
        if kind is None:
            raise _refused(415, f"{name!r} is no picture.")
        if not await asyncio.to_thread(located.path.is_file):
            raise _refused(404, f"There is no picture {name!r}.")
        return FileResponse(located.path, kind)

    async def character(self, name: str, user: UserContext) -> Response:
        """A character with its whole card."""
        return _shown(await self.keeper.one(name, user))

    async def add(self, query: NewQuery, request: Request, user: UserContext) -> Response:
        """Add a character: a card as JSON, a file that holds one, or a multipart body with a `file`, or with a `card` and a `picture`."""
        kept, warnings = await self.keeper.add(await self._given(request), query.id, user)
        return _shown(kept, warnings, status=201)

    async def change(self, name: str, request: Request, user: UserContext) -> Response:
        """Change fields of a character's card, its picture, or all of it; `If-Match` with the old `ETag` is honoured."""
        given = await self._given(request)
        kept, warnings = await self.keeper.change(name, given, request.headers.get("if-match"), user)
        return _shown(kept, warnings)

    async def remove(self, name: str, request: Request, user: UserContext) -> Removed:
        """Move a character to the recycle bin."""
        return Removed(True, await self.keeper.remove(name, request.headers.get("if-match"), user))

    async def export(self, name: str, query: ExportQuery, user: UserContext) -> Response:
        """A character as a file: its picture with the card in it, the card as JSON, or a charx archive with its assets."""
        kept, data = await self.keeper.exported(name, query.format, int(query.spec), user)
        file = f"{kept.character.id}.{query.format}"
        plain = re.sub(r"[^\w .-]", "_", file, flags=re.ASCII)
        headers = {"Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file, safe='')}"}
        return Response(data, _FORMATS[query.format], headers=headers)

    async def _given(self, request: Request) -> Offered:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            return await self._parts(request)
        if kind == "application/json" or kind.endswith("+json"):
            return Offered(card=_card(await request.body()))
        if kind in _FILES or kind in _PICTURES.values():
            return Offered(file=await request.body())
        raise ApiError(415, f"A character comes as JSON, as multipart/form-data or as a file that holds it, not as {kind or 'nothing'}.")

    async def _parts(self, request: Request) -> Offered:
        found: dict[str, Any] = {}
        async for part in request.parts():
            name = _PARTS.get(part.name)
            if name is None or name in found:
                problem = "there are two of it" if name else f"expected one of {', '.join(_PARTS)}"
                raise Invalid([Problem(part.name[:200], problem)])
            found[name] = await self._read(part.chunks)
        if "card" in found:
            found["card"] = _card(found["card"])
        return Offered(**found)

    async def _read(self, chunks: AsyncIterator[bytes]) -> bytes:
        data, most = bytearray(), self.keeper.maker.config.max_card_bytes
        async for chunk in chunks:
            data += chunk
            if len(data) > most:
                raise ApiError(413, f"It is larger than {most} bytes (characters.maxCardBytes).")
        return bytes(data)


def _card(data: bytes) -> dict[str, Any]:
    if len(data) > LONGEST:
        raise ApiError(413, f"The card is longer than {LONGEST} bytes.")
    return structure(loads(data), dict[str, Any])


def _shown(kept: Kept, warnings: tuple[str, ...] = (), status: int = 200) -> Response:
    data = {**kept.character.shown(), "card": as_version(kept.character.card, 3)}
    data |= {"warnings": list(warnings)} if warnings else {}
    return Response(dumps({"success": True, "data": data}), "application/json", status, {"ETag": f'"{kept.tag}"'})


def _refused(status: int, message: str) -> ApiError:
    return ApiError(status, message, body={"success": False, "message": message, "error": message})
