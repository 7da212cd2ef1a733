"""Finding plugins: what is installed, by its entry points, and plugin folders. Importing them is all that happens here."""

import importlib
import importlib.util
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, requires
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tavernkeep.contracts.plugins import Plugin, PluginStatus
from tavernkeep.plugins.folders import MODULE_PREFIX, FolderEntryPoint, find_folders

ENTRY_POINT_GROUP: Final = "tavernkeep.plugins"
BUNDLE: Final = "tavernkeep"

Found = EntryPoint | FolderEntryPoint


def find_plugins(folders: Iterable[Path]) -> Iterator[tuple[Plugin, Found]]:
    """Every plugin that is there, not imported yet: those of the bundle first, then what else is installed, then folders."""
    importlib.invalidate_caches()
    bundle = _bundle()
    installed = [(_made_of(found, bundle), found) for found in entry_points(group=ENTRY_POINT_GROUP)]
    yield from sorted(installed, key=lambda entry: (not entry[0].in_bundle, entry[0].name, entry[0].distribution))
    for folder in find_folders(folders):
        yield made_of_folder(folder), folder


def made_of_folder(found: FolderEntryPoint) -> Plugin:
    """What is known of a plugin folder before it is imported."""
    return Plugin(found.name, found.dist.name, found.dist.version, folder=found)


def _made_of(found: EntryPoint, bundle: frozenset[str]) -> Plugin:
    if found.dist is None:
        return Plugin(found.name, "an unknown distribution", "")
    return Plugin(found.name, found.dist.name, found.dist.version, in_bundle=canonicalize_name(found.dist.name) in bundle)


def imported(found: Found) -> Any:
    """The implementation of a plugin: what the entry point names, made once where that is a class."""
    loaded = found.load()
    made = loaded() if isinstance(loaded, type) else loaded
    if made is None:
        raise TypeError("the entry point names nothing")
    return made


def what_is_missing(error: BaseException) -> str | None:
    """The package that is not installed, where that is what an error is about."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    package = error.name.partition(".")[0]
    own = package.startswith(MODULE_PREFIX)
    return package if not own and importlib.util.find_spec(package) is None else None


def turned_off(plugin: Plugin, disabled: Iterable[str], only: Iterable[str] | None) -> bool:
    """Whether the configuration says that a plugin must not run; it is marked so then."""
    if plugin.name in disabled:
        plugin.status, plugin.error = PluginStatus.DISABLED, "disabled by plugins.disabled"
    elif only is not None and plugin.name not in only:
        plugin.status, plugin.error = PluginStatus.DISABLED, "not named by plugins.only"
    return plugin.status is PluginStatus.DISABLED


def _bundle() -> frozenset[str]:
    """The distributions that the bundle depends on: the standard plugins."""
    try:
        named = requires(BUNDLE) or []
    except PackageNotFoundError:
        return frozenset()
    return frozenset(canonicalize_name(Requirement(text).name) for text in named)
