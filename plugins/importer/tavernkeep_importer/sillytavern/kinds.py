"""What there is in a user's folder of SillyTavern, and where it belongs here."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final, Literal

import attrs

from tavernkeep.wire import Invalid, describe, loads
from tavernkeep_importer.sillytavern.folder import NotTaken

Form = Literal["card", "world", "regex", "object", "file"]
LIBRARY: Final = "user://library/SillyTavern"


@attrs.frozen
class FileKind:
    """Files of one kind.

    Attributes:
        folder: Where they go, below the library's folder for SillyTavern.
        form: What they have to be.
    """

    folder: str
    form: Form


CARDS: Final = (".png", ".json", ".charx", ".webp", ".jpg", ".jpeg")
_FOLDERS: Final[Mapping[str, FileKind]] = {
    "worlds": FileKind("WorldBook", "world"),
    "regex": FileKind("RegexRule", "regex"),
    "groups": FileKind("Group", "object"),
    "themes": FileKind("Theme", "object"),
    "movingUI": FileKind("MovingUI", "object"),
    "QuickReplies": FileKind("QuickReply", "object"),
    **{
        f"{name}{ending}": FileKind(f"Preset/{name}", "object")
        for ending, names in (
            (" Settings", ("OpenAI", "TextGen", "KoboldAI", "NovelAI")),
            ("", ("context", "instruct", "sysprompt", "reasoning")),
        )
        for name in names
    },
    "backgrounds": FileKind("Background", "file"),
    "User Avatars": FileKind("UserAvatar", "file"),
    "assets": FileKind("Asset", "file"),
    "user": FileKind("User", "file"),
}
LEFT_OUT: Final[Mapping[str, str]] = {
    "thumbnails": "made of the pictures again when they are needed",
    "vectors": "numbers of another program's search",
    "backups": "copies of what is here",
    "extensions": "another program's code",
    "secrets.json": "keys stay where they are",
    "stats.json": "another program's count",
    "content.log": "another program's log",
}


def kind_of(parts: tuple[str, ...]) -> FileKind | None:
    """The kind of a file by where it stands; `None` where nothing is known of it. Chats and settings are apart."""
    if parts[0] == "characters":
        if len(parts) > 2:
            return FileKind("Sprite", "file")
        return FileKind("CharacterCard", "card") if PurePath(parts[-1]).suffix.lower() in CARDS else None
    return _FOLDERS.get(parts[0]) if len(parts) > 1 else None


def check(form: Form, data: bytes) -> None:
    """Look whether a file is what it should be; cards have a reader of their own.

    Raises:
        NotTaken: It is not.
    """
    if form in ("card", "file"):
        return
    value = json_in(data)
    if form == "regex" and isinstance(value, list):
        return
    if not isinstance(value, dict):
        raise NotTaken(f"holds {describe(value)}, where an object belongs")
    if form == "world" and not isinstance(value.get("entries"), (dict, list)):
        raise NotTaken("is no world book: it has no entries")
    if form == "regex" and "findRegex" not in value:
        raise NotTaken("is no regex script: it has no findRegex")


def json_in(data: bytes) -> Any:
    """The JSON in a file. Raises `NotTaken`."""
    try:
        return loads(data.removeprefix(b"\xef\xbb\xbf"))
    except Invalid as invalid:
        raise NotTaken(str(invalid)) from None
