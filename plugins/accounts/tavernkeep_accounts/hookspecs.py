"""The hook of this plugin. Who implements it marks it with `hookimpl(optionalhook=True)`, and so needs this plugin for nothing else."""

from tavernkeep import hookspec
from tavernkeep.contracts.app import App


@hookspec
async def hand_over(app: App, source: str, target: str) -> list[str]:  # type: ignore[empty-body]
    """Give one user (by uid) all that the plugin keeps of another; gives a line for each thing that stays, because there is one like it.

    All plugins are asked in one transaction: when one fails, no row has changed. What moves anything else is asked last (`trylast`), and
    is made so that it can be done again after it was cut off.
    """
