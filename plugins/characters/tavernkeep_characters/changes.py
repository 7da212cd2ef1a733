"""What is made of a character's files: of what somebody gives, of a change, to be given out. Nothing here touches the disk."""

import hashlib
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from tavernkeep.wire import Invalid, Problem, describe, dumps
from tavernkeep_characters.archives import archive_of, check_unpacked, icon_in, is_archive, with_card
from tavernkeep_characters.cards import read_card, write_card
from tavernkeep_characters.config import CharactersConfig
from tavernkeep_characters.contracts import CardError
from tavernkeep_characters.fields import as_version, card_data, changed, read_fields
from tavernkeep_characters.library import Character, is_picture, merged
from tavernkeep_characters.pictures import PNG, as_png, check_size, is_photo, plain_png

_ICON: Final = "assets/icon/images/main.png"


@attrs.frozen
class Offered:
    """What somebody gives of a character.

    Attributes:
        card: As JSON; of a change, as much as is to change.
        file: A file with a card in it; beside a card, a picture.
        picture: A picture, whatever card may be in it.
    """

    card: Mapping[str, Any] | None = None
    file: bytes | None = attrs.field(default=None, repr=False)
    picture: bytes | None = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        data = (self.card or {}).get("data")
        if not isinstance(data, dict | None):
            raise Invalid([Problem("data", f"expected an object, got {describe(data)}")])

    @property
    def image(self) -> bytes | None:
        """The picture that goes with the card."""
        return self.file if self.picture is None else self.picture


@attrs.frozen
class Kept:
    """A character as it is on the disk, with its whole card.

    Attributes:
        contents: Its files, by their names, in the order in which they say what it is.
        tag: Tells this content from any other.
    """

    character: Character
    contents: Mapping[str, bytes] = attrs.field(repr=False)
    tag: str

    @classmethod
    def of(cls, listed: Character, contents: Mapping[str, bytes]) -> "Kept":
        """A character that a list has shown.

        Raises:
            CardError: One of its files holds no card any more.
        """
        whole = hashlib.sha256()
        for name, content in contents.items():
            whole.update(f"{name}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
            whole.update(content)
        card = merged([read_card(content) for content in contents.values()])
        return cls(attrs.evolve(listed, card=card), contents, whole.hexdigest()[:32])


@attrs.frozen
class Change:
    """What becomes of the files of a character.

    Attributes:
        writes: Their new contents, by their names.
        removals: The names of those that go.
        card: What they say then.
        warnings: What of that could not be read.
    """

    writes: Mapping[str, bytes] = attrs.field(repr=False)
    removals: tuple[str, ...]
    card: Mapping[str, Any] = attrs.field(repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The character's name.

        Raises:
            Invalid: It has none.
        """
        name = str(card_data(self.card).get("name") or "").strip()
        if not name:
            raise Invalid([Problem("name", "a character needs a name")])
        return name


@attrs.frozen
class Maker:
    """Makes files of characters, within bounds. All raise `CardError`: it cannot be done; `CardTooLarge`: it would be too large."""

    config: CharactersConfig

    def new(self, given: Offered) -> tuple[str, Change]:
        """The files of a new character, by their endings alone, and which of these comes first."""
        card: Mapping[str, Any]
        if given.card is None:
            data = given.picture if given.file is None else given.file
            if data is None:
                raise CardError("there is neither a card nor a file in it")
            card, ending = read_card(data), self._ending(data)
        elif (picture := given.image) is not None:
            data, card, ending = self._picture_with(picture, given.card), given.card, ".png"
        else:
            data, card, ending = dumps(as_version(given.card, 3)), given.card, ".json"
        return ending, Change({ending: data}, (), card, tuple(read_fields(card)[1]))

    def changed(self, kept: Kept, given: Offered, taken: Container[str]) -> Change:
        """What becomes of a character's files.

        Args:
            taken: The names of files that are others'.

        Raises:
            Invalid: The change is none that could be read again.
        """
        stem = Path(kept.character.files[0]).stem
        if given.card is None and given.file is not None:  # another in its place
            ending, new = self.new(given)
            name = next((file for file in kept.contents if Path(file).suffix.lower() == ending), stem + ending)
            return attrs.evolve(new, writes={name: new.writes[ending]}, removals=tuple(file for file in kept.contents if file != name))
        if given == Offered():
            raise CardError("there is neither a card nor a file in it")
        before = kept.character.card
        card = before if given.card is None else changed(before, given.card)
        if problems := [] if given.card is None else read_fields(card)[1]:
            raise Invalid([Problem("", problem) for problem in problems])
        picture, removals = given.image, []
        writes: dict[str, bytes] = {}
        if picture is not None and kept.character.picture is None:
            writes[f"{stem}.png"] = self._picture_with(picture, card)
        for file, content in kept.contents.items():
            if is_archive(content) and not (is_picture(file) and picture is not None):
                writes[file] = self._archive_with(content, card)
            elif is_picture(file):
                name = file if Path(file).suffix.lower() == ".png" else f"{stem}.png"
                name = f"{file}.png" if name != file and name in taken else name
                writes[name] = self._picture_with(content if picture is None else picture, card)
                removals += [file] if name != file else []
            else:
                writes[file] = dumps(as_version(card, 3))
        return Change(writes, tuple(removals), card, tuple(read_fields(before)[1]))

    def picture(self, kept: Kept) -> bytes:
        """A PNG with the character and its picture, or a plain one."""
        return write_card(self._picture_of(kept) or plain_png(), kept.character.card)

    def archive(self, kept: Kept) -> bytes:
        """An archive of the character, with its files, or with its picture."""
        card = as_version(kept.character.card, 3)
        for content in kept.contents.values():
            if is_archive(content):
                return self._archive_with(content, card)
        picture, assets = self._picture_of(kept), card["data"].get("assets")
        if picture is None:
            return archive_of({"card.json": dumps(card)})
        icon = {"type": "icon", "uri": f"embeded://{_ICON}", "name": "main", "ext": "png"}
        others = [one for one in assets if not isinstance(one, dict) or one.get("type") != "icon"] if isinstance(assets, list) else []
        return archive_of({"card.json": dumps({**card, "data": {**card["data"], "assets": [icon, *others]}}), _ICON: picture})

    def _ending(self, data: bytes) -> str:
        if data.startswith(PNG) or is_photo(data):
            check_size(data, self.config.max_pixels)
            if is_archive(data):
                check_unpacked(data, self.config.max_unpacked_bytes)
            return ".png" if data.startswith(PNG) else ".jpg" if data.startswith(b"\xff\xd8") else ".webp"
        if not is_archive(data):
            return ".json"
        check_unpacked(data, self.config.max_unpacked_bytes)
        return ".charx"

    def _picture_with(self, picture: bytes, card: Mapping[str, Any]) -> bytes:
        return write_card(as_png(picture, self.config.max_pixels), card)

    def _archive_with(self, archive: bytes, card: Mapping[str, Any]) -> bytes:
        return with_card(archive, dumps(as_version(card, 3)), self.config.max_unpacked_bytes)

    def _picture_of(self, kept: Kept) -> bytes | None:
        fields = card_data(kept.character.card)
        for file, content in kept.contents.items():
            if is_picture(file):
                return as_png(content, self.config.max_pixels)
            if is_archive(content) and (icon := icon_in(content, fields, self.config.max_card_bytes)) is not None:
                return as_png(icon, self.config.max_pixels)
        return None
