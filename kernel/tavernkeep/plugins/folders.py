"""Plugins that are folders with a `plugin.yaml`: for development and drop-in use. What is given to others is an installable package."""

import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

import attrs
import structlog
import yaml

from tavernkeep.contracts.authoring import Node
from tavernkeep.contracts.nodes import NodeDefinition
from tavernkeep.hookspecs import hookimpl
from tavernkeep.wire import Invalid, structure

MANIFEST: Final = "plugin.yaml"
MODULE_PREFIX: Final = "tavernkeep_folder_"  # of the names that the modules of plugin folders have
_READ: Final = (".py", MANIFEST)
_LEFT_OUT: Final = ("__pycache__", "node_modules")

_log = structlog.get_logger(__name__)


@attrs.frozen
class NodesEntry:
    """Where the nodes are.

    Attributes:
        entry: A Python file, or a package's folder.
    """

    entry: str


@attrs.frozen
class BuiltFrontend:
    """A front end that a build step makes; all paths below `outputDir`."""

    entry: str
    styles: list[str] = attrs.field(factory=list)
    output_dir: str = "dist"


@attrs.frozen
class PlainFrontend:
    """A front end that is served as it is; all paths below `rootDir`."""

    entry: str
    styles: list[str] = attrs.field(factory=list)
    root_dir: str = "."


@attrs.frozen
class Frontend:
    """What an editor loads of the plugin."""

    type: Literal["vite", "vanilla"]
    build: BuiltFrontend | None = None
    vanilla: PlainFrontend | None = None


@attrs.frozen
class Manifest:
    """What `plugin.yaml` says.

    Attributes:
        config_options: What a user may set; the form of it is the editor's.
    """

    name: str = attrs.field(validator=attrs.validators.matches_re(r"[A-Za-z0-9_][A-Za-z0-9_.-]*"))
    display_name: str
    version: str
    description: str = ""
    nodes: NodesEntry | None = None
    frontend: Frontend | None = None
    config_options: list[dict[str, Any]] = attrs.field(factory=list)


class FolderPlugin:
    """The implementation of a plugin that is a folder.

    Attributes:
        frontend: What an editor loads: `entryUrl` and `styleUrls`.
        web_root: Where that is.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.__doc__ = manifest.description
        self.display_name = manifest.display_name
        self.config_options = manifest.config_options
        self.frontend, self.web_root = _frontend(folder, manifest)
        self._module = _imported(folder, manifest) if manifest.nodes else None

    @hookimpl
    def register_nodes(self) -> list[Node[Any] | NodeDefinition]:
        """Every node that stands in the module."""
        return [value for value in vars(self._module).values() if isinstance(value, (Node, NodeDefinition))] if self._module else []


@attrs.frozen
class Origin:
    """What takes the place of a distribution."""

    name: str
    version: str


@attrs.frozen
class FolderEntryPoint:
    """What takes the place of an entry point: a plugin that is found, and loaded on demand.

    Attributes:
        content: What is in the folder, in so few letters that two of them can be compared.
        path: The folder.
        problem: What is wrong with its `plugin.yaml`, where anything is; `name` is the folder's own then.
    """

    name: str
    dist: Origin
    content: str
    path: Path
    problem: str = ""
    _manifest: Manifest | None = None

    def load(self) -> FolderPlugin:
        """Import it.

        Raises:
            ValueError: Its `plugin.yaml` is wrong, with every problem.
        """
        if self._manifest is None:
            raise ValueError(self.problem)
        return FolderPlugin(self.path, self._manifest)


def find_folders(parents: Iterable[Path]) -> Iterator[FolderEntryPoint]:
    """The plugin folders in some folders, or that those are themselves."""
    for parent in parents:
        if (parent / MANIFEST).is_file():
            yield _found(parent)
            continue
        try:
            children = sorted(parent.iterdir())
        except OSError as error:
            _log.warning("plugin folder cannot be read", folder=str(parent), reason=error.strerror)
            continue
        for child in children:
            if (child / MANIFEST).is_file():
                yield _found(child)


def _found(folder: Path) -> FolderEntryPoint:
    try:
        manifest = structure(yaml.safe_load((folder / MANIFEST).read_bytes()), Manifest)
    except Invalid as error:
        problem = "; ".join(map(str, error.problems))
    except (OSError, ValueError, yaml.YAMLError) as error:
        problem = str(error)
    else:
        return FolderEntryPoint(manifest.name, Origin(f"folder {folder.name}", manifest.version), _content(folder), folder, "", manifest)
    return FolderEntryPoint(folder.name, Origin(f"folder {folder.name}", ""), _content(folder), folder, f"{MANIFEST}: {problem}")


def _content(folder: Path) -> str:
    """A digest of what is read when the plugin is loaded, and of the size and time of all else."""
    seen = hashlib.sha256()
    for path, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if name not in _LEFT_OUT and not name.startswith("."))
        for name in sorted(files):
            file = Path(path, name)
            try:
                about = file.read_bytes() if name.endswith(_READ) else f"{file.stat().st_size} {file.stat().st_mtime_ns}".encode()
            except OSError as error:
                about = str(error).encode()
            seen.update(f"{file.relative_to(folder)} {len(about)} ".encode("utf-8", "surrogateescape") + about)
    return seen.hexdigest()


def _frontend(folder: Path, manifest: Manifest) -> tuple[dict[str, Any] | None, Path | None]:
    declared = manifest.frontend
    if declared is None:
        return None, None
    part = declared.build if declared.type == "vite" else declared.vanilla
    if part is None:
        key = "build" if declared.type == "vite" else "vanilla"
        raise ValueError(f"{MANIFEST}: frontend.{key} is required with type {declared.type!r}")
    where = _inside(folder, part.output_dir if isinstance(part, BuiltFrontend) else part.root_dir, "frontend")
    base = f"/plugins/{manifest.name}/"
    return {"entryUrl": base + part.entry, "styleUrls": [base + style for style in part.styles]}, where


def _inside(folder: Path, name: str, what: str) -> Path:
    found = (folder / name).resolve()
    if not found.is_relative_to(folder.resolve()):
        raise ValueError(f"{MANIFEST}: {what} leads out of the folder: {name!r}")
    return found


def _imported(folder: Path, manifest: Manifest) -> ModuleType:
    assert manifest.nodes is not None
    entry = _inside(folder, manifest.nodes.entry, "nodes.entry")
    package = entry.is_dir()
    # A name of its own: two folders may each have a `nodes.py`.
    name = f"{MODULE_PREFIX}{manifest.name.replace('-', '_').replace('.', '_')}"
    spec = importlib.util.spec_from_file_location(
        name, entry / "__init__.py" if package else entry, submodule_search_locations=[str(entry)] if package else None
    )
    if spec is None or spec.loader is None:
        raise ValueError(f"{MANIFEST}: nodes.entry is no Python file or package: {manifest.nodes.entry!r}")
    # A folder may be read again while the server runs: what was compiled of it is told from what is there by whole seconds only.
    for source in folder.rglob("*.py"):
        Path(importlib.util.cache_from_source(str(source))).unlink(missing_ok=True)
    module = importlib.util.module_from_spec(spec)
    before = {key: sys.modules.pop(key) for key in list(sys.modules) if key == name or key.startswith(f"{name}.")}
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        for key in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
            del sys.modules[key]
        sys.modules.update(before)
        raise
    return module
