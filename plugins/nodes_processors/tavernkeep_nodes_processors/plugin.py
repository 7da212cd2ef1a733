"""Nodes that compute: MathOperation."""

from tavernkeep import NodeDefinition, hookimpl
from tavernkeep_nodes_processors.math_operation import MATH_OPERATION


@hookimpl
def register_nodes() -> list[NodeDefinition]:
    return [MATH_OPERATION]
