"""What the routes take and give."""

from typing import Any

import attrs


@attrs.frozen
class PluginInfo:
    """An installed plugin.

    Attributes:
        status: `active`, `disabled`, `failed` or `unavailable`.
        error: Why it is not active; of an active plugin folder, why what it holds now could not be loaded.
        distribution: The package that it comes from.
        provides: The node types that it defines.
        frontend: What an editor loads of it.
        config_options: What a user may set.
        needed: Why the server could not start without it: it cannot be switched off.
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
    needed: str | None = None


@attrs.frozen
class PluginsQuery:
    """Which plugins: with `all` also those that the server stands on and those that nobody switches."""

    all: bool = False


@attrs.frozen
class PluginState:
    """Whether a plugin is to run."""

    enabled: bool


@attrs.frozen
class Outcome:
    """What became of a change."""

    success: bool
    message: str


@attrs.frozen
class Looked:
    """What came of looking at the plugin folders again.

    Attributes:
        count: How many there are now: of node types, or of active plugins.
        loaded, changed, removed: Plugin folders, by name.
        failed: Plugin folders that could not be loaded, with the reason; what was loaded of them before goes on.
        restart: Installed plugins that have come, gone or changed since the start: for those the server must be started anew.
    """

    success: bool
    message: str
    count: int
    loaded: list[str]
    changed: list[str]
    removed: list[str]
    failed: dict[str, str]
    restart: list[str]
