"""What the routes take and give."""

from typing import Any, Final

import attrs

_ID: Final[list[Any]] = [attrs.validators.min_len(1), attrs.validators.max_len(100)]


@attrs.frozen
class NewPanel:
    """A panel to be made."""

    panel_id: str = attrs.field(validator=_ID)
    display_name: str = attrs.field(validator=_ID)
    template_id: str | None = None
    description: str | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.max_len(10_000)))


@attrs.frozen
class PanelFile:
    """A file or folder of a panel; its size in bytes, its time in milliseconds since 1970, UTC."""

    name: str
    path: str
    type: str
    size: int
    last_modified: int


@attrs.frozen
class Written:
    """A file or folder that was written."""

    success: bool
    message: str


@attrs.frozen
class DeleteQuery:
    """How a folder is removed.

    Attributes:
        recursive: With all that is in it.
    """

    recursive: bool = False


@attrs.frozen
class PanelShown:
    """A panel; whatever else its definition holds is there as well.

    Attributes:
        panel_directory: The name of its folder.
        source: `user` for one of a project's, `shared` for a template.
    """

    id: str
    display_name: str
    description: str
    version: str
    ui_entry_point: str
    panel_directory: str
    source: str
