"""Every built-in node, bypassed: what flows in through an edge flows on where it fits, and nothing else does."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from support.reference import EMPTY
from tavernkeep.contracts.events import NodeBypassed
from tavernkeep.contracts.running import Subflow
from tavernkeep.contracts.slots import DataFlowType, Slot, Slots
from tavernkeep.contracts.workflow import InterfaceSlot, payload_from
from tavernkeep.testing import Tavern

MARKS = '''
from collections.abc import AsyncIterator

from tavernkeep import node


@node("marks:Value")
def value(mark: str = "") -> str:
    """Give a mark."""
    return mark


@node("marks:Stream")
async def stream(mark: str = "") -> AsyncIterator[str]:
    """Stream a mark."""
    yield mark
'''
INNER = {
    "nodes": [],
    "edges": [],
    "interfaceInputs": {"asked": {"key": "asked", "dataFlowType": "STRING"}, "count": {"key": "count", "dataFlowType": "INTEGER"}},
    "interfaceOutputs": {"said": {"key": "said", "dataFlowType": "STRING"}, "rest": {"key": "rest", "dataFlowType": "ARRAY"}},
}
SIDES = ("interfaceInputs", "interfaceOutputs")
CONFIG: dict[str, dict[str, Any]] = {"core:NodeGroup": {"referencedWorkflowId": "inner"}, "flow:Switch": {"cases": ["a", "b"]}}


@attrs.frozen
class Standing:
    """What a node with dynamic slots may ask of where it stands."""

    config: Mapping[str, Any]
    interface_inputs: Mapping[str, InterfaceSlot] = attrs.field(factory=dict)

    async def workflow(self, reference: str) -> Subflow:
        raise AssertionError(f"nobody asks for {reference}")


def write_marks(folder: Path) -> None:
    plugin = folder / "data" / "plugins" / "marks"
    plugin.mkdir(parents=True)
    (plugin / "plugin.yaml").write_text("{name: marks, displayName: Marks, version: '1', nodes: {entry: nodes.py}}")
    (plugin / "nodes.py").write_text(MARKS)


def slots_of(tavern: Tavern, full_type: str) -> tuple[Slots, Slots]:
    """The inputs and the outputs of a node with its configuration here."""
    if full_type == "core:NodeGroup":
        inputs, outputs = ({key: Slot(DataFlowType(slot["dataFlowType"])) for key, slot in INNER[side].items()} for side in SIDES)
        return inputs, outputs
    definition = tavern.app.nodes.get(full_type)
    assert definition is not None
    config = definition.config_of(CONFIG.get(full_type, {}))
    mode = tavern.wait(definition.resolve(Standing(config))) if definition.resolve else definition.mode_for(config)
    return mode.inputs, mode.outputs


def bypassed(tavern: Tavern, *, connected: bool) -> dict[str, Mapping[str, Any]]:
    """What each gives: with a text typed into every input, or with an edge to each."""
    nodes: list[dict[str, Any]] = []
    edges: list[dict[str, Any]] = []
    for full_type in FLOWS:
        inputs, _ = slots_of(tavern, full_type)
        typed = {key: f"typed {key}" for key in inputs}
        nodes.append({"id": full_type, "fullType": full_type, "inputs": typed, "configValues": CONFIG.get(full_type, {}), "bypassed": True})
        for key, slot in inputs.items() if connected else ():
            source = f"{full_type} {key}"
            nodes.append({"id": source, "fullType": f"marks:{'Stream' if slot.is_stream else 'Value'}", "inputs": {"mark": f"of {key}"}})
            edges.append({"sourceNodeId": source, "sourceHandle": "output", "targetNodeId": full_type, "targetHandle": key})
    ran = tavern.run(payload_from({"nodes": nodes, "edges": edges, "workflows": {"inner": INNER}}))
    return {event.node_id: event.pseudo_outputs for event in ran.events if isinstance(event, NodeBypassed)}


@pytest.fixture(scope="module")
def tavern(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tavern]:
    folder = tmp_path_factory.mktemp("tavern")
    write_marks(folder)
    with Tavern.open(folder) as opened:
        yield opened


# For each output the input that flows on to it where all are connected: the first that fits, and that no other output has taken.
FLOWS: dict[str, dict[str, str]] = {
    "core:APISettings": {},
    "core:ApplyRegex": {"outputText": "inputText"},
    "core:CharacterCardLoader": {},
    "core:ContextBuilder": {"finalMessages": "historyMessages"},
    "core:CreateMessage": {"messages": "role"},
    "core:GenericLlmRequest": {"responseText": "messages"},
    "core:GroupInput": {},
    "core:GroupOutput": {},
    "core:History": {"history": "role1"},
    "core:HistoryLoader": {},
    "core:MathOperation": {"result": "a"},
    "core:MatrixOperation": {"result": "a"},
    "core:MergeHistory": {"history": "history1"},
    "core:MergeMessages": {"messages": "message_inputs"},
    "core:NodeGroup": {"said": "asked"},
    "core:OpenAI": {"response": "model"},
    "core:OpenAIChat": {"full_conversation": "model", "current_output": "temperature", "history": "max_tokens"},
    "core:PresetLoader": {},
    "core:RandomNumber": {"number": "value"},
    "core:RegexRuleLoader": {},
    "core:StreamLogger": {"outputStream": "inputStream"},
    "core:StreamSuffixRelay": {"outputStream": "inputStream"},
    "core:TestWidgets": {
        "string_output": "string_input",
        "text_output": "text_input",
        "markdown_output": "markdown_input",
        "int_output": "int_input",
        "float_output": "float_input",
        "boolean_output": "boolean_toggle",
        "combo_output": "combo_select",
        "json_output": "json_input",
        "javascript_code_output": "javascript_code_input",
        "string_with_suggestions_output": "string_with_suggestions",
        "int_with_suggestions_output": "int_with_suggestions",
        "float_with_suggestions_output": "float_with_suggestions",
    },
    "core:TextMerge": {"merged_text": "separator"},
    "core:WorldBookLoader": {},
    "flow:Branch": {"true": "condition", "false": "value"},
    "flow:CallWorkflow": {"outputs": "inputs"},
    "flow:Delay": {"value": "seconds"},
    "flow:Loop": {"state": "state"},
    "flow:Map": {"results": "items"},
    "flow:Merge": {"value": "inputs"},
    "flow:Switch": {"case_0": "value", "case_1": "data"},
    "flow:WaitForPerson": {"answer": "question"},
    "http:Request": {"status": "body", "headers": "query", "text": "url", "json": "headers"},
    "library:CharacterCardLoader": {},
    "library:HistoryLoader": {},
    "library:PresetLoader": {},
    "library:RegexRuleLoader": {},
    "library:WorldBookLoader": {},
    "llm:Agent": {"response": "messages", "rounds": "max_tokens"},
    "llm:Embeddings": {"vectors": "texts"},
    "llm:StructuredOutput": {"value": "messages", "json": "activated_model_id", "attempts": "max_tokens"},
    "text:Case": {"text": "text"},
    "text:Join": {"text": "separator"},
    "text:JsonBuild": {"value": "base", "text": "value_0"},
    "text:JsonParse": {"value": "text"},
    "text:JsonPath": {"values": "data", "value": "path"},
    "text:RegexExtract": {"first": "text"},
    "text:Split": {},
    "text:Template": {"text": "template"},
}


def expected(tavern: Tavern, full_type: str, flows: Mapping[str, str]) -> dict[str, Any]:
    inputs, outputs = slots_of(tavern, full_type)
    given: dict[str, Any] = {}
    for key, slot in outputs.items():
        source = inputs.get(flows.get(key, ""))
        if source is None:
            given[key] = EMPTY.get(slot.data_flow_type)
        elif not source.is_stream:  # what flows through a stream is no value
            given[key] = [f"of {flows[key]}"] if source.multi else f"of {flows[key]}"
        if slot.secret or (source is not None and source.secret):
            given[key] = "***"
    return given


def test_every_built_in_node_is_in_the_table(tavern: Tavern) -> None:
    """A new one says here what becomes of it when it is bypassed."""
    assert {definition.full_type for definition in tavern.app.nodes if definition.namespace != "marks"} == set(FLOWS)


def test_what_is_typed_in_and_what_is_a_default_flow_nowhere(tavern: Tavern) -> None:
    """Every output is the empty value of its type where no edge leads in."""
    assert bypassed(tavern, connected=False) == {full_type: expected(tavern, full_type, {}) for full_type in FLOWS}


def test_what_is_connected_flows_on_where_it_fits(tavern: Tavern) -> None:
    """Each output takes one input, in the order of the slots; what is left is empty."""
    assert bypassed(tavern, connected=True) == {full_type: expected(tavern, full_type, flows) for full_type, flows in FLOWS.items()}
