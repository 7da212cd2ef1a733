"""Ways, repetition, waiting."""

from typing import Any

import pytest

from tavernkeep.testing import RunNode, RunWorkflow


def node(id_: str, type_: str, inputs: dict[str, Any] | None = None, **config: Any) -> dict[str, Any]:
    return {"id": id_, "fullType": type_, "inputs": inputs or {}, "configValues": config}


def edge(source: str, target: str) -> dict[str, str]:
    """`node.slot` to `node.slot`."""
    (a, b), (c, d) = source.split("."), target.split(".")
    return {"sourceNodeId": a, "sourceHandle": b, "targetNodeId": c, "targetHandle": d}


def merge_text(id_: str, **inputs: Any) -> dict[str, Any]:
    return node(id_, "core:TextMerge", {"separator": "", **inputs})


def states(ran: Any) -> dict[str, str]:
    found = {}
    for event in ran.events:
        if event.type in ("NODE_COMPLETE", "NODE_SKIPPED", "NODE_ERROR"):
            found[event.payload["nodeId"]] = event.type.removeprefix("NODE_").lower()
    return found


@pytest.mark.parametrize(
    ("condition", "taken", "left"), [(True, "yes", "no"), ("", "no", "yes"), (0, "no", "yes"), ([0], "yes", "no"), (None, "no", "yes")]
)
def test_a_branch_skips_what_hangs_below_the_other_way(run_workflow: RunWorkflow, condition: Any, taken: str, left: str) -> None:
    """Skipping is no failure, goes on below, and a merge goes on with the way that was taken."""
    ran = run_workflow(
        {
            "nodes": [
                node("b", "flow:Branch", {"condition": condition, "value": "v"}),
                merge_text("yes"),
                merge_text("no"),
                merge_text("below_no"),
                node("m", "flow:Merge"),
            ],
            "edges": [
                edge("b.true", "yes.text_inputs__0"),
                edge("b.false", "no.text_inputs__0"),
                edge("no.merged_text", "below_no.text_inputs__0"),
                edge("yes.merged_text", "m.inputs__0"),
                edge("below_no.merged_text", "m.inputs__1"),
            ],
        }
    )
    found = states(ran)
    assert found[taken] == "complete"
    assert found[left] == "skipped"
    assert found["below_no"] == ("skipped" if left == "no" else "complete")
    assert ran.nodes["m"] == {"value": "v", "values": ["v"]}


def test_nothing_taken_skips_the_merge_too(run_workflow: RunWorkflow) -> None:
    """A merge all of whose ways were not taken is left out, and so is an output of the workflow."""
    ran = run_workflow(
        {
            "nodes": [node("b", "flow:Branch", {"condition": True}), node("m", "flow:Merge")],
            "edges": [edge("b.false", "m.inputs__0")],
            "outputInterfaceMappings": {"x": {"sourceNodeId": "m", "sourceSlotKey": "value"}},
        }
    )
    assert states(ran)["m"] == "skipped"
    assert ran.outputs == {}


@pytest.mark.parametrize(
    ("value", "way"), [("a", "case_0"), (2, "case_1"), ("2", "case_1"), (True, "case_2"), (1, "default"), (None, "default")]
)
def test_a_switch_takes_the_first_case_that_fits(run_node: RunNode, value: Any, way: str) -> None:
    """A case typed as text also fits a number; 1 is not true."""
    for cases in (["a", "2", "true"], "a\n2\ntrue", '["a", "2", "true"]'):
        assert run_node("flow:Switch", value=value, data="d", config={"cases": cases}).outputs == {way: "d"}


def test_a_switch_skips_what_hangs_below_every_other_way(run_workflow: RunWorkflow) -> None:
    """Also below those that an editor shows and no case leads to, and beyond those that it shows."""
    cases = "\n".join("abcdef")
    for config in ({"cases": cases}, {"cases": cases, "caseCount": "8"}, {"cases": "f", "caseCount": "8"}):
        ways = [*(f"case_{number}" for number in range(8 if "caseCount" in config else 6)), "default"]
        ran = run_workflow(
            {
                "nodes": [node("s", "flow:Switch", {"value": "f"}, **config), *(merge_text(way) for way in ways)],
                "edges": [edge(f"s.{way}", f"{way}.text_inputs__0") for way in ways],
            }
        )
        taken = "case_5" if config["cases"] == cases else "case_0"
        assert {way: states(ran)[way] for way in ways} == {way: "complete" if way == taken else "skipped" for way in ways}


@pytest.mark.parametrize("cases", [5, {"a": 1}, "[1, 2"])
def test_cases_that_are_no_list_are_refused(run_node: RunNode, cases: Any) -> None:
    """With the key named; it does not go on as if there were none."""
    assert "cases" in run_node("flow:Switch", value=1, config={"cases": cases}, check=False).errors[0]["message"]


DOUBLE = {
    "name": "double",
    "nodes": [
        {"id": "in", "type": "core:GroupInput"},
        {"id": "add", "type": "core:MathOperation"},
        {"id": "out", "type": "core:GroupOutput"},
    ],
    "edges": [
        {"id": "a", "source": "in", "sourceHandle": "n", "target": "add", "targetHandle": "a"},
        {"id": "b", "source": "in", "sourceHandle": "n", "target": "add", "targetHandle": "b"},
        {"id": "c", "source": "add", "sourceHandle": "result", "target": "out", "targetHandle": "twice"},
    ],
    "interfaceInputs": {"n": {"key": "n", "dataFlowType": "FLOAT", "required": True}},
    "interfaceOutputs": {"twice": {"key": "twice", "dataFlowType": "FLOAT"}},
}


def test_map_gives_results_in_order(run_workflow: RunWorkflow) -> None:
    """Whatever finishes first; inner nodes report under the item's index."""
    ran = run_workflow(
        {
            "nodes": [node("m", "flow:Map", {"items": list(range(50))}, referencedWorkflowId="double", concurrency=7)],
            "edges": [],
            "workflows": {"double": DOUBLE},
        }
    )
    assert ran.nodes["m"] == {"results": [2 * n for n in range(50)], "errors": []}
    assert ran.nodes["m/49/add"] == {"result": 98}


def test_map_of_nothing(run_workflow: RunWorkflow) -> None:
    """No item, no run."""
    ran = run_workflow({"nodes": [node("m", "flow:Map", {"items": []}, referencedWorkflowId="d")], "edges": [], "workflows": {"d": DOUBLE}})
    assert ran.nodes["m"] == {"results": [], "errors": []}


@pytest.mark.parametrize("on_error", ["fail", "null"])
def test_map_with_a_failing_item(run_workflow: RunWorkflow, on_error: str) -> None:
    """It ends the map, or leaves a gap with its reason."""
    ran = run_workflow(
        {
            "nodes": [node("m", "flow:Map", {"items": [1, "x", 3]}, referencedWorkflowId="d", onError=on_error)],
            "edges": [],
            "workflows": {"d": DOUBLE},
        },
        check=False,
    )
    if on_error == "fail":
        assert ran.errors[0]["message"].startswith("item 1: node 'add' of workflow 'double' failed: a must be a number")
    else:
        assert ran.nodes["m"]["results"] == [2, None, 6]
        assert ran.nodes["m"]["errors"][0]["index"] == 1


COUNT = {
    "name": "count",
    "nodes": [
        {"id": "in", "type": "core:GroupInput"},
        {"id": "add", "type": "core:MathOperation", "inputValues": {"b": 1}},
        {"id": "enough", "type": "core:MathOperation", "configValues": {"operationMode": "greaterThan"}, "inputValues": {"b": 3}},
        {"id": "out", "type": "core:GroupOutput"},
    ],
    "edges": [
        {"id": "a", "source": "in", "sourceHandle": "n", "target": "add", "targetHandle": "a"},
        {"id": "b", "source": "add", "sourceHandle": "result", "target": "enough", "targetHandle": "a"},
        {"id": "c", "source": "add", "sourceHandle": "result", "target": "out", "targetHandle": "n"},
        {"id": "d", "source": "enough", "sourceHandle": "result", "target": "out", "targetHandle": "done"},
    ],
    "interfaceInputs": {"n": {"key": "n", "dataFlowType": "FLOAT"}},
    "interfaceOutputs": {"n": {"key": "n", "dataFlowType": "FLOAT"}, "done": {"key": "done", "dataFlowType": "FLOAT"}},
}


def test_a_loop_ends_when_an_output_says_so(run_workflow: RunWorkflow) -> None:
    """Its other outputs are the next round's inputs; what the workflow does not know stays in the state."""
    payload = {
        "nodes": [node("l", "flow:Loop", {"state": {"n": 0, "kept": "x"}}, referencedWorkflowId="count")],
        "edges": [],
        "workflows": {"count": COUNT},
    }
    assert run_workflow(payload).nodes["l"] == {"state": {"n": 4, "kept": "x"}, "rounds": 4}


def test_a_loop_has_a_limit(run_workflow: RunWorkflow) -> None:
    """Past it the node fails."""
    payload = {
        "nodes": [node("l", "flow:Loop", {"state": {"n": 0}}, referencedWorkflowId="c", limit=2)],
        "edges": [],
        "workflows": {"c": COUNT},
    }
    assert "not done after 2 rounds" in run_workflow(payload, check=False).errors[0]["message"]


def test_calling_a_workflow_by_name(run_workflow: RunWorkflow) -> None:
    """With its inputs as an object; an unknown input is an error that names those there are."""
    payload = {"nodes": [node("c", "flow:CallWorkflow", {"workflow": "d", "inputs": {"n": 4}})], "edges": [], "workflows": {"d": DOUBLE}}
    assert run_workflow(payload).nodes["c"] == {"outputs": {"twice": 8}}
    payload["nodes"][0]["inputs"]["inputs"] = {"m": 1}  # type: ignore[index]
    assert "no input 'm'; it has n" in run_workflow(payload, check=False).errors[0]["message"]


@pytest.mark.parametrize(
    ("type_", "inputs", "config", "mention"),
    [
        ("flow:Map", {"items": 5}, {"referencedWorkflowId": "d"}, "items must be a list"),
        ("flow:Map", {"items": [1]}, {}, "choose a workflow"),
        ("flow:Map", {"items": [1]}, {"referencedWorkflowId": "none"}, "there is no workflow 'none'"),
        ("flow:Map", {"items": [1]}, {"referencedWorkflowId": "d", "itemInput": "m"}, "no input 'm'; it has n"),
        ("flow:Map", {"items": [1]}, {"referencedWorkflowId": "d", "concurrency": 0}, "concurrency must be a number from 1"),
        ("flow:Loop", {}, {"referencedWorkflowId": "d"}, "no output 'done'"),
        ("flow:Loop", {"state": []}, {"referencedWorkflowId": "c"}, "state must be an object"),
        ("flow:CallWorkflow", {"workflow": ""}, {}, "must be the id of a workflow"),
        ("flow:Delay", {"seconds": -1}, {}, "seconds must be a number"),
        ("flow:Delay", {"seconds": "x"}, {}, "seconds must be a number"),
        ("flow:WaitForPerson", {}, {"choices": 5}, "choices must be a list"),
    ],
)
def test_what_is_wrong_is_said(run_workflow: RunWorkflow, type_: str, inputs: Any, config: Any, mention: str) -> None:
    """Each failure names the place."""
    payload = {"nodes": [node("x", type_, inputs, **config)], "edges": [], "workflows": {"d": DOUBLE, "c": COUNT}}
    assert mention in run_workflow(payload, check=False).errors[0]["message"]


def test_delay_passes_its_value_on(run_node: RunNode) -> None:
    """After the time."""
    assert run_node("flow:Delay", seconds=0.001, value=[1]).outputs == {"value": [1]}


def test_a_person_answers(run_node: RunNode) -> None:
    """The question reaches the viewers with its choices and data."""
    ran = run_node("flow:WaitForPerson", question="Serve?", data={"ale": 1}, config={"choices": ["yes", "no"]}, answer="yes")
    assert ran.outputs == {"answer": "yes"}
    (asked,) = [event.payload for event in ran.events if event.type == "NODE_WAITING"]
    assert {"question": "Serve?", "choices": ["yes", "no"], "data": {"ale": 1}}.items() <= asked.items()


def test_choices_may_be_typed_as_lines(run_node: RunNode) -> None:
    """An editor has a text field for them."""
    ran = run_node("flow:WaitForPerson", config={"choices": "yes\n no\n"}, answer="no")
    (asked,) = [event.payload for event in ran.events if event.type == "NODE_WAITING"]
    assert (asked["choices"], ran.outputs) == (["yes", "no"], {"answer": "no"})


def test_nobody_answers_in_time(run_node: RunNode) -> None:
    """The node's execution policy limits the wait."""
    ran = run_node("flow:WaitForPerson", config={"executionPolicy": {"timeoutS": 0.01}}, check=False)
    assert "took longer than 0.01 s" in ran.errors[0]["message"]
