"""The nodes that connect a workflow with the outside: GroupInput, GroupOutput, NodeGroup."""

from tavernkeep import NodeDefinition, hookimpl
from tavernkeep_nodes_io.groups import GROUP_INPUT, GROUP_OUTPUT, NODE_GROUP


@hookimpl
def register_nodes() -> list[NodeDefinition]:
    return [GROUP_INPUT, GROUP_OUTPUT, NODE_GROUP]
