"""A slow, obvious, sequential interpreter of workflows, written from the protocol's rules alone, and the node types that it knows.

It runs nodes one after another in a topological order, with whole lists where the engine has streams. What it says of a workflow is what
the engine must do, whatever the order in which the engine happens to do it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import attrs

Values = dict[str, Any]
ABSENT: Any = type("Absent", (), {})()  # no value; `None` is one


class Failed(Exception):
    """A node failed; `chunks` were sent before."""

    def __init__(self, message: str, chunks: list[str] | None = None) -> None:
        super().__init__(message)
        self.chunks = chunks or []


@attrs.frozen
class BrokenStream:
    """A stream whose producer failed after these chunks."""

    chunks: list[str]


@attrs.frozen
class Slot:
    """An input or an output, as far as the rules look at it."""

    type: str = "WILDCARD"
    stream: bool = False
    multi: bool = False
    required: bool | Callable[[Values], bool] = False
    default: Any = attrs.field(default=ABSENT)


@attrs.frozen
class Type:
    """A node type. `run(inputs, config)` gives outputs and chunks (by slot, or `None` for all stream outputs)."""

    inputs: Mapping[str, Slot]
    outputs: Mapping[str, Slot]
    run: Callable[[Values, Values], tuple[Values, list[str]]]
    modes: Mapping[str, "Type"] = attrs.field(factory=dict)
    bypass: Any = None
    not_taken: Callable[[Values], set[str]] = lambda outputs: set()


@attrs.define
class Result:
    """What became of a node."""

    state: str  # complete, error, skipped, bypassed
    outputs: Values = attrs.field(factory=dict)
    streams: dict[str, list[str] | BrokenStream] = attrs.field(factory=dict)
    off: set[str] | None = attrs.field(factory=set)  # outputs on ways not taken; `None` for all
    failed_below: bool = False  # skipped because of a failure above


EMPTY: Values = {"STRING": "", "INTEGER": 0, "FLOAT": 0, "BOOLEAN": False, "ARRAY": [], "OBJECT": {}}


def compatible(source: Slot, target: Slot) -> bool:
    if source.stream != target.stream:
        return False
    if source.type == target.type or "WILDCARD" in (source.type, target.type):
        return True
    return (source.type, target.type) in {("INTEGER", "FLOAT"), ("INTEGER", "STRING"), ("FLOAT", "STRING"), ("BOOLEAN", "STRING")}


def interpret(payload: Mapping[str, Any], types: Mapping[str, Type], given: Values | None = None) -> tuple[dict[str, Result], Values]:
    """What becomes of each node, and the workflow's outputs (streamed ones as lists of chunks)."""
    nodes = {node["id"]: node for node in payload["nodes"]}
    edges = [edge for edge in payload["edges"] if edge["sourceNodeId"] in nodes and edge["targetNodeId"] in nodes]
    results: dict[str, Result] = {}
    while len(results) < len(nodes):
        for key, node in nodes.items():
            incoming = [edge for edge in edges if edge["targetNodeId"] == key]
            if key not in results and all(edge["sourceNodeId"] in results for edge in incoming):
                results[key] = _node(node, incoming, nodes, results, types, payload, given or {})
    outputs: Values = {}
    for key, mapping in payload.get("outputInterfaceMappings", {}).items():
        result = results.get(mapping["sourceNodeId"])
        slot = mapping["sourceSlotKey"]
        if result is None or result.off is None:
            continue
        stream = result.streams.get(slot)
        if payload.get("interfaceOutputs", {}).get(key, {}).get("isStream"):
            if isinstance(stream, BrokenStream):
                outputs[key] = stream.chunks
            elif stream is not None:
                outputs[key] = stream
            elif slot in result.outputs:
                outputs[key] = [result.outputs[slot]]
        elif result.state == "error":
            continue
        elif isinstance(stream, list):
            outputs[key] = "".join(stream)
        elif slot in result.outputs:
            outputs[key] = result.outputs[slot]
    return results, outputs


def _type_of(node: Mapping[str, Any], types: Mapping[str, Type], payload: Mapping[str, Any]) -> Type | None:
    if node["fullType"] == "core:NodeGroup":
        inner = payload["workflows"][node["configValues"]["referencedWorkflowId"]]
        slots = [
            {
                key: Slot(slot["dataFlowType"], stream=slot.get("isStream", False), default=slot.get("config", {}).get("default", ABSENT))
                for key, slot in side.items()
            }
            for side in (inner["interfaceInputs"], inner["interfaceOutputs"])
        ]
        return Type(slots[0], slots[1], lambda inputs, config: ({}, []))
    if node["fullType"] in ("core:GroupInput", "core:GroupOutput"):
        return Type({}, {}, lambda inputs, config: ({}, []))
    type_ = types.get(node["fullType"])
    if type_ is not None and type_.modes:
        return type_.modes.get(node.get("configValues", {}).get("mode", ""), type_)
    return type_


def _has_no_mode(node: Mapping[str, Any], types: Mapping[str, Type], wanted: str) -> bool:
    type_ = types.get(node["fullType"])
    return type_ is not None and bool(type_.modes) and wanted not in type_.modes


def _node(
    node: Mapping[str, Any],
    incoming: list[Mapping[str, Any]],
    nodes: Mapping[str, Any],
    results: Mapping[str, Result],
    types: Mapping[str, Type],
    payload: Mapping[str, Any],
    given: Values,
) -> Result:
    # Below a failed node nothing runs, bypassed or not; but who reads a failing stream is reading it already.
    type_ = _type_of(node, types, payload)
    silent = node.get("bypassed") and type_ is not None and not any(slot.stream for slot in type_.outputs.values())
    for edge in incoming:
        above = results[edge["sourceNodeId"]]
        reads = (
            type_ is not None
            and _slot_of(edge["targetHandle"], type_) in type_.inputs
            and type_.inputs[_slot_of(edge["targetHandle"], type_)].stream
        )
        broken = isinstance(above.streams.get(edge["sourceHandle"]), BrokenStream)
        if above.failed_below or (above.state == "error" and not (reads and broken and not silent)):
            return Result("skipped", failed_below=True)
    if type_ is None:
        return Result("error")
    by_slot: dict[str, list[Mapping[str, Any]]] = {}
    for edge in incoming:
        by_slot.setdefault(_slot_of(edge["targetHandle"], type_), []).append(edge)
    inputs = {key: slot.default for key, slot in type_.inputs.items() if slot.default is not ABSENT}
    inputs |= node.get("inputs", {})
    if node.get("bypassed") and not isinstance(type_.bypass, tuple):
        inputs = {}  # only what flows in over an edge is passed on
    for key, slot in type_.inputs.items():
        if slot.multi and key in inputs and not isinstance(inputs[key], list):
            inputs[key] = [inputs[key]]
    for key, arriving in by_slot.items():
        slot = type_.inputs.get(key, Slot())
        if slot.multi:
            order = node.get("inputConnectionOrders", {}).get(key, [])
            arriving = sorted(
                arriving,
                key=lambda edge: (
                    order.index(edge["id"]) if edge["id"] in order else len(order),
                    _index(edge["targetHandle"]),
                    payload["edges"].index(edge),
                ),
            )
        else:
            arriving = arriving[-1:]
        live = [edge for edge in arriving if not _is_off(results[edge["sourceNodeId"]], edge["sourceHandle"])]
        if not live:
            return Result("skipped", off=None)
        found = [value for edge in live if (value := _value(results[edge["sourceNodeId"]], edge["sourceHandle"], slot)) is not ABSENT]
        if found:
            inputs[key] = found if slot.multi else found[0]
    for key, slot in type_.inputs.items():
        if slot.stream and key in inputs and not isinstance(inputs[key], (_Chunks, BrokenStream)) and not node.get("bypassed"):
            inputs[key] = _Chunks([inputs[key]])
    if node.get("bypassed"):
        return _bypass(type_, inputs)
    config = node.get("configValues", {})
    if config.get("mode") and _has_no_mode(node, types, config["mode"]):
        return Result("error")
    for key, slot in type_.inputs.items():
        needed = slot.required(config) if callable(slot.required) else slot.required
        if needed and key not in inputs:
            return Result("error")
    if node["fullType"] == "core:GroupInput":
        return _inlet(given, payload)
    if node["fullType"] == "core:NodeGroup":
        return _group(payload, payload["workflows"][config["referencedWorkflowId"]], inputs, types, type_)
    try:
        outputs, chunks = type_.run(inputs, config)
    except Failed as failure:
        return Result("error", streams={key: BrokenStream(failure.chunks) for key, slot in type_.outputs.items() if slot.stream})
    except Exception:
        return Result("error", streams={key: BrokenStream([]) for key, slot in type_.outputs.items() if slot.stream})
    streams: dict[str, Any] = {key: chunks for key, slot in type_.outputs.items() if slot.stream}
    return Result("complete", outputs, streams, type_.not_taken(outputs))


def _inlet(given: Values, payload: Mapping[str, Any]) -> Result:
    outputs, streams, broken = dict(given), {}, False
    for key, slot in payload.get("interfaceInputs", {}).items():
        if slot.get("isStream") and key in outputs:
            value = outputs.pop(key)
            broken = broken or isinstance(value, BrokenStream)
            streams[key] = value if isinstance(value, (_Chunks, BrokenStream)) else [value]
    if broken:
        return Result(
            "error", streams={key: value if isinstance(value, BrokenStream) else BrokenStream(value) for key, value in streams.items()}
        )
    return Result("complete", outputs, {key: value if isinstance(value, BrokenStream) else list(value) for key, value in streams.items()})


class _Chunks(list[Any]):
    """A stream, whole."""


def _value(result: Result, handle: str, target: Slot) -> Any:
    stream = result.streams.get(handle)
    if stream is not None:
        if target.stream:
            return stream if isinstance(stream, BrokenStream) else _Chunks(stream)
        return ABSENT if isinstance(stream, BrokenStream) else "".join(map(str, stream))
    return result.outputs.get(handle, ABSENT)


def _is_off(result: Result, handle: str) -> bool:
    return result.off is None or handle in result.off


def _slot_of(handle: str, type_: Type) -> str:
    head, separator, tail = handle.partition("__")
    return head if separator and tail.isdigit() and head in type_.inputs else handle


def _index(handle: str) -> int:
    tail = handle.partition("__")[2]
    return int(tail) if tail.isdigit() else 10**18


def _bypass(type_: Type, inputs: Values) -> Result:
    if type_.bypass == "mute":
        return Result("bypassed")
    outputs: Values = {}
    unused = [key for key in type_.inputs if key in inputs]
    for key, slot in type_.outputs.items():
        if type_.bypass:
            through, defaults = type_.bypass
            name = through.get(key)
            if name in inputs and compatible(type_.inputs[name], slot):
                outputs[key] = inputs[name]
            else:
                outputs[key] = defaults.get(key, EMPTY.get(slot.type))
            continue
        match = next((name for name in unused if compatible(type_.inputs[name], slot)), None)
        if match is None:
            outputs[key] = EMPTY.get(slot.type)
        else:
            unused.remove(match)
            outputs[key] = inputs[match]
    streams: dict[str, Any] = {key: value for key, value in outputs.items() if isinstance(value, (_Chunks, BrokenStream))}
    if any(isinstance(stream, BrokenStream) for stream in streams.values()):
        return Result("error", streams=streams)
    plain = {key: value for key, value in outputs.items() if key not in streams}
    return Result("bypassed", plain, {key: list(value) for key, value in streams.items()})


def _group(payload: Mapping[str, Any], inner: Mapping[str, Any], inputs: Values, types: Mapping[str, Type], type_: Type) -> Result:
    given = {
        key: slot["config"]["default"] for key, slot in inner["interfaceInputs"].items() if "default" in slot.get("config", {})
    } | inputs
    outlets = {node["id"] for node in inner["nodes"] if node["type"] == "core:GroupOutput"}
    edges = [
        {
            "id": edge["id"],
            "sourceNodeId": edge["source"],
            "sourceHandle": edge["sourceHandle"],
            "targetNodeId": edge["target"],
            "targetHandle": edge["targetHandle"],
        }
        for edge in inner["edges"]
    ]
    as_payload = {
        "nodes": [{**node, "fullType": node["type"], "inputs": node.get("inputValues", {})} for node in inner["nodes"]],
        "edges": edges,
        "interfaceInputs": inner["interfaceInputs"],
        "interfaceOutputs": inner["interfaceOutputs"],
        "outputInterfaceMappings": {
            edge["targetHandle"]: {"sourceNodeId": edge["sourceNodeId"], "sourceSlotKey": edge["sourceHandle"]}
            for edge in edges
            if edge["targetNodeId"] in outlets
        },
        "workflows": payload["workflows"],
    }
    results, outputs = interpret(as_payload, types, given)
    streams: dict[str, Any] = {}
    failed = any(result.state == "error" for result in results.values())
    for key, slot in type_.outputs.items():
        if slot.stream:
            chunks = outputs.pop(key, [])
            streams[key] = BrokenStream(chunks) if failed else chunks
    if failed:
        return Result("error", streams=streams)
    return Result("complete", outputs, streams)
