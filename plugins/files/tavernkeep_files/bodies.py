"""What the routes take and give."""

from typing import Any

import attrs


@attrs.frozen
class ListQuery:
    """How a folder is listed.

    Attributes:
        ensure_exists: Make it where it is not there and the caller may.
    """

    ensure_exists: bool = False


@attrs.frozen
class NewFolder:
    """A folder to be made."""

    parent_logical_path: str
    dir_name: str


@attrs.frozen
class Deletion:
    """What is to be removed."""

    logical_paths: list[str] = attrs.field(validator=attrs.validators.min_len(1))


@attrs.frozen
class Renaming:
    """Another name for a file or a folder."""

    logical_path: str
    new_name: str


@attrs.frozen
class Moving:
    """Another folder for files and folders."""

    source_paths: list[str] = attrs.field(validator=attrs.validators.min_len(1))
    target_parent_path: str


@attrs.frozen
class JsonFile:
    """JSON to be written."""

    logical_path: str
    content: Any


@attrs.frozen
class Item:
    """A file or a folder. Times are milliseconds since 1970, UTC; sizes are bytes."""

    id: str
    name: str
    logical_path: str
    item_type: str
    is_symlink: bool
    is_writable: bool
    size: int | None = None
    last_modified: int | None = None
    mime_type: str | None = None


@attrs.frozen
class Made:
    """A file or a folder that was made, or has another place now."""

    name: str
    logical_path: str
    item_type: str


@attrs.frozen
class Received:
    """A file that was received; its size in bytes."""

    name: str
    logical_path: str
    size: int
    item_type: str = "file"
