"""tavernkeep: an open server for AI node workflows, built as a microkernel with plugins.

What a plugin needs stands here; the rest of the kernel is in the modules named after what they hold.
"""

from tavernkeep.config import ConfigSection, StartError
from tavernkeep.contracts.app import App
from tavernkeep.contracts.auth import AuthError, AuthProvider, Credentials, UserContext
from tavernkeep.contracts.authoring import Config, Node, node
from tavernkeep.contracts.events import Event
from tavernkeep.contracts.http import ApiError, FileResponse, Part, Request, Response, Route, WebSocketMessage
from tavernkeep.contracts.nodes import NodeDefinition, NodeMode, PassThrough, Policy
from tavernkeep.contracts.running import Chunk, NodeContext, NodeFailure, Outputs, Routed, Stream, StreamFailed, Subflow
from tavernkeep.contracts.services import ServiceNotFound, Services
from tavernkeep.contracts.slots import DataFlowType, Slot, choices
from tavernkeep.contracts.storage import ModelSet, StorageProvider
from tavernkeep.hookspecs import hookimpl, hookspec

__all__ = [
    "ApiError",
    "App",
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
    "choices",
    "hookimpl",
    "hookspec",
    "node",
]
