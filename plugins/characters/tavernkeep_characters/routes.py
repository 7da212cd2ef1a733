"""`/api/characters…`."""

import asyncio
from typing import Final

import attrs

from tavernkeep import ApiError, FileResponse, Route, UserContext
from tavernkeep_characters.bodies import Characters
from tavernkeep_characters.library import FOLDER, characters_in
from tavernkeep_files.contracts import READ, Files, PathError

_PICTURES: Final = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}


@attrs.frozen
class CharacterRoutes:
    """The handlers; each does what its route says."""

    files: Files

    def routes(self) -> list[Route]:
        """The routes."""
        errors = {400: "The name is no safe one.", 404: "There is no such picture.", 415: "It is no picture."}
        return [
            Route("GET", "/api/characters", self.characters, READ),
            Route("GET", "/api/characters/image/{name:path}", self.image, READ, errors=errors),
        ]

    async def characters(self, user: UserContext) -> Characters:
        """The user's characters, by name; a JSON card beside a picture of the same name wins over what the picture says."""
        folder = self.files.locate(FOLDER, user).path
        return Characters(
            True, await asyncio.to_thread(lambda: sorted(characters_in(folder), key=lambda entry: (entry["name"], entry["id"])))
        )

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


def _refused(status: int, message: str) -> ApiError:
    return ApiError(status, message, body={"success": False, "message": message, "error": message})
