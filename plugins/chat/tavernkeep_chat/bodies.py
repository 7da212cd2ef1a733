"""What the routes take and give."""

from typing import Any, Literal

import attrs

from tavernkeep_chat.placing import Mode
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
        data: What an export of the format is; SillyTavern's JSON lines as one text, or as a list of their objects.
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
    """A message below another, or (for no parent) at the root.

    Attributes:
        generate: Have the workflow answer it; of an assistant's, have it write this one, after what stands in it.
        workflow_id: Which one; that of the chat's settings, or `main`, when left out.
        inputs: Values for its inputs, over those of the chat's settings.
    """

    role: Role
    content: str
    parent_id: str | None = None
    metadata: dict[str, Any] | None = None
    version: int | None = None
    generate: bool = False
    workflow_id: str | None = None
    inputs: dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Added:
    """A message that was added.

    Attributes:
        answer_id: The message that is being generated, if one is; `prompt_id` is its execution.
    """

    node_id: str
    tree: Tree
    answer_id: str | None = None
    prompt_id: str | None = None


@attrs.frozen
class Generate:
    """Have the workflow answer.

    Attributes:
        node_id: The message that it is about; the active leaf when left out. `parent_id` is the same.
        mode: `answer`: a new one below the message. `regenerate`: another beside it. `continue`: more of it. Left out: another one beside
            an answer that is named, else a new one below.
        workflow_id: Which one; that of the chat's settings, or `main`, when left out.
        inputs: Values for its inputs, over those of the chat's settings.
    """

    node_id: str | None = None
    parent_id: str | None = None
    mode: Mode | None = None
    workflow_id: str | None = None
    inputs: dict[str, Any] = attrs.field(factory=dict)
    version: int | None = None


@attrs.frozen
class Stop:
    """What is to be stopped.

    Attributes:
        node_id: A message; all that are being generated in the chat when left out.
    """

    node_id: str | None = None


@attrs.frozen
class Stopped:
    """What was stopped: the ids of the messages, which are complete with what they have."""

    success: bool
    stopped: list[str]
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
