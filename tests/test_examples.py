"""The example workflows, each with its expected output, run from the command line and over the socket."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support.client import FINAL, Message, viewer
from support.server import Server, serve, tavernkeep
from tavernkeep.contracts.workflow import payload_from
from tavernkeep.wire import unstructure

EXAMPLES = Path(__file__).parents[1] / "examples"
EXPECTED = json.loads((EXAMPLES / "expected.json").read_text(encoding="utf-8"))
LIBRARY = {"TAVERNKEEP_PATHS__LIBRARY": str(EXAMPLES / "library"), "TAVERNKEEP_LLM__DEMO_DELAY_S": "0"}


def stored(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    return content


def test_every_workflow_has_its_expected_output() -> None:
    """None is left out; those that others use are run by these."""
    names = {path.stem for path in EXAMPLES.glob("*.json")} - {"expected"}
    used = {name for name in names if any(f'"{name}"' in (EXAMPLES / f"{other}.json").read_text() for other in names - {name})}
    assert names - used <= set(EXPECTED) <= names
    assert len(EXPECTED) >= 10


async def test_an_editor_shows_every_edge(server: Server) -> None:
    """Each ends at slots that the nodes' definitions have with their configuration; those of groups are their workflow's."""
    definitions = {f"{node['namespace']}:{node['type']}": node for node in (await server.http.get("/api/nodes")).json()}
    for path in EXAMPLES.glob("*.json"):
        workflow = json.loads(path.read_text(encoding="utf-8"))
        if path.stem in ("expected", "hello"):  # no workflow, and one as it is submitted
            continue
        nodes = {node["id"]: node for node in workflow["nodes"]}
        for edge in workflow["edges"]:
            for end, handle, side in (("source", "sourceHandle", "outputs"), ("target", "targetHandle", "inputs")):
                node = nodes[edge[end]]
                if not node["type"].startswith(("core:Group", "core:NodeGroup")):
                    slots = slots_of(definitions[node["type"]], node.get("configValues", {}))[side]
                    assert edge[handle] in slots or edge[handle].rpartition("__")[0] in slots, (path.name, edge)


def slots_of(definition: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """What an editor shows of a node with some configuration."""
    mode = config.get(definition.get("modeConfigKey")) or definition.get("defaultModeId")
    found: dict[str, Any] = definition.get("modes", {}).get(mode, definition)
    return found


@pytest.mark.parametrize("name", EXPECTED)
async def test_from_the_command_line(tmp_path: Path, name: str) -> None:
    """`tavernkeep run` prints the expected outputs."""
    case = EXPECTED[name]
    options = [f"--input={key}={json.dumps(value)}" for key, value in case.get("inputs", {}).items()]
    options += [f"--answer={key}={json.dumps(value)}" for key, value in case.get("answers", {}).items()]
    ran = await tavernkeep(tmp_path, "run", str(EXAMPLES / f"{name}.json"), *options, **LIBRARY)
    assert ran.code == 0, ran.stderr
    assert json.loads(ran.stdout) == case["outputs"]


@pytest_asyncio.fixture(scope="module")
async def library(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server with the examples' library."""
    async with serve(tmp_path_factory.mktemp("library"), {}, **LIBRARY) as running:
        yield running


def submission(name: str) -> dict[str, Any]:
    """An example as a client sends it: as an execution payload, with the workflows that it refers to."""
    payload = payload_from(stored(name)).with_inputs(EXPECTED[name].get("inputs", {}))
    others = {path.stem: stored(path.stem) for path in EXAMPLES.glob("*.json") if path.stem not in (name, "expected", "hello")}
    return {**unstructure(payload), "workflows": others}


def outputs_of(messages: list[Message]) -> dict[str, Any]:
    """The workflow's outputs as a viewer puts them together: streams are the texts of their chunks."""
    outputs: dict[str, Any] = {}
    texts: dict[str, str] = {}
    for message in messages:
        payload = message["payload"]
        if message["type"] == "NODE_COMPLETE" and payload["nodeId"] == "__WORKFLOW_INTERFACE_OUTPUTS__":
            outputs = payload["output"]
        elif message["type"] == "WORKFLOW_INTERFACE_YIELD" and payload["yieldedContent"]["type"] == "text_chunk":
            key = payload["interfaceOutputKey"]
            texts[key] = texts.get(key, "") + payload["yieldedContent"]["content"]
    return outputs | texts


@pytest.mark.parametrize("name", EXPECTED)
async def test_over_the_socket(library: Server, name: str) -> None:
    """`/ws` gives the same outputs; what a node asks is answered with `NODE_INPUT`."""
    answers = EXPECTED[name].get("answers", {})
    async with viewer(library.ws_url) as client:
        await client.send("PROMPT_REQUEST", submission(name))
        messages: list[Message] = []
        while not messages or messages[-1]["type"] != "EXECUTION_STATUS_UPDATE" or messages[-1]["payload"]["status"] not in FINAL:
            messages += await client.until(lambda m: m["type"] in ("EXECUTION_STATUS_UPDATE", "NODE_WAITING", "error"))
            last = messages[-1]["payload"]
            if messages[-1]["type"] == "NODE_WAITING":
                await client.send("NODE_INPUT", {"promptId": last["promptId"], "nodeId": last["nodeId"], "value": answers[last["nodeId"]]})
    assert messages[-1]["payload"]["status"] == "complete", messages[-1]
    assert outputs_of(messages) == EXPECTED[name]["outputs"]


async def test_an_answer_over_http_and_answers_that_nobody_waits_for(library: Server) -> None:
    """A question can be answered by `POST`; unknown executions are 404, nodes that do not wait 409; a wrong choice is asked again."""
    async with viewer(library.ws_url) as client:
        await client.send("PROMPT_REQUEST", submission("approval"))
        asked = (await client.until(lambda m: m["type"] == "NODE_WAITING"))[-1]["payload"]
        url = f"/api/prompt/{asked['promptId']}/nodes/{{}}/input"
        assert (await library.http.post(url.format("draft"), json={"value": 1})).status_code == 409
        assert (await library.http.post("/api/prompt/none/nodes/ask/input", json={"value": 1})).status_code == 404
        assert (await library.http.post(url.format("ask"), json={"value": "burn it"})).status_code == 204
        again = (await client.until(lambda m: m["type"] == "NODE_WAITING"))[-1]["payload"]
        assert again["refused"] == "burn it"
        assert (await library.http.post(url.format("ask"), json={"value": "discard"})).status_code == 204
        messages = await client.until(lambda m: m["type"] == "EXECUTION_STATUS_UPDATE")
    assert outputs_of(messages) == {"letter": "(nothing was sent)"}


async def test_a_question_without_a_terminal_ends_the_run(tmp_path: Path) -> None:
    """`tavernkeep run` without an answer and without a terminal says how to give one."""
    ran = await tavernkeep(tmp_path, "run", str(EXAMPLES / "approval.json"))
    assert ran.code == 130
    assert "--answer ask=VALUE" in ran.stderr
