"""The nodes that connect a workflow with the outside: GroupInput, GroupOutput."""

from typing import Any

from tavernkeep import DataFlowType, NodeContext, NodeDefinition, Slot, hookimpl


def group_input(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Give the value of each of the workflow's own inputs."""
    return dict(context.execution.interface_inputs)


def group_output(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Give nothing: what comes in is an output of the workflow, which the engine takes from its source. Streams end before it runs."""
    return {}


_DYNAMIC = Slot(DataFlowType.CONVERTIBLE_ANY, display_name="*", match_categories=("BehaviorConvertible",), allow_dynamic_type=True)

GROUP_INPUT = NodeDefinition(
    type="GroupInput",
    category="Group",
    display_name="Group input",
    description="The inputs of this workflow.",
    dynamic_slots=True,
    outputs={"output_0": _DYNAMIC},
    execute=group_input,
    inline=True,
)
GROUP_OUTPUT = NodeDefinition(
    type="GroupOutput",
    category="Group",
    display_name="Group output",
    description="The outputs of this workflow.",
    dynamic_slots=True,
    inputs={"input_0": _DYNAMIC},
    execute=group_output,
    inline=True,
)


@hookimpl
def register_nodes() -> list[NodeDefinition]:
    return [GROUP_INPUT, GROUP_OUTPUT]
