"""tavernkeep: an open server for AI node workflows, built as a microkernel with plugins.

What a plugin needs stands here; the rest of the kernel is in the modules named after what they hold.
"""

from tavernkeep.auth import AuthError, AuthProvider, Credentials, UserContext
from tavernkeep.authoring import Config, Node, node
from tavernkeep.config import ConfigSection, StartError
from tavernkeep.events import Event
from tavernkeep.hookspecs import hookimpl, hookspec
from tavernkeep.http import ApiError, Request, Response, Route, WebSocketMessage
from tavernkeep.nodes import (
    Chunk,
    DataFlowType,
    NodeContext,
    NodeDefinition,
    NodeFailure,
    NodeMode,
    Outputs,
    PassThrough,
    Slot,
    Stream,
    StreamFailed,
)
from tavernkeep.services import ServiceNotFound, Services
from tavernkeep.storage import ModelSet, StorageProvider

__all__ = [
    "ApiError",
    "AuthError",
    "AuthProvider",
    "Chunk",
    "Config",
    "ConfigSection",
    "Credentials",
    "DataFlowType",
    "Event",
    "ModelSet",
    "Node",
    "NodeContext",
    "NodeDefinition",
    "NodeFailure",
    "NodeMode",
    "Outputs",
    "PassThrough",
    "Request",
    "Response",
    "Route",
    "ServiceNotFound",
    "Services",
    "Slot",
    "StartError",
    "StorageProvider",
    "Stream",
    "StreamFailed",
    "UserContext",
    "WebSocketMessage",
    "hookimpl",
    "hookspec",
    "node",
]
