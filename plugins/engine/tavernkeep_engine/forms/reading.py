"""The two forms of a workflow, the stored one and the execution payload, told apart wherever one is given, and made into each other."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import attrs

from tavernkeep.contracts.workflow import StoredWorkflow, WorkflowPayload
from tavernkeep.wire import Invalid, Problem, loads, structure
from tavernkeep_engine.forms.foreign import numbered, program_of, program_of_text

Form = Literal["stored", "payload"]
Json = dict[str, Any]

_HOW: Final = (
    "tavernkeep knows stored workflows (nodes with `type`, edges with `source` and `target`) and execution payloads "
    "(nodes with `fullType`, edges with `sourceNodeId` and `targetNodeId`), and `tavernkeep convert FILE` makes one of the other"
)
_NODE_KEYS: Final = {"type": "fullType", "inputValues": "inputs"}
_EDGE_KEYS: Final = {"source": "sourceNodeId", "target": "targetNodeId"}
_RUN: Final = frozenset({"metadata", "requestId", "priority", "timeoutS", "targetNodeIds", "dryRun", "preview", "workflows"})
_OUTLET: Final = "core:GroupOutput"
_COLUMN, _ROW = 360, 200  # between nodes that nobody has placed


def read(text: bytes) -> Any:
    """The JSON of a file.

    Raises:
        Invalid: It is none; where it is another program's it says whose.
    """
    try:
        return loads(text.removeprefix(b"\xef\xbb\xbf"))
    except Invalid:
        if program := program_of_text(text):
            raise _strange(program) from None
        raise


def form_of(data: object) -> Form:
    """Which of the two something is; what could be either is a payload.

    Raises:
        Invalid: It is another program's, or half of each.
    """
    if program := program_of(data):
        raise _strange(program)
    nodes = numbered(data, "nodes")
    stored = [number for number, node in nodes if "fullType" not in node and "type" in node]
    payload = [number for number, node in nodes if "fullType" in node]
    if stored and payload:
        message = f"has a `type` and no `fullType`, as nodes of stored workflows, and nodes[{payload[0]}] the other way round; {_HOW}"
        raise Invalid([Problem(f"nodes[{number}]", message) for number in stored])
    if stored or payload:
        return "stored" if stored else "payload"
    edges = [edge for _, edge in numbered(data, "edges")]
    drawn = isinstance(data, Mapping) and "viewport" in data and "outputInterfaceMappings" not in data
    return "stored" if any("source" in edge and "sourceNodeId" not in edge for edge in edges) or (drawn and not edges) else "payload"


def payload_of(data: object) -> WorkflowPayload:
    """The payload that something is, or that a stored workflow is run by.

    Raises:
        Invalid: It is neither; with every problem and its path.
    """
    if form_of(data) == "payload":
        return structure(data, WorkflowPayload)
    assert isinstance(data, Mapping), "what is no object is no stored workflow"
    payload = structure(data, StoredWorkflow).to_payload()
    how = structure({"nodes": [], "edges": [], **{key: data[key] for key in _RUN if key in data}}, WorkflowPayload)
    given = {field.name: getattr(how, field.name) for field in attrs.fields(WorkflowPayload) if field.name not in ("nodes", "edges")}
    changed = {name: value for name, value in given.items() if value != getattr(_NOTHING, name)}
    return attrs.evolve(payload, **{**changed, "metadata": {**payload.metadata, **how.metadata}})


_NOTHING: Final = WorkflowPayload([], [])


def stored_of(data: object) -> Json:
    """The stored workflow that something is, as it is, or that says the same as an execution payload.

    Its nodes stand in columns, in the order in which they run. What feeds an output of the workflow leads to a `GroupOutput`, which is
    added where there is none.

    Raises:
        Invalid: It is neither; with every problem and its path.
    """
    if form_of(data) == "stored":
        return dict(data)  # type: ignore[call-overload, no-any-return]
    payload = structure(data, WorkflowPayload)
    given: Json = dict(data)  # type: ignore[call-overload]
    nodes = [_renamed(node, _NODE_KEYS) for _, node in numbered(given, "nodes")]
    edges = [_renamed(edge, _EDGE_KEYS) for _, edge in numbered(given, "edges")]
    outputs = {key: dict(slot) for key, slot in (given.get("interfaceOutputs") or {}).items()}
    _add_outlet(payload, nodes, edges, outputs)
    taken = {edge["id"] for edge in edges if edge.get("id")}
    for number, edge in enumerate(edges):
        if not edge.get("id"):
            edge["id"] = _free(f"edge-{number}", taken)
    places = _places([node["id"] for node in nodes], [(edge["source"], edge["target"]) for edge in edges])
    for node in nodes:
        node.setdefault("position", places[node["id"]])
    kept = {key: value for key, value in given.items() if key not in ("workflowId", "outputInterfaceMappings")}
    known = {"id": payload.workflow_id or payload.reference, "name": payload.name}
    return {
        **{key: value for key, value in known.items() if value},
        **kept,
        "nodes": nodes,
        "edges": edges,
        "viewport": given.get("viewport") or {"x": 0, "y": 0, "zoom": 1},
        "interfaceInputs": given.get("interfaceInputs") or {},
        "interfaceOutputs": outputs,
    }


def _strange(program: str) -> Invalid:
    return Invalid([Problem("", f"this is {program}, which tavernkeep cannot run and cannot convert; {_HOW}")])


def _renamed(part: Mapping[str, Any], keys: Mapping[str, str]) -> Json:
    """A node or an edge with the names of the stored form."""
    names = {theirs: ours for ours, theirs in keys.items()}
    return {names.get(key, key): value for key, value in part.items() if key not in keys or keys[key] not in part}


def _add_outlet(payload: WorkflowPayload, nodes: list[Json], edges: list[Json], outputs: dict[str, Json]) -> None:
    """Lead to a `GroupOutput` what feeds an output of the workflow, and does not yet."""
    outlets = {node["id"] for node in nodes if node["type"] == _OUTLET}
    led = {(edge["source"], edge.get("sourceHandle"), edge.get("targetHandle")) for edge in edges if edge["target"] in outlets}
    missing = {
        key: mapping
        for key, mapping in payload.output_interface_mappings.items()
        if (mapping.source_node_id, mapping.source_slot_key, key) not in led
    }
    if not missing:
        return
    if not outlets:
        outlets = {_free("outputs", {node["id"] for node in nodes})}
        nodes.append({"id": next(iter(outlets)), "type": _OUTLET})
    outlet = min(outlets)
    for key, mapping in missing.items():
        edges.append({"source": mapping.source_node_id, "sourceHandle": mapping.source_slot_key, "target": outlet, "targetHandle": key})
        outputs.setdefault(key, {"key": key, "dataFlowType": "WILDCARD"})


def _free(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    taken.add(name)
    return name


def _places(ids: Iterable[str], edges: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Where each node stands: behind all that feeds it."""
    columns = dict.fromkeys(ids, 0)
    ahead: dict[str, list[str]] = {}
    waits = dict.fromkeys(columns, 0)
    for source, target in edges:
        if source in columns and target in columns:
            ahead.setdefault(source, []).append(target)
            waits[target] += 1
    ready = [id_ for id_, count in waits.items() if not count]
    while ready:
        here = ready.pop()
        for target in ahead.get(here, ()):
            columns[target] = max(columns[target], columns[here] + 1)
            waits[target] -= 1
            if not waits[target]:
                ready.append(target)
    rows: dict[int, int] = {}
    found = {}
    for id_, column in columns.items():
        rows[column] = rows.get(column, -1) + 1
        found[id_] = {"x": column * _COLUMN, "y": rows[column] * _ROW}
    return found


@attrs.frozen
class WorkflowReader:
    """See `tavernkeep_engine.contracts.WorkflowForms`."""

    def payload(self, data: object) -> WorkflowPayload:
        """See `WorkflowForms`."""
        return payload_of(data)

    def stored(self, data: object) -> Json:
        """See `WorkflowForms`."""
        return stored_of(data)


_LARGE: Final = 500  # nodes and edges; reading more of them takes longer than the event loop should wait


async def received(data: object) -> WorkflowPayload:
    """The payload that a client sent, in either form; a large one is read in a thread.

    Raises:
        Invalid: With every problem and its path.
    """
    size = sum(len(part) for key in ("nodes", "edges") if isinstance(data, dict) and isinstance(part := data.get(key), list))
    return payload_of(data) if size < _LARGE else await asyncio.to_thread(payload_of, data)
