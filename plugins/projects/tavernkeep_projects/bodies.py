"""What the routes take and give."""

from typing import Any, Final, Literal

import attrs

_NAME: Final[list[Any]] = [attrs.validators.min_len(1), attrs.validators.max_len(200)]


@attrs.frozen
class NewProject:
    """A project to be made."""

    name: str = attrs.field(validator=_NAME)
    description: str | None = None


@attrs.frozen
class ProjectChanges:
    """Metadata to be changed; what is left out stays."""

    name: str | None = attrs.field(default=None, validator=attrs.validators.optional(_NAME))
    description: str | None = None
    version: str | None = None
    preferred_view: Literal["editor", "custom"] | None = None
    enable_chat_page: bool | None = None
    panels: list[dict[str, Any]] | None = None
    custom_metadata: dict[str, Any] | None = None


@attrs.frozen
class Interface:
    """What a stored workflow must have; whatever else it holds is kept as it is."""

    name: str = attrs.field(validator=_NAME)
    nodes: list[dict[str, Any]]
    edges: list[dict[str, Any]]
    id: str | None = None
    description: str | None = None
    interface_inputs: dict[str, Any] | None = None
    interface_outputs: dict[str, Any] | None = None


@attrs.frozen
class ProjectShown:
    """A project's metadata; others that were stored with it are there as well.

    Attributes:
        shared_as: Of one that is shared with the user: `read` or `write`.
    """

    id: str
    name: str
    version: str
    created_at: str
    updated_at: str
    preferred_view: str
    schema_version: str
    enable_chat_page: bool
    shared_as: str | None = None


@attrs.frozen
class WorkflowShort:
    """A workflow in a list."""

    id: str
    name: str


@attrs.frozen
class WorkflowShown:
    """A workflow, as it was stored, with all that it holds."""

    id: str
    name: str
    nodes: list[dict[str, Any]]
    edges: list[dict[str, Any]]
    created_at: str | None = None
    updated_at: str | None = None


@attrs.frozen
class RunRequest:
    """How a stored workflow is run.

    Attributes:
        inputs: Values for its interface inputs.
    """

    inputs: dict[str, Any] = attrs.field(factory=dict)
    priority: int = 0
    timeout_s: float | None = attrs.field(default=None, metadata={"wire_name": "timeoutS"})


@attrs.frozen
class Started:
    """A stored workflow that runs."""

    prompt_id: str


Access = Literal["read", "write"]


@attrs.frozen
class ShareBody:
    """With whom a project is to be shared.

    Attributes:
        username: A user; everybody when left out.
    """

    access: Access = "read"
    username: str | None = None


@attrs.frozen
class ShareQuery:
    """With whom it is not to be shared any more; with everybody when left out."""

    username: str | None = None


@attrs.frozen
class ShareInfo:
    """With whom a project is shared; with everybody where no user is named."""

    access: Access
    username: str | None = None


@attrs.frozen
class ShareList:
    """The shares of a project."""

    shares: list[ShareInfo]
