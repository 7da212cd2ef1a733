"""Every built-in node has the slots that saved workflows hold."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.server import Server

SPECIFIED = json.loads((Path(__file__).parent / "data" / "nodes.json").read_text(encoding="utf-8"))
FREE = ("displayName", "description", "key", "secret")  # texts for people are this project's own; what is secret is an addition


def bare(slot: dict[str, Any]) -> dict[str, Any]:
    """A slot without its texts for people, with what is said by leaving it out left out."""
    config = {key: value for key, value in slot.get("config", {}).items() if key not in ("label", "placeholder")}
    if "suggestions" in config:
        config["suggestions"] = [suggestion["value"] for suggestion in config["suggestions"]]
    kept = {key: value for key, value in slot.items() if key not in FREE and value not in (False, [], {})}
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
