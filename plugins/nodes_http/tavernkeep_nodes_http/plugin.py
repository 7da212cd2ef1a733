"""HttpRequest: a request through the guarded client."""

from tavernkeep import NodeDefinition, hookimpl
from tavernkeep_nodes_http.request import REQUEST


@hookimpl
def register_nodes() -> list[NodeDefinition]:
    return [REQUEST]
