"""A workflow never brings the server down, whatever its nodes and the services behind them do."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support.client import Message, of_node, output_of, statuses, types, viewer
from support.llm import LlmServer, channel
from support.plugins import install_odd_nodes, on_path
from support.server import Server, serve

GOOD = {"nodes": [{"id": "ok", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["fine"]}}], "edges": []}


def workflow(*types_: str, **inputs: Any) -> dict[str, Any]:
    """Nodes of some types, unconnected, beside one that works."""
    nodes = [{"id": f"n{i}", "fullType": full_type, "inputs": inputs} for i, full_type in enumerate(types_)]
    return {"nodes": [*nodes, *GOOD["nodes"]], "edges": []}


def error_of(messages: list[Message], node: str) -> dict[str, Any]:
    (error,) = [m for m in of_node(messages, node) if m["type"] == "NODE_ERROR"]
    details: dict[str, Any] = error["payload"]["errorDetails"]
    return details


@pytest_asyncio.fixture(scope="module")
async def odd(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server with nodes that misbehave."""
    path = on_path(install_odd_nodes(tmp_path_factory.mktemp("packs")))
    async with serve(tmp_path_factory.mktemp("odd"), {"engine": {"shutdownGraceS": 0}}, **path) as running:
        yield running


KINDS = [
    "ValueError",
    "empty",
    "SystemExit",
    "KeyboardInterrupt",
    "CancelledError",
    "StopIteration",
    "GeneratorExit",
    "MemoryError",
    "BaseException",
    "NodeFailure",
    "surrogate",
    "RecursionError",
]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_node_may_raise_anything(odd: Server, kind: str) -> None:
    """Whatever a node raises, inline, in a thread, in a task or in a stream, is its own failure; its neighbours and the server go on."""
    payload = workflow("odd:Raise", "odd:RaiseInline", "odd:RaiseAsync", "odd:RaiseStream", kind=kind)
    async with viewer(odd.ws_url) as client:
        messages = await client.run(payload)
        assert statuses(messages) == ["running", "error"]
        for node in ("n0", "n1", "n2", "n3"):
            assert error_of(messages, node)["message"]
        assert types(of_node(messages, "n3")) == ["NODE_EXECUTING", "NODE_YIELD", "NODE_YIELD", "NODE_ERROR"]
        assert output_of(messages, "ok") == {"merged_text": "fine"}
        assert {node["nodeId"] for node in messages[-1]["payload"]["errorInfo"]["nodes"]} == {"n0", "n1", "n2", "n3"}
        assert statuses(await client.run(GOOD)) == ["running", "complete"]


async def test_a_failure_on_purpose_says_what_it_knows(odd: Server) -> None:
    """`NodeFailure` carries the slot at fault and whether another try may help."""
    async with viewer(odd.ws_url) as client:
        messages = await client.run(workflow("odd:Raise", kind="NodeFailure"))
    wanted = {"message": "on purpose", "retryable": True, "slot": "kind", "nodeId": "n0", "nodeType": "odd:Raise"}
    assert wanted.items() <= error_of(messages, "n0").items()


async def test_an_error_chunk_is_the_nodes_failure(odd: Server) -> None:
    """The chunk is sent, then the failure with its message; nothing after it."""
    async with viewer(odd.ws_url) as client:
        messages = await client.run(workflow("odd:ErrorChunk"))
    assert types(of_node(messages, "n0")) == ["NODE_EXECUTING", "NODE_YIELD", "NODE_YIELD", "NODE_ERROR"]
    assert of_node(messages, "n0")[2]["payload"]["isLastChunk"] is True
    assert error_of(messages, "n0")["message"] == "by chunk"


@pytest.mark.parametrize("name", ["List", "Text", "Number", "Class"])
async def test_a_wrong_return_value_is_a_failure(odd: Server, name: str) -> None:
    """What is no mapping of outputs fails the node, with a message that says what came."""
    async with viewer(odd.ws_url) as client:
        messages = await client.run(workflow(f"odd:Returns{name}"))
    assert "expected an object with its outputs" in error_of(messages, "n0")["message"]


async def test_no_return_value_is_no_output(odd: Server) -> None:
    """A node that returns nothing completes without outputs."""
    async with viewer(odd.ws_url) as client:
        messages = await client.run(workflow("odd:ReturnsNothing"))
    assert output_of(messages, "n0") == {}


async def test_what_is_no_data_is_a_failure(odd: Server) -> None:
    """Its message says where it is; half a surrogate pair is no reason to fail."""
    async with viewer(odd.ws_url) as client:
        messages = await client.run(workflow("odd:ReturnsUnsendable", "odd:ReturnsLoop", "odd:ReturnsSurrogate"))
    assert statuses(messages) == ["running", "error"]
    assert "Output output is of the class Unsendable, which is no data" in error_of(messages, "n0")["message"]
    assert "contains itself" in error_of(messages, "n1")["message"]
    assert output_of(messages, "n2") == {"output": "half � pair"}


@pytest.mark.parametrize("name", ["ForeverAsync", "ForeverThread", "Stubborn", "UntilCancelled"])
async def test_a_node_that_never_returns_can_be_interrupted(odd: Server, name: str) -> None:
    """An interrupt ends it with the status `interrupted`, and the server answers meanwhile and afterwards."""
    async with viewer(odd.ws_url) as client:
        await client.send("PROMPT_REQUEST", workflow(f"odd:{name}"))
        began = await client.until(lambda m: m["type"] == "NODE_EXECUTING" and m["payload"]["nodeId"] == "n0")
        prompt_id = began[0]["payload"]["promptId"]
        assert (await odd.http.get("/healthz")).status_code == 200
        answer = await odd.http.delete(f"/api/interrupt/{prompt_id}")
        assert answer.json()["success"] is True
        messages = await client.until(lambda m: m["type"] == "EXECUTION_STATUS_UPDATE")
        assert statuses(messages) == ["interrupted"]
        assert statuses(await client.run(GOOD)) == ["running", "complete"]
    again = await odd.http.delete(f"/api/interrupt/{prompt_id}")
    assert (again.status_code, again.json()["success"]) == (404, False)


async def test_an_execution_that_takes_too_long_ends_in_error(odd: Server) -> None:
    """`timeoutS` stops an execution, and the error says so."""
    async with viewer(odd.ws_url) as client:
        messages = await client.run(workflow("odd:ForeverAsync") | {"timeoutS": 0.05})
    assert statuses(messages) == ["running", "error"]
    assert "0.05 s" in messages[-1]["payload"]["errorInfo"]["message"]


async def test_progress_from_a_thread_is_told_in_order(odd: Server) -> None:
    """A node in a thread reports how far it is."""
    async with viewer(odd.ws_url) as client:
        messages = await client.run(workflow("odd:Progress"))
    told = [m["payload"]["value"] for m in of_node(messages, "n0") if m["type"] == "NODE_PROGRESS"]
    assert told == [1, 2, 3]


async def test_secrets_stay_inside(odd: Server) -> None:
    """A secret input appears in no message, error, answer or log line, however the node tries to leak it."""
    secret = "s3cr3t-PLANTED-value"
    async with viewer(odd.ws_url) as client:
        fine = await client.run(workflow("odd:Secret", key=secret))
        failed = await client.run(workflow("odd:Secret", key=secret, fail=True))
    assert output_of(fine, "n0") == {"plain": "the key is ***", "hidden": "***"}
    assert error_of(failed, "n0")["message"] == "cannot log in with ***"
    details = [(await odd.http.get(f"/api/prompt/{m[0]['payload']['promptId']}")).text for m in (fine, failed)]
    for place in (str(fine), str(failed), *details, odd.output()):
        assert secret not in place


BROKEN_SERVICES = ["status-400", "status-401", "status-404", "status-429", "status-500", "status-503", "garbage", "html", "cut-2"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", BROKEN_SERVICES)
async def test_a_failing_service_fails_the_node_alone(llm_backed: Server, model: str, stream: bool) -> None:
    """An LLM service that refuses, fails, talks nonsense or breaks off is that node's failure, with the reason in the message."""
    if model == "cut-2" and not stream:
        model = "cut-2-0"
    payload = llm_workflow(model, stream)
    async with viewer(llm_backed.ws_url) as client:
        messages = await client.run(payload)
        if model == "cut-2-0":
            return
        assert statuses(messages) == ["running", "error"]
        message = error_of(messages, "llm")["message"]
        assert message.startswith("local ")
        if model.startswith("status"):
            assert model.removeprefix("status-") in message
        assert output_of(messages, "ok") == {"merged_text": "fine"}
        assert statuses(await client.run(llm_workflow("echo-1-0", stream))) == ["running", "complete"]


def llm_workflow(model: str, stream: bool = False) -> dict[str, Any]:
    messages = [{"role": "user", "content": "hi"}]
    inputs = {"messages": messages, "activated_model_id": model, "stream": stream}
    return {"nodes": [{"id": "llm", "fullType": "core:GenericLlmRequest", "inputs": inputs}, *GOOD["nodes"]], "edges": []}


async def test_a_service_that_is_not_there_or_not_answering(tmp_path: Path, llm: LlmServer) -> None:
    """A refused connection and a service that falls silent are failures with a reason, and not waits without end."""
    channels = {
        "channels": [
            {"label": "nobody", "baseUrl": "http://127.0.0.1:9", "supportedModels": ["refused"]},
            {"label": "not a url", "baseUrl": "ht!tp://x y", "supportedModels": ["no-url"]},
            *channel(llm)["channels"],
        ],
        "timeoutS": 0.2,
        "attempts": 2,
        "retryWaitS": 0.01,
    }
    async with serve(tmp_path, {"llm": channels}) as server, viewer(server.ws_url) as client:
        for model, mention in {"refused": "nobody", "no-url": "not a url", "hang": "in time", "slow-1": "in time"}.items():
            messages = await client.run(llm_workflow(model, stream=model == "slow-1"))
            assert statuses(messages) == ["running", "error"], model
            assert mention in error_of(messages, "llm")["message"], model
        assert (await server.http.get("/readyz")).status_code == 200


async def test_a_busy_service_is_asked_again(llm_backed: Server, llm: LlmServer) -> None:
    """An answer of 503 with `Retry-After` is tried again, with and without streaming."""
    async with viewer(llm_backed.ws_url) as client:
        for model, stream in (("flaky-1", False), ("flaky-2", True)):
            messages = await client.run(llm_workflow(model, stream))
            assert output_of(messages, "llm")["responseText"] == "t0 t1 t2 "
    assert [request["model"] for request in llm.requests].count("flaky-2") == 3


async def test_an_interrupt_closes_the_call(llm_backed: Server, llm: LlmServer) -> None:
    """Interrupting an execution closes the connection of its LLM call: the service sees it go."""
    for stream in (False, True):
        llm.disconnected.clear()
        llm.asked.clear()
        async with viewer(llm_backed.ws_url) as client:
            await client.send("PROMPT_REQUEST", llm_workflow("slow-2" if stream else "hang", stream))
            first = await client.until(lambda m: m["type"] == "NODE_EXECUTING" and m["payload"]["nodeId"] == "llm")
            await llm.asked.wait()
            await client.send("INTERRUPT_REQUEST", {"promptId": first[0]["payload"]["promptId"]})
            messages = await client.until(lambda m: m["type"] == "EXECUTION_STATUS_UPDATE" and m["payload"]["status"] != "running")
            assert statuses(messages)[-1] == "interrupted"
        await llm.disconnected.wait()
