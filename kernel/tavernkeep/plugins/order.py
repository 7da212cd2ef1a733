"""The order of plugins: each comes after what it requires, and those of the bundle before all others."""

from collections.abc import Iterable

from tavernkeep.contracts.plugins import Plugin


def in_order(plugins: Iterable[Plugin]) -> tuple[list[Plugin], dict[Plugin, str]]:
    """The plugins in order, and those that cannot be placed, each with the name of what it requires that does not come before it."""
    done: list[Plugin] = []
    waiting = list(plugins)
    while ready := next((plugin for plugin in waiting if {other.name for other in done}.issuperset(plugin.requires)), None):
        done.append(ready)
        waiting.remove(ready)
    names = {plugin.name for plugin in done}
    return done, {plugin: next(name for name in plugin.requires if name not in names) for plugin in waiting}


def depending(names: Iterable[str], plugins: Iterable[Plugin]) -> set[str]:
    """The names, and those of all active plugins that cannot work without one of them."""
    gone, active = set(names), [plugin for plugin in plugins if plugin.is_active]
    while more := {plugin.name for plugin in active if gone.intersection(plugin.requires)} - gone:
        gone |= more
    return gone
