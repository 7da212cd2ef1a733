"""Executions from outside: what runs together, what waits, who sees what, and how one comes back to it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.exceptions import ConnectionClosed

from support.client import Viewer, is_final, of_node, output_of, statuses, text_of, types, viewer
from support.llm import LlmServer
from support.plugins import install_odd_nodes, on_path
from support.server import PATIENCE_S, Server, serve

FAR = 10**6


@pytest_asyncio.fixture(scope="module")
async def odd(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server with nodes that take their time, and room for three executions."""
    path = on_path(install_odd_nodes(tmp_path_factory.mktemp("packs")))
    config = {"engine": {"shutdownGraceS": 0, "maxQueued": 2, "rememberedEvents": 50}, "execution": {"max_concurrent_workflows": 1}}
    config["plugins"] = {"disabled": ["history"]}
    async with serve(tmp_path_factory.mktemp("odd"), config, **path) as running:
        yield running


def node(id_: str, type_: str, **inputs: Any) -> dict[str, Any]:
    return {"id": id_, "fullType": type_, "inputs": inputs}


def edge(source: str, output: str, target: str, input_: str) -> dict[str, str]:
    return {"sourceNodeId": source, "sourceHandle": output, "targetNodeId": target, "targetHandle": input_}


async def begin(client: Viewer, *nodes: dict[str, Any], **more: Any) -> str:
    """Submit, and give the id once the first node runs or the execution waits."""
    await client.send("PROMPT_REQUEST", {"nodes": list(nodes), "edges": [], **more})
    messages = await client.until(
        lambda m: m["type"] == "NODE_EXECUTING" or (m["type"] == "EXECUTION_STATUS_UPDATE" and m["payload"]["status"] == "queued")
    )
    prompt_id: str = messages[0]["payload"]["promptId"]
    return prompt_id


async def interrupt(server: Server, prompt_id: str) -> None:
    assert (await server.http.delete(f"/api/interrupt/{prompt_id}")).status_code == 200


async def test_independent_nodes_run_together(odd: Server) -> None:
    """Twenty nodes that each wait for all the others complete: only if they overlap."""
    async with viewer(odd.ws_url) as client:
        messages = await client.run({"nodes": [node(f"n{i}", "odd:Meet", parties=20) for i in range(20)], "edges": []})
    assert statuses(messages) == ["running", "complete"]


async def test_independent_llm_calls_overlap(llm_backed: Server, llm: LlmServer) -> None:
    """Twenty LLM calls are at the service at the same time."""
    llm.most_running = 0
    ask = {"messages": [{"role": "user", "content": "hi"}], "activated_model_id": "gather-20"}
    async with viewer(llm_backed.ws_url) as client:
        messages = await client.run({"nodes": [node(f"n{i}", "core:GenericLlmRequest", **ask) for i in range(20)], "edges": []})
    assert statuses(messages) == ["running", "complete"]
    assert llm.most_running == 20


async def test_a_slow_consumer_holds_its_producer_back(odd: Server) -> None:
    """A producer is never further ahead of a slow consumer than the stream's buffer allows."""
    payload = {
        "nodes": [node("fast", "odd:Fast", upto=5000), node("slow", "odd:Slow")],
        "edges": [edge("fast", "output", "slow", "stream")],
    }
    async with viewer(odd.ws_url) as client:
        given = output_of(await client.run(payload), "slow")["output"]
    assert given["taken"] == 5000
    assert given["ahead"] <= 64 + 1


async def test_an_llm_stream_reaches_viewers_and_nodes(llm_backed: Server) -> None:
    """A stream goes at once to its viewers, to a node that reads it, and joined to one that takes text."""
    ask = {"messages": [{"role": "user", "content": "hi"}], "activated_model_id": "echo-40-0", "stream": True}
    payload = {
        "nodes": [
            node("llm", "core:GenericLlmRequest", **ask),
            node("tag", "core:StreamSuffixRelay", suffix="|"),
            node("t", "core:TextMerge"),
        ],
        "edges": [edge("llm", "stream_output", "tag", "inputStream"), edge("tag", "outputStream", "t", "text_inputs__0")],
    }
    async with viewer(llm_backed.ws_url) as client:
        messages = await client.run(payload)
    words = [f"t{i} " for i in range(40)]
    assert text_of(messages, "llm") == "".join(words)
    assert text_of(messages, "tag") == "".join(f"{word}|" for word in words)
    assert output_of(messages, "t") == {"merged_text": "".join(f"{word}|" for word in words)}


async def test_a_stream_has_flat_memory(odd: Server) -> None:
    """A stream of 20,000 chunks that nobody reads leaves no trace but its last events."""
    async with viewer(odd.ws_url) as client:
        messages = await client.run({"nodes": [node("n", "odd:Count", upto=20_000)], "edges": []})
        assert text_of(messages, "n") == "".join(f"{i} " for i in range(20_000))


async def test_executions_wait_their_turn_and_a_full_queue_refuses(odd: Server) -> None:
    """One runs, two wait, the higher priority first; a fourth is refused with the reason; an interrupted one never starts."""
    async with viewer(odd.ws_url) as client:
        first = await begin(client, node("a", "odd:ForeverAsync"))
        second = await begin(client, node("b", "core:TextMerge", text_inputs=["b"]))
        third = await begin(client, node("c", "core:TextMerge", text_inputs=["c"]), priority=5)
        listed = (await odd.http.get("/api/executions")).json()
        assert [info["promptId"] for info in listed["running"]] == [first]
        assert {info["promptId"] for info in listed["pending"]} == {second, third}
        assert (await odd.http.get("/api/system_stats")).json() == {
            "maxConcurrentWorkflows": 1,
            "runningExecutions": 1,
            "pendingExecutions": 2,
        }
        await client.send("PROMPT_REQUEST", {"nodes": [], "edges": [], "requestId": "r4"})
        refused = (await client.until(lambda m: m["type"] == "error"))[-1]
        assert refused["payload"]["requestId"] == "r4"
        assert (await odd.http.post("/api/prompt", json={"nodes": [], "edges": []})).status_code == 503
        await interrupt(odd, first)
        messages = await client.until(lambda m: is_final(m) and m["payload"]["promptId"] == second)
        done = [m["payload"]["promptId"] for m in messages if is_final(m)]
        assert done == [first, third, second]

        blocker = await begin(client, node("a", "odd:ForeverAsync"))
        waiting = await begin(client, node("b", "core:TextMerge", text_inputs=["b"]))
        await interrupt(odd, waiting)
        await interrupt(odd, blocker)
        messages = await client.until(lambda m: is_final(m) and m["payload"]["promptId"] == blocker)
        assert not of_node(messages, "b")
    assert (await odd.http.get(f"/api/prompt/{waiting}")).json()["status"] == "interrupted"


async def test_everyone_is_told_of_the_queue(odd: Server) -> None:
    """`SYSTEM_QUEUE_UPDATE` goes to every socket when something starts or ends."""
    async with viewer(odd.ws_url) as watcher, viewer(odd.ws_url) as client:
        prompt_id = await begin(client, node("a", "odd:ForeverAsync"))
        told = await watcher.until(lambda m: m["type"] == "SYSTEM_QUEUE_UPDATE")
        assert told[-1]["payload"] == {"runningExecutions": 1, "pendingExecutions": 0}
        await interrupt(odd, prompt_id)
        told = await watcher.until(lambda m: m["type"] == "SYSTEM_QUEUE_UPDATE" and not m["payload"]["runningExecutions"])
        assert types(told) == ["SYSTEM_QUEUE_UPDATE"]


async def test_coming_back_to_an_execution(odd: Server) -> None:
    """`SUBSCRIBE` with `after` gives what came after that event, then the rest; `UNSUBSCRIBE` ends it."""
    async with viewer(odd.ws_url) as client:
        prompt_id = await begin(client, node("done", "core:TextMerge", text_inputs=["x"]), node("a", "odd:ForeverAsync"))
        await client.until(lambda m: m["type"] == "NODE_EXECUTING" and m["payload"]["nodeId"] == "a")
    async with viewer(odd.ws_url) as other, viewer(odd.ws_url) as left:
        await left.send("SUBSCRIBE", {"promptId": prompt_id, "after": 0})
        await left.until(lambda m: m["type"] == "NODE_EXECUTING" and m["payload"]["nodeId"] == "a")
        await left.send("UNSUBSCRIBE", {"promptId": prompt_id})
        await left.send("NO_SUCH")
        await left.error()  # so that the one before has been taken
        await other.send("SUBSCRIBE", {"promptId": prompt_id, "after": 2})
        missed = await other.until(lambda m: m["type"] == "NODE_EXECUTING" and m["payload"]["nodeId"] == "a")
        assert [m["payload"]["seq"] for m in missed] == list(range(3, 3 + len(missed)))
        await interrupt(odd, prompt_id)
        (last,) = await other.until(is_final)
        assert last["payload"]["status"] == "interrupted"
        assert last["payload"]["seq"] == missed[-1]["payload"]["seq"] + 1
        await left.send("NO_SUCH")
        await left.error()


async def test_events_that_are_no_longer_remembered_are_not_made_up(odd: Server) -> None:
    """Asking for events that are gone is an error that says from where they are there."""
    async with viewer(odd.ws_url) as client:
        messages = await client.run({"nodes": [node("n", "odd:Count", upto=200)], "edges": []})
        await client.send("SUBSCRIBE", {"promptId": messages[0]["payload"]["promptId"], "after": 0})
        assert "no longer remembered" in (await client.error())["payload"]["message"]


async def test_batches_only_for_who_asked(odd: Server) -> None:
    """After `HELLO {batch: true}` frames may be lists of messages, with nothing lost; without it each frame is one object."""
    payload = {"nodes": [node("n", "odd:Count", upto=3000)], "edges": []}
    async with viewer(odd.ws_url) as client:
        await client.send("HELLO", {"batch": True})
        await client.send("PROMPT_REQUEST", payload)
        messages: list[Any] = []
        while not any(map(is_final, messages)):
            frame = json.loads(await client.socket.recv())
            messages += frame if isinstance(frame, list) else [frame]
    assert text_of(messages, "n") == "".join(f"{i} " for i in range(3000))


async def test_a_viewer_that_reads_nothing_holds_up_nobody(tmp_path: Path) -> None:
    """Executions do not wait for it. When it reads, everything is there; too many answers that it lets lie cost it its place."""
    path = on_path(install_odd_nodes(tmp_path / "packs"))
    config = {"web": {"socketQueueBytes": 4096}, "engine": {"rememberedEvents": 10}}
    async with serve(tmp_path, config, **path) as server:

        async def have_ended(count: int) -> None:
            while len((await server.http.get("/api/executions")).json()["recent"]) < count:
                await asyncio.sleep(0.01)

        payload = {"nodes": [node(f"n{i}", "core:TextMerge", text_inputs=["x" * 1000]) for i in range(200)], "edges": []}
        async with viewer(server.ws_url, max_queue=1, compression=None) as client:
            for count in (1, 2):
                await client.send("PROMPT_REQUEST", payload)
                await have_ended(count)
            messages = await client.until(is_final) + await client.until(is_final)
            ended = [m["payload"] for m in messages if is_final(m)]
            for end in ended:
                seen = [m["payload"]["seq"] for m in messages if m["payload"].get("promptId") == end["promptId"] and "seq" in m["payload"]]
                assert seen == list(range(1, end["seq"] + 1))
            assert len({end["promptId"] for end in ended}) == 2
            for _ in range(60):
                await client.send("PROMPT_REQUEST", {"nodes": [0] * 5000, "edges": []})  # the answer names each of them
            async with asyncio.timeout(PATIENCE_S):
                while "too slow" not in server.output():
                    await asyncio.sleep(0.05)
            with suppress(ConnectionClosed):
                async for _ in client.socket:
                    pass
            assert client.socket.close_code == 1013


async def test_a_dry_run_says_everything_and_runs_nothing(odd: Server) -> None:
    """`dryRun` tells what would stop it, what would fail a node and what is only odd, over both ways in, with the request's id."""
    payload = {
        "nodes": [node("a", "core:TextMerge"), node("b", "no:such")],
        "edges": [edge("a", "merged_text", "gone", "x"), edge("a", "", "b", "x")],
        "dryRun": True,
        "requestId": "r1",
    }
    async with viewer(odd.ws_url) as client:
        await client.send("PROMPT_REQUEST", payload)
        (answer,) = await client.until(lambda m: m["type"] != "SYSTEM_QUEUE_UPDATE")
    assert answer["type"] == "PROMPT_VALIDATED_RESPONSE"
    report = answer["payload"]
    assert (report["valid"], report["requestId"]) == (False, "r1")
    assert {problem["path"] for problem in report["nodeProblems"]} == {"node a", "node b"}
    assert {problem["path"] for problem in report["warnings"]} == {"edges[0]", "edges[1]"}
    over_http = (await odd.http.post("/api/prompt", json=payload)).json()
    assert over_http == {key: value for key, value in report.items() if key != "requestId"}


async def test_only_what_the_targets_need_runs(odd: Server) -> None:
    """`targetNodeIds` runs those nodes and their ancestors, and nothing else."""
    payload = {
        "nodes": [node("a", "core:TextMerge", text_inputs=["x"]), node("b", "core:TextMerge"), node("c", "odd:Raise")],
        "edges": [edge("a", "merged_text", "b", "text_inputs__0"), edge("b", "merged_text", "c", "kind")],
        "targetNodeIds": ["b"],
    }
    async with viewer(odd.ws_url) as client:
        messages = await client.run(payload)
    assert statuses(messages) == ["running", "complete"]
    assert not of_node(messages, "c")
    assert output_of(messages, "b") == {"merged_text": "x"}


async def test_the_detail_of_an_ended_execution(odd: Server) -> None:
    """`GET /api/prompt/ID` has outputs, the status of every node, warnings, metadata and times."""
    payload = {
        "nodes": [node("a", "core:TextMerge", text_inputs=["x"]), node("b", "odd:Raise"), node("c", "core:TextMerge")],
        "edges": [edge("b", "output", "c", "text_inputs__0"), edge("a", "merged_text", "gone", "x")],
        "outputInterfaceMappings": {"text": {"sourceNodeId": "a", "sourceSlotKey": "merged_text"}},
        "metadata": {"workflowName": "wine 酒", "projectId": "p"},
    }
    prompt_id = (await odd.http.post("/api/prompt", json=payload)).json()["promptId"]
    async with viewer(odd.ws_url) as client:
        await client.send("SUBSCRIBE", {"promptId": prompt_id, "after": 0})
        await client.until(is_final)
    detail = (await odd.http.get(f"/api/prompt/{prompt_id}")).json()
    assert (detail["status"], detail["workflowName"], detail["outputs"]) == ("error", "wine 酒", {"text": "x"})
    assert {key: value["status"] for key, value in detail["nodeStatus"].items()} == {"a": "complete", "b": "error", "c": "skipped"}
    assert detail["nodeStatus"]["a"]["output"] == {"merged_text": "x"}
    assert detail["nodeStatus"]["b"]["error"]["message"] == "no good"
    assert detail["errorInfo"]["nodes"][0]["nodeId"] == "b"
    assert len(detail["warnings"]) == 1
    assert detail["submittedAt"] <= detail["startedAt"] <= detail["completedAt"]
    assert detail["durationMs"] >= 0
    assert (await odd.http.get("/api/prompt/no-such")).status_code == 404


async def test_many_viewers_at_once(odd: Server) -> None:
    """A hundred sockets each run a workflow at once; each gets its own messages and no other's."""

    async def one(number: int) -> None:
        async with viewer(odd.ws_url) as client:
            while True:
                messages = await client.run({"nodes": [node("n", "core:TextMerge", text_inputs=[f"viewer {number}"])], "edges": []})
                if messages[-1]["type"] != "error":  # the queue is full: try again
                    break
                await asyncio.sleep(0.01)
            assert output_of(messages, "n") == {"merged_text": f"viewer {number}"}
            assert len({m["payload"]["promptId"] for m in messages}) == 1

    await asyncio.gather(*(one(number) for number in range(100)))
