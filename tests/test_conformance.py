"""The worked cases of the protocol: what a client sends, and the messages that come back."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.client import Message, viewer
from support.server import Server

CASES = json.loads((Path(__file__).parent / "data" / "examples.json").read_text(encoding="utf-8"))["cases"]
ADDITIONS = ("NODE_SKIPPED",)


def grouped(messages: list[Message]) -> dict[str, list[Message]]:
    """Messages by what they belong to: the execution itself (`-`), a node, a streamed interface output (`iface:KEY`)."""
    groups: dict[str, list[Message]] = {}
    for message in messages:
        payload = message["payload"]
        if message["type"] in ADDITIONS:
            continue
        if message["type"] == "WORKFLOW_INTERFACE_YIELD":
            key = f"iface:{payload['interfaceOutputKey']}"
        else:
            key = payload.get("nodeId") or payload.get("sourceNodeId") or "-"
        groups.setdefault(key, []).append(message)
    return groups


def assert_fits(wanted: Any, got: Any, place: str) -> None:
    """What is wanted is there; further fields may be too."""
    if wanted == "*":
        return
    if isinstance(wanted, dict):
        assert isinstance(got, dict), place
        for key, value in wanted.items():
            assert key in got, f"{place}.{key} is missing in {got}"
            if key == "message":
                assert isinstance(got[key], str), f"{place}.{key}"  # the texts of messages are free
            elif key == "output" and value == {}:
                assert got[key] == {}, f"{place}.{key}"
            else:
                assert_fits(value, got[key], f"{place}.{key}")
    else:
        assert got == wanted, f"{place}: {got!r} is not {wanted!r}"


@pytest.mark.parametrize("name", CASES)
async def test_worked_case(name: str, llm_backed: Server) -> None:
    """Each worked case of the protocol gives the messages that the specification shows, in order within each node."""
    case = CASES[name]
    async with viewer(llm_backed.ws_url) as client:
        messages = await client.run(case["payload"])
    groups = grouped(messages)
    assert set(groups) == set(case["messages"])
    for key, wanted in case["messages"].items():
        assert [m["type"] for m in groups[key]] == [type_ for type_, _ in wanted], key
        for message, (_, payload) in zip(groups[key], wanted, strict=True):
            assert_fits(payload, message["payload"], key)
    assert [m["payload"]["seq"] for m in messages[1:]] == list(range(1, len(messages)))
    assert messages[0]["type"] == "PROMPT_ACCEPTED_RESPONSE"
