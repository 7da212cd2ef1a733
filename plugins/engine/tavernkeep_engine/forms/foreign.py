"""Other programs' files that people try, told by what stands in them, so that they are refused by name."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

_DIFY_TEXT: Final = re.compile(rb"^kind:\s*[\"']?app\b", re.MULTILINE)  # which it writes as YAML


def program_of(data: object) -> str | None:
    """What a workflow is that is another program's; `None` where nothing says so."""
    return next((name for name, is_one in _PROGRAMS.items() if is_one(data)), None)


def program_of_text(text: bytes) -> str | None:
    """The same for what is no JSON."""
    return "a Dify app" if _DIFY_TEXT.search(text[:65536]) else None


def numbered(data: object, key: str) -> list[tuple[int, Mapping[str, Any]]]:
    """The objects in a list of an object, each with its place in it."""
    found = data.get(key) if isinstance(data, Mapping) else None
    return [(number, item) for number, item in enumerate(found) if isinstance(item, Mapping)] if isinstance(found, list) else []


def _parts(data: object, key: str) -> list[Mapping[str, Any]]:
    return [item for _, item in numbered(data, key)]


def _is_comfyui_api(data: object) -> bool:
    """Nodes by their ids, each with a `class_type`; whole, or as the `prompt` of a request."""
    if not isinstance(data, Mapping) or "nodes" in data:
        return False
    inner = data.get("prompt")
    nodes = [node for node in (inner if isinstance(inner, Mapping) else data).values() if isinstance(node, Mapping)]
    return any(isinstance(node.get("class_type"), str) for node in nodes)


def _is_comfyui_saved(data: object) -> bool:
    """Nodes and `links`, which are lists of numbers."""
    if not isinstance(data, Mapping) or not isinstance(data.get("nodes"), list) or "edges" in data:
        return False
    return isinstance(data.get("links"), list) or any("widgets_values" in node for node in _parts(data, "nodes"))


def _is_n8n(data: object) -> bool:
    if not isinstance(data, Mapping) or not isinstance(data.get("connections"), Mapping):
        return False
    nodes = _parts(data, "nodes")
    return "nodes" in data and all("typeVersion" in node or "parameters" in node for node in nodes)


def _is_dify(data: object) -> bool:
    if not isinstance(data, Mapping):
        return False
    graph = data.get("graph")
    return (isinstance(data.get("app"), Mapping) and (data.get("kind") == "app" or "workflow" in data or "model_config" in data)) or (
        isinstance(graph, Mapping) and "nodes" in graph and "edges" in graph
    )


def _is_flowise(data: object) -> bool:
    nodes = _parts(data, "nodes")
    return any(isinstance(inner := node.get("data"), Mapping) and "baseClasses" in inner for node in nodes)


def _is_langflow(data: object) -> bool:
    inner = data.get("data") if isinstance(data, Mapping) and "nodes" not in data else data
    if not isinstance(inner, Mapping):
        return False
    wrapped = inner is not data and isinstance(inner.get("nodes"), list) and isinstance(inner.get("edges"), list)
    return wrapped or any(node.get("type") == "genericNode" for node in _parts(inner, "nodes"))


def _is_node_red(data: object) -> bool:
    nodes = data if isinstance(data, list) else _parts(data, "flows")
    return any(isinstance(node, Mapping) and isinstance(node.get("wires"), list) for node in nodes)


def _is_invokeai(data: object) -> bool:
    return any(node.get("type") == "invocation" and isinstance(node.get("data"), Mapping) for node in _parts(data, "nodes"))


def _is_make(data: object) -> bool:
    return isinstance(data, Mapping) and any("module" in module for module in _parts(data, "flow"))


def _is_card(data: object) -> bool:
    return isinstance(data, Mapping) and str(data.get("spec", "")).startswith("chara_card")


_PROGRAMS: Final[Mapping[str, Callable[[object], bool]]] = {
    "a ComfyUI workflow in its API format": _is_comfyui_api,
    "a ComfyUI workflow as its editor saves it": _is_comfyui_saved,
    "an n8n workflow": _is_n8n,
    "a Dify app": _is_dify,
    "a Flowise flow": _is_flowise,
    "a LangFlow flow": _is_langflow,
    "a Node-RED flow": _is_node_red,
    "an InvokeAI workflow": _is_invokeai,
    "a Make blueprint": _is_make,
    "a character card": _is_card,
}
