"""The nodes that connect a workflow with the outside: GroupInput, GroupOutput, NodeGroup."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import attrs

from tavernkeep import Chunk, DataFlowType, NodeContext, NodeDefinition, NodeMode, Outputs, Slot, Subflow, choices
from tavernkeep.contracts.nodes import Resolution
from tavernkeep.contracts.running import merged
from tavernkeep.contracts.workflow import InterfaceSlot


def as_slots(interface: Mapping[str, InterfaceSlot]) -> dict[str, Slot]:
    """The slots of a node that stands for a workflow's own inputs or outputs."""
    return {
        key: Slot(
            slot.data_flow_type,
            display_name=slot.display_name,
            description=slot.custom_description,
            required=slot.required,
            config=slot.config,
            match_categories=tuple(slot.match_categories),
            is_stream=slot.is_stream,
        )
        for key, slot in interface.items()
    }


def group_input(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Give the value of each of the workflow's own inputs."""
    return dict(context.execution.interface_inputs)


async def streamed_group_input(inputs: dict[str, Any], context: NodeContext) -> AsyncIterator[Chunk | Outputs]:
    """The same where some come as streams: their chunks are passed on as they come."""
    values = context.execution.interface_inputs
    streams = {key: value for key, value in values.items() if hasattr(value, "__aiter__")}
    yield Outputs({key: value for key, value in values.items() if key not in streams})
    async with aclosing(merged(streams)) as pieces:
        async for key, chunk in pieces:
            yield attrs.evolve(chunk, slot=key)


async def resolve_group_input(resolution: Resolution) -> NodeMode:
    """Its outputs are the inputs of the workflow that it stands in."""
    outputs = as_slots(resolution.interface_inputs)
    streamed = any(slot.is_stream for slot in outputs.values())
    return NodeMode("", {}, outputs, streamed_group_input if streamed else group_input)


def group_output(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Give nothing: what comes in is an output of the workflow, which the engine takes from its source. Streams end before it runs."""
    return {}


async def resolve_node_group(resolution: Resolution) -> NodeMode:
    """Its slots are those of the workflow that it refers to."""
    subflow = await resolution.workflow(resolution.config.get("referencedWorkflowId", ""))
    return NodeMode("", as_slots(subflow.inputs), as_slots(subflow.outputs), _running(subflow))


def _running(subflow: Subflow) -> Any:
    async def node_group(inputs: dict[str, Any], context: NodeContext) -> AsyncIterator[Chunk | Outputs]:
        """Run the workflow; pass its streams on, then give its outputs."""
        run = context.launch(subflow, inputs)
        async with aclosing(aiter(run)) as pieces:  # type: ignore[type-var]
            async for key, chunk in pieces:
                yield attrs.evolve(chunk, slot=key)
        yield Outputs(run.outputs)

    return node_group


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
    resolve=resolve_group_input,
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

NODE_GROUP = NodeDefinition(
    type="NodeGroup",
    category="Group",
    display_name="Node group",
    description="Runs another workflow of the same project, or of the library, as one node. Its nodes report as GROUP/NODE.",
    width=250,
    config_schema={
        "referencedWorkflowId": Slot(
            DataFlowType.STRING,
            display_name="Workflow 工作流",
            description="The workflow to run, of the same project or of the library.",
            required=True,
            match_categories=("ResourceId",),
            config={"acceptedTypes": choices({"workflow": "Workflow 工作流"}), "placeholder": "Choose a workflow 选择工作流"},
        )
    },
    resolve=resolve_node_group,
)
