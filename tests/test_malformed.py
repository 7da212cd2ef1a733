"""Whatever a client sends, it gets a clear error, and the same socket then runs a workflow."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.client import Viewer, output_of, viewer
from support.server import Server, serve

GOOD = {"nodes": [{"id": "a", "fullType": "core:TextMerge", "inputs": {"separator": "-", "text_inputs": ["x", "y"]}}], "edges": []}
NODE = GOOD["nodes"][0]
EDGE = {"sourceNodeId": "a", "sourceHandle": "merged_text", "targetNodeId": "a", "targetHandle": "text_inputs"}
WRONG: dict[str, list[Any]] = {
    "string": [None, 5, True, ["x"], {"x": 1}],
    "object": [None, 5, True, "x", ["x"]],
    "list": [None, 5, True, "x", {"x": 1}],
    "boolean": [None, 5, "true", []],
    "number": [None, "5", True, []],
    "object or null": [5, True, "x", ["x"]],
}


def prompt(**changes: Any) -> str:
    return json.dumps({"type": "PROMPT_REQUEST", "payload": GOOD | changes})


def without(mapping: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name != key}


def cases() -> dict[str, tuple[str | bytes, str]]:
    """Each message with what its error must mention."""
    found: dict[str, tuple[str | bytes, str]] = {
        "empty": ("", "JSON"),
        "blank": ("   ", "JSON"),
        "no json": ("hello", "JSON"),
        "cut off": ('{"type": "PROMPT_REQUEST", "payload": {"nodes": [', "JSON"),
        "two documents": ("{} {}", "JSON"),
        "trailing comma": ('{"type": "x",}', "JSON"),
        "single quotes": ("{'type': 'x'}", "JSON"),
        "comment": ('{"type": "x" /* no */}', "JSON"),
        "bare NaN": ('{"type": NaN}', "JSON"),
        "half a surrogate pair": ('{"type": "\\ud800"}', "JSON"),
        "control character": ('{"type": "a\nb"}', "JSON"),
        "byte order mark": ("\ufeff{}", "JSON"),
        "number too large": ('{"type": 1e999}', "JSON"),
        "deep lists": ("[" * 100_000, "nested too deeply"),
        "deep objects": ('{"a":' * 100_000, "nested too deeply"),
        "deep inputs": ('{"type":"PROMPT_REQUEST","payload":{"nodes":' + "[" * 50_000, "nested too deeply"),
        "binary": (b"\x00\x01\xff", "binary"),
        "binary json": (json.dumps({"type": "PROMPT_REQUEST", "payload": GOOD}).encode(), "binary"),
        "empty binary": (b"", "binary"),
        "no type": ("{}", "no type"),
        "type is null": ('{"type": null}', "type"),
        "type is a number": ('{"type": 5}', "type"),
        "type is a list": ('{"type": ["PROMPT_REQUEST"]}', "type"),
        "unknown type": ('{"type": "NO_SUCH"}', "Unknown message type: NO_SUCH"),
        "other case": ('{"type": "prompt_request"}', "Unknown message type: prompt_request"),
        "type with a blank": ('{"type": "PROMPT_REQUEST "}', "Unknown message type"),
        "empty type": ('{"type": ""}', "Unknown message type"),
        "long type": (json.dumps({"type": "x" * 100_000}), "Unknown message type"),
        "unicode type": ('{"type": "提示"}', "Unknown message type: 提示"),
        "prototype type": ('{"type": "__proto__"}', "Unknown message type"),
        "server's own type": ('{"type": "NODE_COMPLETE", "payload": {}}', "Unknown message type"),
        "no payload": ('{"type": "PROMPT_REQUEST"}', "malformed"),
        "payload of text": ('{"type": "PROMPT_REQUEST", "payload": "x"}', "malformed"),
        "payload is json text": (json.dumps({"type": "PROMPT_REQUEST", "payload": json.dumps(GOOD)}), "malformed"),
        "interrupt without id": ('{"type": "INTERRUPT_REQUEST", "payload": {}}', "promptId"),
        "interrupt with a number": ('{"type": "INTERRUPT_REQUEST", "payload": {"promptId": 5}}', "promptId"),
        "interrupt without payload": ('{"type": "INTERRUPT_REQUEST"}', "payload"),
        "interrupt of nothing": ('{"type": "INTERRUPT_REQUEST", "payload": {"promptId": "no such"}}', "no such"),
        "subscribe to nothing": ('{"type": "SUBSCRIBE", "payload": {"promptId": "no such"}}', "no such"),
        "subscribe from a text": ('{"type": "SUBSCRIBE", "payload": {"promptId": "x", "after": "1"}}', "after"),
        "hello with a text": ('{"type": "HELLO", "payload": {"batch": "yes"}}', "batch"),
        "click without button": ('{"type": "button_click", "payload": {"nodeId": "a"}}', "buttonName"),
        "two nodes of one id": (prompt(nodes=[NODE, NODE | {"bypassed": True}]), "also the id of"),
        "target that is not there": (prompt(targetNodeIds=["b"]), "there is no node 'b'"),
        "interface without a key": (prompt(interfaceInputs={"x": {"dataFlowType": "STRING"}}), "interfaceInputs.x.key"),
        "unknown flow type": (prompt(interfaceInputs={"x": {"key": "x", "dataFlowType": "TEXT"}}), "interfaceInputs.x.dataFlowType"),
        "mapping of text": (prompt(outputInterfaceMappings={"x": "a.text"}), "outputInterfaceMappings.x"),
        "mapping without a slot": (prompt(outputInterfaceMappings={"x": {"sourceNodeId": "a"}}), "sourceSlotKey"),
        "order of numbers": (
            prompt(nodes=[NODE | {"inputConnectionOrders": {"text_inputs": [1]}}]),
            "inputConnectionOrders.text_inputs[0]",
        ),
    }
    for wrong in ([], "x", 5, None, True):
        found[f"message is {json.dumps(wrong)}"] = (json.dumps(wrong), "object")
    for field, kind in {
        "nodes": "list",
        "edges": "list",
        "interfaceInputs": "object or null",
        "metadata": "object or null",
        "dryRun": "boolean",
    }.items():
        for wrong in WRONG[kind]:
            found[f"{field} is {json.dumps(wrong)}"] = (prompt(**{field: wrong}), field)
    for field in ("nodes", "edges"):
        found[f"no {field}"] = (json.dumps({"type": "PROMPT_REQUEST", "payload": without(GOOD, field)}), field)
    for field, kind in {
        "id": "string",
        "fullType": "string",
        "inputs": "object or null",
        "configValues": "object or null",
        "bypassed": "boolean",
    }.items():
        for wrong in WRONG[kind]:
            found[f"node.{field} is {json.dumps(wrong)}"] = (prompt(nodes=[NODE | {field: wrong}]), f"nodes[0].{field}")
    for field in ("id", "fullType"):
        found[f"no node.{field}"] = (prompt(nodes=[without(NODE, field)]), f"nodes[0].{field}")
    for field in EDGE:
        for wrong in WRONG["string"]:
            found[f"edge.{field} is {json.dumps(wrong)}"] = (prompt(edges=[EDGE | {field: wrong}]), f"edges[0].{field}")
        found[f"no edge.{field}"] = (prompt(edges=[without(EDGE, field)]), f"edges[0].{field}")
    for wrong in ("x", 5, None, []):
        found[f"node is {json.dumps(wrong)}"] = (prompt(nodes=[NODE, wrong]), "nodes[1]")
        found[f"edge is {json.dumps(wrong)}"] = (prompt(edges=[wrong]), "edges[0]")
    return found


CASES = cases()


def test_the_table_is_long_enough() -> None:
    """At least 100 different malformed messages are tried."""
    assert len({message for message, _ in CASES.values()}) >= 100


async def assert_works(client: Viewer) -> None:
    messages = await client.run(GOOD)
    assert output_of(messages, "a") == {"merged_text": "x-y"}


async def test_every_malformed_message_gets_an_error_and_the_socket_lives(server: Server) -> None:
    """Each message of the table is answered with one `error` that names the place, and the same socket then runs a workflow."""
    async with viewer(server.ws_url) as client:
        for name, (message, mention) in CASES.items():
            await client.socket.send(message)
            (error,) = await client.until(lambda m: m["type"] != "SYSTEM_QUEUE_UPDATE")
            assert error["type"] == "error", (name, error)
            assert mention in json.dumps(error["payload"], ensure_ascii=False), (name, error)
            await assert_works(client)


async def test_all_problems_are_listed_at_once(server: Server) -> None:
    """A payload with several problems is refused with each of them and its path, over both ways in."""
    payload = {"nodes": [{"id": 1, "fullType": None}, {"id": "b"}], "edges": [{}], "metadata": 3}
    wanted = {
        "nodes[0].id",
        "nodes[0].fullType",
        "nodes[1].fullType",
        "edges[0].sourceNodeId",
        "edges[0].sourceHandle",
        "edges[0].targetNodeId",
        "edges[0].targetHandle",
        "metadata",
    }
    async with viewer(server.ws_url) as client:
        (error,) = await client.run(payload)
    assert {problem["path"] for problem in error["payload"]["details"]} == wanted
    answer = await server.http.post("/api/prompt", json=payload)
    assert answer.status_code == 422
    assert {problem["path"] for problem in answer.json()["details"]} == wanted


async def test_a_message_over_the_limit_is_refused_with_the_limit_named(server: Server) -> None:
    """A message above `web.maxBodyBytes` is answered with an error that names the limit; one of that size still works."""
    limit = 32 * 1024 * 1024
    async with viewer(server.ws_url) as client:
        await client.socket.send(json.dumps({"type": "PROMPT_REQUEST", "payload": GOOD, "filler": "x" * limit}))
        error = await client.error()
        assert str(limit) in error["payload"]["message"]
        filler = "x" * (limit - 10_000)
        messages = await client.run(GOOD | {"nodes": [NODE | {"inputs": {"separator": "-", "text_inputs": ["x", "y"], "filler": filler}}]})
        assert output_of(messages, "a") == {"merged_text": "x-y"}


async def test_unknown_fields_are_ignored_at_every_level(server: Server) -> None:
    """What a newer client sends along is no error."""
    payload = {"nodes": [NODE | {"colour": "red"}], "edges": [], "extra": {"deep": [1]}}
    async with viewer(server.ws_url) as client:
        await client.socket.send(json.dumps({"type": "PROMPT_REQUEST", "payload": payload, "trace": 1}))
        messages = await client.until(lambda m: m["type"] == "EXECUTION_STATUS_UPDATE" and m["payload"]["status"] == "complete")
    assert output_of(messages, "a") == {"merged_text": "x-y"}


async def test_what_may_be_left_out_may_be_null(server: Server) -> None:
    """Objects and lists, of the payload, of its nodes and of its interface: clients write both."""
    whole = ("interfaceInputs", "interfaceOutputs", "outputInterfaceMappings", "metadata", "workflows", "requestId", "targetNodeIds")
    ofnode = dict.fromkeys(("inputs", "configValues", "inputConnectionOrders"))
    nothing = {"id": "b", "fullType": "core:CreateMessage", **ofnode}
    slot = {"key": "x", "dataFlowType": "STRING", "config": None, "matchCategories": None, "displayName": None}
    payload = GOOD | {"nodes": [NODE, nothing]} | dict.fromkeys(whole)
    async with viewer(server.ws_url) as client:
        for sent in (payload, payload | {"interfaceInputs": {"x": slot}}):
            messages = await client.run(sent)
            assert output_of(messages, "a") == {"merged_text": "x-y"}
            assert output_of(messages, "b") == {"messages": "[]"}
    assert (await server.http.post("/api/prompt", json=payload)).status_code == 200


REFUSED: dict[str, dict[str, Any]] = {
    "malformed": {"nodes": 5},
    "refused": {"targetNodeIds": ["none"]},
    "two nodes of one id": {"nodes": [NODE, NODE | {"bypassed": True}]},
    "too many nodes": {"nodes": [NODE | {"id": str(number)} for number in range(10_001)]},
    "over the limit": {"filler": "x" * 3_000_000},
    "used for another": {"metadata": {"other": 1}},
}


async def test_an_error_repeats_the_id_of_the_request(tmp_path: Path) -> None:
    """Whatever is wrong with it: its sender has several on the way, and must know which it was."""
    config = {"web": {"maxBodyBytes": 2_000_000}, "engine": {"maxNodes": 10_000}}
    async with serve(tmp_path, config) as server, viewer(server.ws_url) as client:
        await client.run(GOOD | {"requestId": "used for another"})
        for name, wrong in REFUSED.items():
            await client.send("PROMPT_REQUEST", {"requestId": name} | GOOD | wrong)
            assert (await client.error())["payload"]["requestId"] == name
        for odd in (7, 1.5):
            await client.send("PROMPT_REQUEST", GOOD | {"requestId": odd})
            assert (await client.error())["payload"]["requestId"] == odd
        for none in (None, ["x"], {"x": 1}, "x" * 5000):
            await client.send("PROMPT_REQUEST", GOOD | {"nodes": 5, "requestId": none})
            assert "requestId" not in (await client.error())["payload"]
        await assert_works(client)


@pytest.mark.parametrize("text", ["\x00", "𝄞🎭", "\u202eabc", "a\u0301", "__proto__", "constructor", "x" * 10_000])
async def test_odd_ids_and_texts_come_back_as_they_were_sent(server: Server, text: str) -> None:
    """Ids, handles and values may hold any text."""
    payload = {
        "nodes": [{"id": text, "fullType": "core:TextMerge", "inputs": {"separator": text, "text_inputs": ["a", text]}}],
        "edges": [],
    }
    async with viewer(server.ws_url) as client:
        messages = await client.run(payload)
    assert output_of(messages, text) == {"merged_text": f"a{text}{text}"}
