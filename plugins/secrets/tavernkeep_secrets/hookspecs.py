"""The hook of this plugin."""

from collections.abc import Callable

from tavernkeep import hookspec


@hookspec
async def reseal(again: Callable[[str], str]) -> int:  # type: ignore[empty-body]
    """Seal anew everything that the plugin keeps sealed: `again(sealed)` gives it with the new key. Gives how much it was."""
