"""Logical paths: `user://…`, `shared://library/…`, `shared://templates/…`, `system://public|data|logs|config/…`.

A path is taken apart here and nowhere else. What could mean something else to any file system that a server may stand on, or looks as if it
did, is refused rather than repaired. One slash after the scheme counts as two: proxies make one of several.
"""

import re
import unicodedata
from typing import Final

import attrs

from tavernkeep import ApiError

_SCHEMES: Final = {"user": (), "shared": ("library", "templates"), "system": ("public", "data", "logs", "config")}
_RESERVED: Final = {"con", "prn", "aux", "nul", *(f"{device}{digit}" for device in ("com", "lpt") for digit in "123456789¹²³")}
_FORBIDDEN: Final = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\/]')
_ENCODED: Final = re.compile(r"%(?:00|2e|2f|3a|5c|25)", re.IGNORECASE)
_LONGEST_NAME: Final = 255  # bytes; what file systems take
_LONGEST_PATH: Final = 2048  # bytes
_DEEPEST: Final = 100  # names; what makes, copies or removes folders may go into itself for each


class PathError(ApiError):
    """A path cannot be used; the message is fit for who sent it.

    Args:
        status: The HTTP status that says so.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(status, message)


def check_name(name: str) -> str:
    """A name that is safe as one part of a path.

    Raises:
        PathError: It is not; the message says why.
    """
    if not name:
        raise PathError("a name is empty")
    if len(name) > _LONGEST_NAME:  # before anything is made of it: normal forms take time that grows faster than what they are made of
        raise PathError(f"a name is longer than {_LONGEST_NAME} bytes")
    if _FORBIDDEN.search(name):
        raise PathError(f'the name {name!r} holds a character that names must not hold (control characters and <>:"|?*\\/)')
    folded = unicodedata.normalize("NFKC", name)
    if folded in (".", "..") or _FORBIDDEN.search(folded):
        raise PathError(f"the name {name!r} looks like one that leads elsewhere")
    if name[-1] in ". " or name[0] == " " or folded[-1] in ". ":
        raise PathError(f"the name {name!r} begins or ends with a blank, or ends with a dot")
    if _ENCODED.search(name):
        raise PathError(f"the name {name!r} is percent-encoded more than once")
    if folded.partition(".")[0].rstrip().lower() in _RESERVED:
        raise PathError(f"the name {name!r} is reserved by some systems")
    if any(unicodedata.category(char) in ("Cs", "Cn", "Co") for char in name):
        raise PathError(f"the name {name!r} holds half a character, or one that is not assigned")
    if len(name.encode()) > _LONGEST_NAME:
        raise PathError(f"a name is longer than {_LONGEST_NAME} bytes")
    return unicodedata.normalize("NFC", name)


def safe_name(text: str, replacement: str = "_") -> str:
    """A name that is safe as one part of a path, made of any text: what must not stand in it becomes `_`.

    >>> safe_name("My: first/project.")
    'My_ first_project_'
    """
    text = text.strip(" ")[: 4 * _LONGEST_NAME]  # see `check_name`
    name = _FORBIDDEN.sub(replacement, unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())).strip(" ")
    name = _ENCODED.sub(replacement, name).encode()[: _LONGEST_NAME - 20].decode(errors="ignore")  # room for what is put behind it
    if name.endswith("."):
        name = name[:-1] + replacement
    try:
        return check_name(name or replacement)
    except PathError:
        return replacement + re.sub(r"[^\w-]", replacement, name)


def _parted(text: str) -> tuple[str, str]:
    """The scheme, and what stands behind it."""
    scheme, _, rest = text.partition(":")
    if scheme not in _SCHEMES or not rest.startswith("/"):
        raise PathError(f"a logical path begins with {', '.join(f'{known}://' for known in _SCHEMES)}; got {text[:100]!r}")
    return scheme, rest[2 if rest.startswith("//") else 1 :]


@attrs.frozen
class LogicalPath:
    """A path that has been taken apart.

    Attributes:
        scheme: `user`, `shared` or `system`.
        area: `library`, `templates`, `public`, `data`, `logs`, `config`; empty for `user`.
        parts: The names below that, each safe.
    """

    scheme: str
    area: str
    parts: tuple[str, ...]

    def __attrs_post_init__(self) -> None:
        if len(self.parts) > _DEEPEST:
            raise PathError(f"the path leads through more than {_DEEPEST} folders")

    @classmethod
    def parse(cls, text: str) -> "LogicalPath":
        """Take a path apart.

        Raises:
            PathError: It is none, or not a safe one.
        """
        if len(text.encode("utf-8", "replace")) > _LONGEST_PATH:
            raise PathError(f"the path is longer than {_LONGEST_PATH} bytes")
        scheme, rest = _parted(text)
        names = rest.split("/")
        if names[-1] == "":
            names.pop()  # a folder may be written with a slash behind it
        areas = _SCHEMES[scheme]
        if not areas:
            return cls(scheme, "", tuple(map(check_name, names)))
        if not names or names[0] not in areas:
            raise PathError(f"{scheme}:// is followed by one of {', '.join(areas)}")
        return cls(scheme, names[0], tuple(map(check_name, names[1:])))

    @classmethod
    def roots(cls, text: str) -> "list[LogicalPath] | None":
        """What stands below a scheme, where the text is that alone and the scheme has areas, as `shared://` does.

        Raises:
            PathError: It is no path.
        """
        scheme, rest = _parted(text)
        areas = _SCHEMES[scheme]
        return [cls(scheme, area, ()) for area in areas] if areas and not rest else None

    def __str__(self) -> str:
        return f"{self.scheme}://{'/'.join((self.area, *self.parts) if self.area else self.parts)}"

    def __truediv__(self, name: str) -> "LogicalPath":
        return attrs.evolve(self, parts=(*self.parts, check_name(name)))

    @property
    def name(self) -> str:
        """The last name; that of the root when there is none below it."""
        return self.parts[-1] if self.parts else self.area or self.scheme

    @property
    def parent(self) -> "LogicalPath":
        """The folder that it stands in; a root's is itself."""
        return attrs.evolve(self, parts=self.parts[:-1])
