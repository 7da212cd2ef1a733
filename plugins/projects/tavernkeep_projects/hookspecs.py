"""The hook of this plugin. Who implements it marks it with `hookimpl(optionalhook=True)`, and so needs this plugin for nothing else."""

from collections.abc import Iterable
from typing import Any

from tavernkeep import hookspec
from tavernkeep.contracts.app import App


@hookspec
def first_workflows(app: App) -> Iterable[dict[str, Any]]:  # type: ignore[empty-body]
    """Stored workflows that each new project begins with, each with an `id` and a `name`, which is its file's too."""
