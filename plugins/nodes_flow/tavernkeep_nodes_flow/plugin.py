"""Nodes that branch, loop, map, call workflows and wait."""

from tavernkeep import NodeDefinition, hookimpl
from tavernkeep_nodes_flow.repeat import CALL_WORKFLOW, LOOP, MAP
from tavernkeep_nodes_flow.waiting import DELAY, WAIT_FOR_PERSON
from tavernkeep_nodes_flow.ways import BRANCH, MERGE, SWITCH


@hookimpl
def register_nodes() -> list[NodeDefinition]:
    return [BRANCH, SWITCH, MERGE, MAP, LOOP, CALL_WORKFLOW, DELAY, WAIT_FOR_PERSON]
