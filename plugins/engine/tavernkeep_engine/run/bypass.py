"""What a bypassed node gives instead of its outputs."""

from collections.abc import Mapping
from typing import Any

from tavernkeep.contracts.nodes import NodeDefinition, NodeMode, PassThrough
from tavernkeep.contracts.slots import Slot, compatible


def pseudo_outputs(definition: NodeDefinition, mode: NodeMode, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The stand-ins for a bypassed node's outputs.

    Args:
        inputs: The inputs that have a value: what came in over an edge, and where the definition names what is passed through, also what
            was typed in or is a default. One that is a stream stands for its chunks, and an output that gets it is that stream.
    """
    behavior = definition.bypass_behavior
    if behavior == "mute":
        return {}
    if isinstance(behavior, PassThrough):
        return {key: _named(key, slot, behavior, mode, inputs) for key, slot in mode.outputs.items()}
    unused = [key for key in mode.inputs if key in inputs]
    given: dict[str, Any] = {}
    for key, slot in mode.outputs.items():
        match = next((name for name in unused if compatible(mode.inputs[name], slot)), None)
        if match is None:
            given[key] = slot.data_flow_type.empty
        else:
            unused.remove(match)
            given[key] = inputs[match]
    return given


def _named(key: str, slot: Slot, behavior: PassThrough, mode: NodeMode, inputs: Mapping[str, Any]) -> Any:
    name = behavior.pass_through.get(key)
    if name is not None and name in inputs and (name not in mode.inputs or compatible(mode.inputs[name], slot)):
        return inputs[name]
    return behavior.defaults.get(key, slot.data_flow_type.empty)
