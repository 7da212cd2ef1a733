"""Every extension point of tavernkeep, one function each.

A plugin implements those it needs, marked with `tavernkeep.hookimpl`; an implementation may leave out parameters that it does not use.
Hooks are called at boot and at shutdown, never per request, node or chunk; `register_nodes` also when plugin folders are looked at again,
and `health` when `/readyz` is asked.
pluggy's `tryfirst`, `trylast`, `firstresult` and wrappers work across plugins (docs/reference/calling.md). A plugin may add hooks of its
own with `register_hookspecs`.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import pluggy

if TYPE_CHECKING:
    import click

    from tavernkeep.config import ConfigSection
    from tavernkeep.contracts.app import App
    from tavernkeep.contracts.auth import AuthProvider
    from tavernkeep.contracts.authoring import Node
    from tavernkeep.contracts.bus import Sink
    from tavernkeep.contracts.execution import Scheduler
    from tavernkeep.contracts.http import Route, WebSocketMessage
    from tavernkeep.contracts.nodes import Execute, NodeDefinition
    from tavernkeep.contracts.services import Services
    from tavernkeep.contracts.storage import ModelSet, StorageProvider

PROJECT: Final = "tavernkeep"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_hookspecs() -> "Iterable[object]":  # type: ignore[empty-body]
    """Objects (modules or classes) with hook specifications of the plugin's own."""


@hookspec
def register_config() -> "Iterable[ConfigSection]":  # type: ignore[empty-body]
    """The plugin's sections of the configuration."""


@hookspec
def register_commands() -> "Iterable[click.Command]":  # type: ignore[empty-body]
    """Commands of the `tavernkeep` program."""


@hookspec
def register_models() -> "Iterable[ModelSet]":  # type: ignore[empty-body]
    """The plugin's tables and their migrations."""


@hookspec
def storage_provider(app: "App") -> "StorageProvider":  # type: ignore[empty-body]
    """A database, for `storage.provider` to choose."""


@hookspec
def register_services(app: "App", services: "Services", owner: str) -> None:
    """Add services for other plugins: `services.add(Contract, service, owner=owner)`; here and nowhere else.

    The storage is open when a server or a command starts; what only checks calls this too, without one.
    """


@hookspec
def auth_provider(app: "App") -> "AuthProvider":  # type: ignore[empty-body]
    """A way to know who is there, for `auth.provider` to choose."""


@hookspec
def register_nodes(app: "App") -> "Iterable[Node[Any] | NodeDefinition]":  # type: ignore[empty-body]
    """Node types."""


@hookspec
def node_middleware(app: "App") -> "NodeMiddleware":  # type: ignore[empty-body]
    """A function that may wrap the execute function of every node: it is given the definition and the function, once, at boot.

    What it is called with is plain data; what it returns is made so, as what a node returns.
    """


@hookspec
def scheduler(app: "App") -> "Scheduler":  # type: ignore[empty-body]
    """A way to run workflows, for `execution.provider` to choose."""


@hookspec
def event_sink(app: "App") -> "Sink":  # type: ignore[empty-body]
    """A function that is called with every event; it takes note and returns at once."""


@hookspec
async def startup(app: "App") -> None:
    """Begin. Everything above is there; routes are not served yet."""


@hookspec
def register_routes(app: "App") -> "Iterable[Route]":  # type: ignore[empty-body]
    """HTTP routes."""


@hookspec
def register_websocket_messages(app: "App") -> "Iterable[WebSocketMessage]":  # type: ignore[empty-body]
    """Messages that clients may send over the WebSocket."""


@hookspec(firstresult=True)
def asgi_app(app: "App") -> Any:
    """The ASGI application that serves the routes; the first plugin that gives one does."""


@hookspec
async def drain(app: "App") -> None:
    """The server has been told to stop: take nothing new, and bring to an end what runs. Clients are still connected, and see it.

    Like `shutdown` it is cancelled after a part of `server.stopWaitS`; for what was promised time of its own there is `app.grace`.
    """


@hookspec
async def shutdown(app: "App") -> None:
    """End: called for every plugin that was active when the start began, whatever became of it since; those that start last first."""


@hookspec
async def health(app: "App") -> None:
    """Raise, with a message for the operator, when the plugin cannot do its work at present. Asked by `GET /readyz`."""


class NodeMiddleware:
    """The type of what `node_middleware` gives: `(definition, execute) -> execute`."""

    def __call__(self, definition: "NodeDefinition", execute: "Execute") -> "Execute": ...  # type: ignore[empty-body]
