"""Large inputs for every node type there is."""

from typing import Any

from tavernkeep.contracts.nodes import NodeDefinition
from tavernkeep.contracts.workflow import PayloadNode, WorkflowPayload

TEXT = "The dragon of the valley sleeps until the first snow. " * 2000  # about 100 kB
VALUES: dict[str, Any] = {
    "STRING": TEXT,
    "INTEGER": 12345,
    "FLOAT": 2.5,
    "BOOLEAN": True,
    "ARRAY": [{"role": "user", "content": TEXT[:100], "name": f"n{i}"} for i in range(1000)],
    "OBJECT": {"entries": [{"keys": ["dragon"], "content": f"entry {i}"} for i in range(1000)], "data": list(range(1000))},
    "BINARY": b"x" * 100_000,
    "WILDCARD": list(range(10_000)),
    "CONVERTIBLE_ANY": TEXT,
}


def large_payload(definition: NodeDefinition) -> WorkflowPayload:
    """One node with large inputs; whether it makes anything of them or fails is its own affair."""
    inputs = {key: VALUES[slot.data_flow_type.value] for key, slot in definition.inputs.items() if not slot.is_stream}
    inputs = {key: [value] * 100 if definition.inputs[key].multi else value for key, value in inputs.items()}
    inputs |= {key: ", " for key in ("separator", "suffix") if key in inputs}  # else the output has the size of their product
    for key, slot in definition.inputs.items():
        choices = slot.config.get("suggestions")
        if choices and "ComboOption" in slot.match_categories:
            inputs[key] = choices[-1]["value"]
    if definition.type in ("Delay", "WaitForPerson"):
        return WorkflowPayload([], [])
    policy = {"executionPolicy": {"timeoutS": 5}}
    return WorkflowPayload([PayloadNode("n", definition.full_type, inputs, policy)], [])


def large_chain(length: int) -> dict[str, Any]:
    """So many nodes, one after the other."""
    nodes = [{"id": f"n{i}", "fullType": "core:TextMerge", "inputs": {"separator": "-", "text_inputs": ["x"]}} for i in range(length)]
    edges = [
        {"sourceNodeId": f"n{i}", "sourceHandle": "merged_text", "targetNodeId": f"n{i + 1}", "targetHandle": "text_inputs__0"}
        for i in range(length - 1)
    ]
    return {"nodes": nodes, "edges": edges}
