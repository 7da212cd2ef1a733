"""Every built-in node has the slots that saved workflows hold."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.client import viewer
from support.server import Server

SPECIFIED = json.loads((Path(__file__).parent / "data" / "nodes.json").read_text(encoding="utf-8"))
FREE = ("displayName", "description", "key", "secret")  # texts for people are this project's own; what is secret is an addition


def bare(slot: dict[str, Any]) -> dict[str, Any]:
    """A slot without its texts for people, with what is said by leaving it out left out."""
    config = {key: value for key, value in slot.get("config", {}).items() if key not in ("label", "placeholder")}
    for key in ("suggestions", "acceptedTypes"):
        if key in config:
            config[key] = [choice["value"] for choice in config[key]]
    kept = {key: value for key, value in slot.items() if key not in (*FREE, "config") and value not in (False, [], {})}
    actions = [
        {key: value for key, value in action.items() if key not in ("tooltip", "label", "title")} for action in slot.get("actions", [])
    ]
    return kept | ({"config": config} if config else {}) | ({"actions": actions} if actions else {})


@pytest.mark.parametrize("name", SPECIFIED)
async def test_definition(name: str, server: Server) -> None:
    """Keys, types, defaults, limits, option values, match categories, modes and the category are those of the specification."""
    found = {f"{node['namespace']}:{node['type']}": node for node in (await server.http.get("/api/nodes")).json()}
    assert name in found
    wanted, got = SPECIFIED[name], found[name]

    def slots(of: dict[str, Any] | None) -> dict[str, Any]:
        return {key: bare(slot) for key, slot in (of or {}).items()}

    for part in ("inputs", "outputs", "configSchema"):
        assert slots(got.get(part)) == slots(wanted.get(part)), part
    for part in ("category", "width", "dynamicSlots", "clientScriptUrl", "defaultModeId", "modeConfigKey", "configValues"):
        if part in wanted:
            assert got.get(part) == wanted[part], part
    assert set(got.get("modes") or {}) == set(wanted.get("modes") or {})
    for key, mode in (wanted.get("modes") or {}).items():
        assert slots(got["modes"][key]["inputs"]) == slots(mode["inputs"]), key
        assert slots(got["modes"][key]["outputs"]) == slots(mode["outputs"]), key
    assert got["displayName"]
    assert got["description"]


async def test_everything_to_choose_from_has_a_label(server: Server) -> None:
    """In every definition of every plugin: an editor shows, and stores, what has none as `[object Object]`."""
    found = list(chosen((await server.http.get("/api/nodes")).json()))
    assert len(found) > 100
    assert [entry for entry in found if not (isinstance(entry, dict) and "value" in entry and isinstance(entry.get("label"), str))] == []


async def test_everything_that_is_filled_in_or_pressed_has_its_texts(server: Server) -> None:
    """A button its label, a text field its placeholder, a configuration value its name and description: editors show the key without."""
    nodes = (await server.http.get("/api/nodes")).json()
    buttons, texts, values = 0, 0, 0
    for node in nodes:
        schema = node.get("configSchema") or {}
        for slot in (
            *node["inputs"].values(),
            *schema.values(),
            *(s for m in node.get("modes", {}).values() for s in m["inputs"].values()),
        ):
            where, config, categories = (node["type"], slot["key"]), slot.get("config", {}), slot.get("matchCategories", [])
            if "Trigger" in categories:
                buttons += 1
                assert config["label"], where
            elif slot["dataFlowType"] == "STRING" and "ComboOption" not in categories and not slot.get("multi"):
                texts += 1
                assert config["placeholder"], where
        for key, slot in schema.items():
            values += 1
            assert slot["displayName"] not in ("", key), (node["type"], key)
            assert slot["description"] not in ("", key, slot["displayName"]), (node["type"], key)
    assert (buttons >= 2, texts > 50, values > 20) == (True, True, True)


async def test_what_an_editor_begins_with_is_what_the_node_takes(server: Server) -> None:
    """Every configuration value with a default has it in `configValues`, and it is one of its choices where there are any."""
    for node in (await server.http.get("/api/nodes")).json():
        for key, slot in (node.get("configSchema") or {}).items():
            config = slot.get("config", {})
            if "default" not in config:
                continue
            assert node["configValues"][key] == config["default"], (node["type"], key)
            if "suggestions" in config:
                assert config["default"] in [choice["value"] for choice in config["suggestions"]], (node["type"], key)
            assert slot["dataFlowType"] not in ("ARRAY", "OBJECT"), (node["type"], key, "which editors have no field for")


async def test_labels_are_written_by_people(server: Server) -> None:
    """None is made of something that is no text, and where one says more than its value it says it in English and Chinese."""
    for choice in chosen((await server.http.get("/api/nodes")).json()):
        label, value = choice["label"], choice["value"]
        assert "<" not in label, choice
        if label not in (str(value), str(value).upper()):
            assert any(char > "\u2e80" for char in label), choice


@pytest.mark.parametrize(
    ("full_type", "key", "side", "slots"),
    [
        ("flow:Switch", "caseCount", "outputs", [f"case_{number}" for number in range(8)]),
        ("text:Template", "inputCount", "inputs", [f"value_{number}" for number in range(8)]),
        ("text:JsonBuild", "inputCount", "inputs", [f"value_{number}" for number in range(8)]),
    ],
)
async def test_slots_appear_when_the_configuration_changes(server: Server, full_type: str, key: str, side: str, slots: list[str]) -> None:
    """An editor shows those of the mode that is chosen; a new node, and one that was saved without, has a few from the start."""
    node = next(node for node in (await server.http.get("/api/nodes")).json() if f"{node['namespace']}:{node['type']}" == full_type)
    assert (node["modeConfigKey"], node["dynamicSlots"]) == (key, True)
    offered = [choice["value"] for choice in node["configSchema"][key]["config"]["suggestions"]]
    assert offered == list(node["modes"])
    for value in offered:
        found = node["modes"][value][side]
        assert [slot for slot in found if slot in slots] == slots[: int(value)], value
    assert node[side] == node["modes"][node["defaultModeId"]][side]
    assert node["configValues"][key] == node["defaultModeId"]


def chosen(value: Any) -> Iterator[Any]:
    """Whatever stands in a list of choices, wherever that is."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("suggestions", "acceptedTypes"):
                yield from item
            else:
                yield from chosen(item)
    elif isinstance(value, list):
        for item in value:
            yield from chosen(item)


@pytest.mark.parametrize(
    ("full_type", "key", "value", "names"),
    [
        ("core:MathOperation", "operation", "[object Object]", ["add", "to_degrees"]),
        ("core:MatrixOperation", "operation", "ad", ["transpose"]),
        ("flow:Map", "onError", "explode", ["fail", "null"]),
    ],
)
async def test_a_value_that_is_none_of_the_choices_is_refused(
    server: Server, full_type: str, key: str, value: str, names: list[str]
) -> None:
    """The node fails and names the choices; it never computes with the default without a word."""
    schema = next(node for node in (await server.http.get("/api/nodes")).json() if f"{node['namespace']}:{node['type']}" == full_type)
    key = schema.get("modeConfigKey", key)
    payload = {"nodes": [{"id": "a", "fullType": full_type, "configValues": {key: value}}], "edges": []}
    async with viewer(server.ws_url) as client:
        (error,) = [message["payload"] for message in await client.run(payload) if message["type"] == "NODE_ERROR"]
    said = error["errorDetails"]["message"]
    assert key in said
    assert all(name in said for name in names)
