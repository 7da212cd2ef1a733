"""The hook of this plugin."""

from tavernkeep import hookspec
from tavernkeep_secrets.contracts import Resealing


@hookspec
async def reseal(again: Resealing) -> int:  # type: ignore[empty-body]
    """Seal anew everything that the plugin keeps sealed: `again(sealed)` gives it with the new key, `again.rows` does so in a table.

    Gives how much it was.
    """
