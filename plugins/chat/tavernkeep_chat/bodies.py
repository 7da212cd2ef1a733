"""What the routes take and give."""

from typing import Any, Literal

import attrs

from tavernkeep_chat.store import Operation, Session, SessionType
from tavernkeep_chat.transfer import Format
from tavernkeep_chat.tree import Role, Status, Tree


@attrs.frozen
class ProjectQuery:
    """Which project a chat belongs to.

    Attributes:
        version: Of a write, that of the tree which was read.
    """

    project_id: str
    version: int | None = None


@attrs.frozen
class NewSession:
    """A chat to be begun."""

    project_id: str
    title: str | None = None
    description: str | None = None
    type: SessionType = "chat"
    tags: list[str] | None = None
    settings: dict[str, Any] | None = None


@attrs.frozen
class SessionChanges:
    """What is to be changed; what is left out stays."""

    title: str | None = None
    description: str | None = None
    tags: list[str] | None = None
    settings: dict[str, Any] | None = None


@attrs.frozen
class Export:
    """How a chat goes out; `sillytavern` is its JSON lines."""

    format: Format = "json"


@attrs.frozen
class Import:
    """A chat that comes in.

    Attributes:
        data: What an export of the format is; SillyTavern's JSON lines as one text.
    """

    project_id: str
    data: Any
    format: Literal["json", "sillytavern"] = "json"


@attrs.frozen
class Imported(Session):
    """A chat that has come in.

    Attributes:
        warnings: What of it could not be read, each with the number of its line.
    """

    warnings: list[str] | None = None


@attrs.frozen
class NewMessage:
    """A message below another, or (for no parent) at the root."""

    role: Role
    content: str
    parent_id: str | None = None
    metadata: dict[str, Any] | None = None
    version: int | None = None


@attrs.frozen
class Added:
    """A message that was added."""

    node_id: str
    tree: Tree


@attrs.frozen
class Edit:
    """Changes of a tree, all of them or none."""

    operations: list[Operation]
    version: int | None = None


@attrs.frozen
class NodeChanges:
    """What is to be changed of a message; what is left out stays."""

    is_enabled: bool | None = None
    status: Status | None = None
    content: str | None = None
    metadata: dict[str, Any] | None = None
    version: int | None = None


@attrs.frozen
class Changed:
    """A tree that was changed."""

    success: bool
    tree: Tree


@attrs.frozen
class Leaf:
    """Which message is the active leaf."""

    leaf_node_id: str
    version: int | None = None


@attrs.frozen
class Activated:
    """The active leaf."""

    success: bool
    active_leaf_id: str


@attrs.frozen
class Success:
    """It was done."""

    success: bool = True


@attrs.frozen
class Asset:
    """A file of a chat."""

    success: bool
    asset_path: str
    url: str
