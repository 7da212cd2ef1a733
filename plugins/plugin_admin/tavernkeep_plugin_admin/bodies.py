"""What the routes take and give."""

from typing import Any

import attrs


@attrs.frozen
class PluginInfo:
    """An installed plugin.

    Attributes:
        status: `active`, `disabled`, `failed` or `unavailable`.
        error: Why it is not active.
        distribution: The package that it comes from.
        provides: The node types that it defines.
        frontend: What an editor loads of it.
        config_options: What a user may set.
    """

    name: str
    display_name: str
    version: str
    is_enabled: bool
    status: str
    distribution: str
    provides: list[str]
    description: str | None = None
    error: str | None = None
    frontend: dict[str, Any] | None = None
    config_options: list[dict[str, Any]] | None = None


@attrs.frozen
class PluginState:
    """Whether a plugin is to run."""

    enabled: bool


@attrs.frozen
class Outcome:
    """What became of a change."""

    success: bool
    message: str
    count: int | None = None
