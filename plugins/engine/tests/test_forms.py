"""The two forms of a workflow, told apart, and the files of other programs, refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.client import output_of, viewer
from support.server import Server
from tavernkeep.contracts.workflow import OutputMapping
from tavernkeep.wire import Invalid, unstructure
from tavernkeep_engine.forms.foreign import program_of, program_of_text
from tavernkeep_engine.forms.reading import form_of, payload_of, read, stored_of

EXAMPLES = Path(__file__).parents[3] / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.json") if path.stem != "expected")

FOREIGN: dict[str, Any] = {
    "a ComfyUI workflow in its API format": {"3": {"class_type": "KSampler", "inputs": {"seed": 1, "model": ["4", 0]}}},
    "a ComfyUI workflow as its editor saves it": {"last_node_id": 1, "nodes": [{"id": 1, "type": "KSampler", "pos": [0, 0]}], "links": []},
    "an n8n workflow": {
        "name": "n",
        "nodes": [{"name": "Start", "type": "n8n-nodes-base.start", "typeVersion": 1, "parameters": {}, "position": [0, 0]}],
        "connections": {"Start": {"main": []}},
    },
    "a Dify app": {"app": {"mode": "workflow"}, "kind": "app", "workflow": {"graph": {"nodes": [], "edges": []}}},
    "a Flowise flow": {"nodes": [{"id": "a", "type": "customNode", "data": {"baseClasses": ["X"]}}], "edges": []},
    "a LangFlow flow": {"name": "l", "data": {"nodes": [], "edges": [], "viewport": {}}},
    "a Node-RED flow": [{"id": "1", "type": "tab"}, {"id": "2", "type": "inject", "wires": [["3"]]}],
    "an InvokeAI workflow": {"nodes": [{"id": "a", "type": "invocation", "data": {"type": "noise"}}], "edges": []},
    "a Make blueprint": {"name": "m", "flow": [{"id": 1, "module": "http:ActionSendData"}], "metadata": {}},
    "a character card": {"spec": "chara_card_v2", "data": {"name": "Ada"}},
}
MORE: list[Any] = [
    ("a ComfyUI workflow in its API format", {"client_id": "x", "prompt": {"1": {"class_type": "LoadImage", "inputs": {}}}}),
    (
        "a ComfyUI workflow as its editor saves it",
        {"nodes": [{"id": 1, "widgets_values": []}], "links": [[1, 1, 0, 2, 0, "X"]]},
    ),
    ("a Dify app", {"graph": {"nodes": [], "edges": []}, "features": {}}),
    ("a LangFlow flow", {"nodes": [{"id": "a", "type": "genericNode", "data": {}}], "edges": []}),
]


@pytest.mark.parametrize(("program", "data"), [*FOREIGN.items(), *MORE])
def test_other_programs_files_are_refused_by_name(program: str, data: Any) -> None:
    """Wherever a workflow is read, in either direction, with what is known instead."""
    assert program_of(data) == program
    for reader in (payload_of, stored_of):
        with pytest.raises(Invalid, match=program) as refused:
            reader(data)
        assert "tavernkeep convert" in str(refused.value)


def test_difys_yaml_is_known_too() -> None:
    """Which is no JSON; what is neither says so."""
    assert program_of_text(b"app:\n  mode: workflow\nkind: app\nversion: 0.1.5\n") == "a Dify app"
    with pytest.raises(Invalid, match="Dify"):
        read(b"app:\n  name: x\nkind: app\n")
    with pytest.raises(Invalid, match="JSON"):
        read(b"kind: thing\n")


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_are_none_of_these_and_stay_what_they_are(name: str) -> None:
    """A stored workflow is run by its payload; a payload that is stored and run again is the same graph with the same outputs."""
    data = json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    assert program_of(data) is None
    payload = payload_of(data)
    sent = unstructure(payload)
    assert form_of(sent) == "payload"
    again = payload_of(stored_of(sent))
    assert again.nodes[: len(payload.nodes)] == payload.nodes
    assert again.output_interface_mappings == payload.output_interface_mappings
    assert {(edge.source_node_id, edge.target_node_id) for edge in payload.edges} <= {
        (edge.source_node_id, edge.target_node_id) for edge in again.edges
    }
    assert stored_of(stored_of(sent)) == stored_of(sent)


def test_what_a_payload_says_more_is_kept() -> None:
    """Fields that are not known, how it is to be run, and outputs, which get a node; nodes stand behind what feeds them."""
    sent = {
        "nodes": [{"id": "b", "fullType": "x:B", "inputs": {"t": 1}, "mine": [1]}, {"id": "a", "fullType": "x:A"}],
        "edges": [{"sourceNodeId": "a", "sourceHandle": "o", "targetNodeId": "b", "targetHandle": "i", "label": "l"}],
        "outputInterfaceMappings": {"text": {"sourceNodeId": "b", "sourceSlotKey": "o"}},
        "metadata": {"workflowName": "n", "workflowId": "w"},
        "priority": 3,
        "colour": "red",
    }
    stored = stored_of(sent)
    assert (stored["id"], stored["name"], stored["colour"]) == ("w", "n", "red")
    assert stored["nodes"][0] == {"id": "b", "type": "x:B", "inputValues": {"t": 1}, "mine": [1], "position": {"x": 360, "y": 0}}
    assert [node["type"] for node in stored["nodes"]] == ["x:B", "x:A", "core:GroupOutput"]
    assert stored["edges"][0]["label"] == "l"
    assert len({edge["id"] for edge in stored["edges"]}) == 2
    payload = payload_of(stored)
    assert payload.output_interface_mappings == {"text": OutputMapping("b", "o")}
    assert (payload.priority, payload.name, payload.reference) == (3, "n", "w")


def test_half_of_each_is_neither() -> None:
    """Each node that does not fit the others is named."""
    with pytest.raises(Invalid) as refused:
        payload_of({"nodes": [{"id": "a", "fullType": "x:A"}, {"id": "b", "type": "x:B"}], "edges": []})
    assert [problem.path for problem in refused.value.problems] == ["nodes[1]"]
    assert form_of({"nodes": [], "edges": [], "viewport": {}}) == "stored"
    assert form_of({"nodes": [], "edges": []}) == "payload"
    assert form_of({"nodes": 5, "edges": [{"source": "a"}]}) == "stored"
    for data in (None, 5, "x", [], {}, {"nodes": None}, {"nodes": [5], "edges": [None]}, {"nodes": [{"id": "a", "type": 5}], "edges": []}):
        with pytest.raises(Invalid):
            payload_of(data)
        if form_of(data) == "payload":
            with pytest.raises(Invalid):
                stored_of(data)


STORED: dict[str, Any] = {
    "name": "s",
    "viewport": {"x": 0, "y": 0, "zoom": 1},
    "nodes": [
        {"id": "a", "type": "core:TextMerge", "position": {"x": 0, "y": 0}, "inputValues": {"text_inputs": ["1", "2"], "separator": ""}}
    ],
    "edges": [],
}
PAYLOAD: dict[str, Any] = {
    "nodes": [{"id": "a", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["1", "2"], "separator": ""}}],
    "edges": [],
}


async def test_either_form_wherever_a_workflow_is_given(server: Server) -> None:
    """Both are run over HTTP and over the socket, both are saved, and both are found where somebody put a file; others are named."""
    for form in (STORED, PAYLOAD):
        checked = await server.http.post("/api/prompt", json={**form, "dryRun": True})
        assert (checked.status_code, checked.json()["valid"]) == (200, True)
        async with viewer(server.ws_url) as client:
            assert output_of(await client.run({**form, "requestId": f"{form is STORED}"}), "a") == {"merged_text": "12"}
    comfy = FOREIGN["a ComfyUI workflow in its API format"]
    async with viewer(server.ws_url) as client:
        (error,) = await client.run(comfy)
        assert "ComfyUI" in error["payload"]["details"][0]["message"]
    refused = await server.http.post("/api/prompt", json=comfy)
    assert (refused.status_code, "ComfyUI" in refused.text) == (422, True)
    await server.http.post("/api/projects", json={"name": "forms"})
    place = "/api/projects/forms/workflows"
    stored = (await server.http.post(place, json={**PAYLOAD, "name": "p"})).json()
    assert (stored["nodes"][0]["type"], stored["nodes"][0]["inputValues"]["separator"]) == ("core:TextMerge", "")
    again = (await server.http.put(f"{place}/{stored['id']}", json={**PAYLOAD, "name": "p"})).json()
    assert again["nodes"] == stored["nodes"]
    for foreign in FOREIGN.values():
        if isinstance(foreign, dict):
            for method, url in (("POST", place), ("PUT", f"{place}/{stored['id']}")):
                assert (await server.http.request(method, url, json={**foreign, "name": "f"})).status_code == 422
    folder = server.folder / "data" / "users" / "default_user" / "projects" / "forms" / "workflows"
    (folder / "put.json").write_text(json.dumps(PAYLOAD))
    (folder / "comfy.json").write_text(json.dumps(comfy))
    assert (await server.http.get(f"{place}/put")).json()["nodes"][0]["type"] == "core:TextMerge"
    assert (await server.http.post(f"{place}/put/run", json={})).status_code == 200
    named = await server.http.get(f"{place}/comfy")
    assert (named.status_code, "ComfyUI" in named.text) == (422, True)
