"""tavernkeep: an open server for AI node workflows, built as a microkernel with plugins.

What a plugin needs stands here; the rest of the kernel is in the modules named after what they hold.
"""

from tavernkeep.auth import AuthError, AuthProvider, Credentials, UserContext
from tavernkeep.authoring import Config, Node, node
from tavernkeep.config import ConfigSection, StartError
from tavernkeep.events import Event
from tavernkeep.hookspecs import hookimpl, hookspec
from tavernkeep.http import ApiError, FileResponse, Part, Request, Response, Route, WebSocketMessage
from tavernkeep.nodes import DataFlowType, NodeDefinition, NodeMode, PassThrough, Policy, Slot
from tavernkeep.running import Chunk, NodeContext, NodeFailure, Outputs, Routed, Stream, StreamFailed, Subflow
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
    "FileResponse",
    "ModelSet",
    "Node",
    "NodeContext",
    "NodeDefinition",
    "NodeFailure",
    "NodeMode",
    "Outputs",
    "Part",
    "PassThrough",
    "Policy",
    "Request",
    "Response",
    "Route",
    "Routed",
    "ServiceNotFound",
    "Services",
    "Slot",
    "StartError",
    "StorageProvider",
    "Stream",
    "StreamFailed",
    "Subflow",
    "UserContext",
    "WebSocketMessage",
    "hookimpl",
    "hookspec",
    "node",
]
