"""Whether what is accepted would be recorded at all."""

from typing import Final

import attrs

from tavernkeep.config import ConfigError, ConfigSource
from tavernkeep.contracts.app import App

_RECORDER: Final = "history"  # the plugin, and its section of the configuration


@attrs.frozen
class _Recording:
    durability: str = "strict"


def why_unrecorded(app: App) -> str | None:
    """Why nothing is recorded although it is to be: the plugin that does it is there, the operator wants it, and it does not run.

    Without it there is no journal, which looks like an installation that wants none: everything would be accepted, and lost.
    """
    plugin = app.plugins.get(_RECORDER)
    if plugin is None or not plugin.has_failed or not _is_wanted(app):
        return None
    off = f"Where they need not be, it can be switched off (plugins.disabled, or {_RECORDER}.durability: off)."
    return f"Executions cannot be recorded: plugin {plugin.name} is {plugin.status}: {plugin.error}. {off}"


def _is_wanted(app: App) -> bool:
    try:  # whoever has failed has no section any more
        return ConfigSource.read(app.config.file).early(_RECORDER, _Recording).durability != "off"
    except ConfigError:
        return True
