"""Keeps a user's characters on the disk: one writer at a time for each user, and all files of a change or none."""

import asyncio
import contextlib
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import attrs

from tavernkeep import ApiError, UserContext
from tavernkeep.finish import finishing
from tavernkeep.wire import Invalid, Problem, dumps
from tavernkeep_characters.changes import Change, Kept, Maker, Offered
from tavernkeep_characters.contracts import CardError, CardTooLarge
from tavernkeep_characters.fields import as_version
from tavernkeep_characters.library import FOLDER, Character, characters_in, is_picture
from tavernkeep_files.contracts import RECYCLED, Files

T = TypeVar("T")
_BIN: Final = RECYCLED / "characters"


@attrs.define
class CharacterKeeper:
    """Reads and writes characters.

    All raise `ApiError`: 400, a name is no plain file name; 404, there is no such character; 409, something is in the way; 412, it has
    changed since `if_match`; 413, it is too large; 507, there is no room; and `Invalid` for what is no character.
    """

    files: Files
    maker: Maker
    _locks: dict[str, asyncio.Lock] = attrs.field(factory=dict)
    _readings: dict[str, asyncio.Lock] = attrs.field(factory=dict)

    async def all(self, user: UserContext) -> list[Character]:
        """The user's characters, by name."""
        folder = self.files.locate(FOLDER, user).path
        async with self._readings.setdefault(user.uid, asyncio.Lock()):  # many at once would take all threads from everybody else
            found = await asyncio.to_thread(characters_in, folder, self.maker.config.max_card_bytes)
        return sorted(found, key=lambda character: (character.name, character.id))

    async def one(self, name: str, user: UserContext) -> Kept:
        """A character, by its id or by the name of one of its files."""
        return await self._kept(_found(await self.all(user), name), user)

    @finishing
    async def add(self, given: Offered, id_: str | None, user: UserContext) -> tuple[Kept, tuple[str, ...]]:
        """Add a character, in a file of this name without its ending, or of the character's own; also gives what could not be read."""
        ending, new = await _judged(lambda: self.maker.new(given))
        id_ = self._id(id_, new.name)
        async with self._lock(user):
            await self._check_file(id_, user)
            _check_name(await self.all(user), new.name, pictured=is_picture(id_ + ending))
            await self._apply(attrs.evolve(new, writes={id_ + ending: new.writes[ending]}), {}, user)
            return await self.one(id_ + ending, user), new.warnings

    @finishing
    async def change(self, name: str, given: Offered, if_match: str | None, user: UserContext) -> tuple[Kept, tuple[str, ...]]:
        """Change a character; also gives what could not be read."""
        async with self._lock(user):
            found = await self.all(user)
            kept = await self._kept(_found(found, name), user)
            _check_match(kept, if_match)
            others = [other for other in found if other.id != kept.character.id]
            taken = {file for other in others for file in other.files}
            change = await _judged(lambda: self.maker.changed(kept, given, taken))
            if clash := taken.intersection(change.writes):
                raise ApiError(409, f"There is another character in {clash.pop()!r}.")
            stays = [file for file in (*kept.contents, *change.writes) if file not in change.removals]
            _check_name(others, change.name, pictured=any(map(is_picture, stays)))
            await self._apply(change, kept.contents, user)
            return await self.one(stays[0], user), change.warnings

    @finishing
    async def remove(self, name: str, if_match: str | None, user: UserContext) -> str:
        """Move a character's files to the recycle bin; gives its id."""
        async with self._lock(user):
            kept = await self.one(name, user)
            _check_match(kept, if_match)
            await self._apply(Change({}, tuple(reversed(kept.character.files)), {}), kept.contents, user)
        return kept.character.id

    async def exported(self, name: str, format_: str, version: int, user: UserContext) -> tuple[Kept, bytes]:
        """A character as a file: `png`, `charx`, or `json` of this version."""
        kept = await self.one(name, user)
        if format_ == "json":
            return kept, dumps(as_version(kept.character.card, version))
        make = self.maker.archive if format_ == "charx" else self.maker.picture
        return kept, await _judged(lambda: make(kept))

    async def _kept(self, character: Character, user: UserContext) -> Kept:
        most = self.maker.config.max_card_bytes
        contents = {file: await self.files.read(FOLDER / file, user, most) for file in character.files}
        return await _judged(lambda: Kept.of(character, contents))

    def _lock(self, user: UserContext) -> asyncio.Lock:
        return self._locks.setdefault(user.uid, asyncio.Lock())

    def _id(self, wanted: str | None, name: str) -> str:
        id_ = wanted
        if id_ is None:
            made = self.files.safe_name("".join(char if char.isprintable() else "_" for char in name))
            id_ = "_" + made[1:] if made.startswith(".") else made
        if not id_.isprintable() or id_.startswith("."):  # such as those of files that are not whole yet, which are swept away
            raise ApiError(400, f"The id {id_!r} begins with a dot, or holds a character that cannot be seen.")
        return (FOLDER / id_).name

    async def _check_file(self, id_: str, user: UserContext) -> None:
        """See that a file's name is nobody's, in whatever case and with whatever ending; also of what is no card."""
        folder = self.files.locate(FOLDER, user).path
        for path in await asyncio.to_thread(lambda: list(folder.glob("*"))):
            if _folded(id_) in (_folded(path.name), _folded(path.stem)):
                raise ApiError(409, f"There is {path.name!r} already: change that, or give this another `id`.")

    async def _apply(self, change: Change, before: Mapping[str, bytes], user: UserContext) -> None:
        """Write and remove files; when that fails half way, all is as it was."""
        most = self.maker.config.max_card_bytes
        if any(len(data) > most for data in change.writes.values()):
            raise ApiError(413, f"The character would be larger than {most} bytes (characters.maxCardBytes).")
        written: list[str] = []
        moved: dict[Path, Path] = {}
        try:
            for name, data in change.writes.items():
                await self.files.write(FOLDER / name, data, user)
                written.append(name)
            for name in change.removals:
                path = FOLDER / name
                source = self.files.locate(path, user, write=True).path
                moved[source] = await self.files.recycle(source, _BIN, str(path), user)
        except BaseException:
            for source, target in moved.items():
                with contextlib.suppress(OSError):  # the others can be put back all the same
                    await asyncio.to_thread(shutil.move, target, source)
            for name in written:
                with contextlib.suppress(ApiError, OSError):
                    if name in before:
                        await self.files.write(FOLDER / name, before[name], user)
                    else:
                        await asyncio.to_thread(self.files.locate(FOLDER / name, user, write=True).path.unlink)
            raise


def _found(characters: Iterable[Character], name: str) -> Character:
    wanted, known = (FOLDER / name).name, list(characters)
    for character in [*(one for one in known if one.id == wanted), *(one for one in known if wanted in one.files)]:
        return character
    raise ApiError(404, f"There is no character {name!r}.")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _check_name(others: Iterable[Character], name: str, *, pictured: bool) -> None:
    """See that a card without a picture and a picture with a card are not taken for one character, as those of one name are."""
    for other in others:
        if other.name == name and (other.picture is not None) != pictured:
            what = "a character with a picture" if other.picture else "a card without a picture"
            raise ApiError(409, f"There is {what} called {name!r} already, {other.id!r}: the two would be taken for one.")


def _check_match(kept: Kept, if_match: str | None) -> None:
    if if_match is None or if_match.strip() == "*":
        return
    if kept.tag not in {tag.strip().removeprefix("W/").strip('"') for tag in if_match.split(",")}:
        raise ApiError(412, "It has changed since it was read.")


async def _judged(work: Callable[[], T]) -> T:
    """What a thread makes of files, which may be none that anything can be made of."""
    try:
        return await asyncio.to_thread(work)
    except CardTooLarge as error:
        raise ApiError(413, f"It is too large: {error}.") from None
    except CardError as error:
        raise Invalid([Problem("", str(error))]) from None
