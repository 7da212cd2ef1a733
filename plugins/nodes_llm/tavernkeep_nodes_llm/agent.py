"""Agent: a model that calls tools, which are nodes and workflows, until it has its answer."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

import attrs

from tavernkeep import Chunk, DataFlowType, NodeContext, NodeDefinition, NodeFailure, Outputs, Slot, Subflow
from tavernkeep.contracts.nodes import NodeRegistry
from tavernkeep.contracts.slots import Slots
from tavernkeep.contracts.workflow import Edge, InterfaceSlot, OutputMapping, PayloadNode, WorkflowPayload
from tavernkeep.wire import Invalid, structure
from tavernkeep_nodes_llm.adapters.errors import secrets_of
from tavernkeep_nodes_llm.adapters.parts import read_arguments
from tavernkeep_nodes_llm.contracts import Channel, Llm, LlmAdapter, LlmRequest, LlmResponse
from tavernkeep_nodes_llm.messages import compact, from_json
from tavernkeep_nodes_llm.nodes import CATEGORY, GENERIC_LLM_REQUEST, finish_chunk, request_of

_T = DataFlowType
_DEFAULT_ROUNDS: Final = 8
_JSON_TYPES: Final = {
    "STRING": "string",
    "INTEGER": "integer",
    "FLOAT": "number",
    "BOOLEAN": "boolean",
    "OBJECT": "object",
    "ARRAY": "array",
}


@attrs.frozen
class ToolConfig:
    """A tool, as the node's configuration has it.

    Attributes:
        node: A node type; or else
        workflow: The id of a workflow.
        name: What the model calls it.
        inputs: Inputs that the model does not give.
    """

    node: str | None = None
    workflow: str | None = None
    name: str | None = None
    description: str | None = None
    inputs: dict[str, Any] = attrs.field(factory=dict)
    config_values: dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Tool:
    """A tool that is ready to be called.

    Attributes:
        given: Inputs that the model does not give.
    """

    name: str
    description: str
    subflow: Subflow
    given: Mapping[str, Any]

    def to_function(self) -> dict[str, Any]:
        """The tool as models are told of it."""
        asked = {key: slot for key, slot in self.subflow.inputs.items() if key not in self.given}
        parameters: dict[str, Any] = {"type": "object", "properties": {key: _schema(slot) for key, slot in asked.items()}}
        parameters["required"] = [key for key, slot in asked.items() if slot.required and "default" not in slot.config]
        return {"type": "function", "function": {"name": self.name, "description": self.description, "parameters": parameters}}


def _schema(slot: InterfaceSlot) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    if slot.data_flow_type.value in _JSON_TYPES:
        schema["type"] = _JSON_TYPES[slot.data_flow_type.value]
    if slot.custom_description or slot.display_name:
        schema["description"] = slot.custom_description or slot.display_name
    if "default" in slot.config:
        schema["default"] = slot.config["default"]
    suggestions = slot.config.get("suggestions")
    if isinstance(suggestions, list) and "ComboOption" in slot.match_categories:
        schema["enum"] = [entry["value"] if isinstance(entry, dict) else entry for entry in suggestions]
    return schema


async def agent(inputs: dict[str, Any], context: NodeContext) -> AsyncIterator[Chunk | Outputs]:
    """Ask; run the tools that the model calls; tell it what they gave; ask again, until it calls none."""
    tools = await _tools(context)
    rounds = context.config.get("maxRounds", _DEFAULT_ROUNDS)
    request = request_of(inputs)
    channel, adapter = await context.service(Llm).route(request.model, context.user)
    for secret in secrets_of(channel):
        context.hide(secret)
    messages: list[Mapping[str, Any]] = list(request.messages)
    parameters = {**request.parameters, "tools": [tool.to_function() for tool in tools.values()]} if tools else request.parameters
    used: dict[str, int] = {}
    for number in range(1, rounds + 1):
        context.progress(number, rounds)
        asked = attrs.evolve(request, messages=messages, parameters=parameters)
        response: LlmResponse | None = None
        async with aclosing(_answers(adapter, asked, channel, stream=bool(inputs.get("stream")))) as pieces:
            async for piece in pieces:
                if isinstance(piece, LlmResponse):
                    response = piece
                elif piece.type != "usage_chunk":
                    yield piece
        assert response is not None, "an adapter gives a response or raises"
        _add_usage(used, response.usage)
        message = response.choices[0]["message"] if response.choices else {"role": "assistant", "content": response.text}
        messages.append(message)
        calls = message.get("tool_calls") or []
        if not calls:
            yield finish_chunk(attrs.evolve(response, usage=used))
            yield Outputs(response=response.text, messages=messages, usage=used, rounds=number)
            return
        results = await asyncio.gather(*(_call(call, tools, context, f"{number}-{index}") for index, call in enumerate(calls, 1)))
        for call, result in zip(calls, results, strict=True):
            messages.append({"role": "tool", "tool_call_id": call.get("id"), "name": call["function"]["name"], "content": result})
            yield Chunk("custom", {"tool": call["function"]["name"], "result": result})
    raise NodeFailure(f"the model still calls tools after {rounds} rounds (maxRounds)")


async def _answers(adapter: LlmAdapter, request: LlmRequest, channel: Channel, *, stream: bool) -> Any:
    if not stream:
        yield await adapter.complete(request, channel)
        return
    async with aclosing(adapter.stream(request, channel)) as pieces:
        async for piece in pieces:
            yield piece


async def _call(call: Mapping[str, Any], tools: Mapping[str, Tool], context: NodeContext, name: str) -> str:
    """What a tool gave, as JSON; what went wrong, for the model to do better."""
    wanted = call["function"]["name"]
    tool = tools.get(wanted)
    if tool is None:
        return compact({"error": f"there is no tool {wanted!r}; there are {', '.join(tools)}"})
    try:
        arguments = read_arguments(call)
    except Invalid as invalid:
        return compact({"error": f"the arguments are no JSON object, so the tool did not run: {invalid}"})
    try:
        outputs = await context.call(tool.subflow, {**arguments, **tool.given}, f"{name}-{tool.name}")
    except NodeFailure as failure:
        return compact({"error": str(failure)})
    value = next(iter(outputs.values())) if len(outputs) == 1 else dict(outputs)
    return value if isinstance(value, str) else compact(value)


async def _tools(context: NodeContext) -> dict[str, Tool]:
    try:
        configured = structure(from_json(context.config.get("tools"), "tools") or [], list[ToolConfig], "tools")
    except Invalid as invalid:
        raise NodeFailure(str(invalid)) from None
    tools: dict[str, Tool] = {}
    for position, config in enumerate(configured):
        tool = await _tool(config, context, position)
        if tool.name in tools:
            raise NodeFailure(f"tools[{position}]: there is another tool called {tool.name!r}")
        tools[tool.name] = tool
    return tools


async def _tool(config: ToolConfig, context: NodeContext, position: int) -> Tool:
    if (config.node is None) == (config.workflow is None):
        raise NodeFailure(f"tools[{position}]: give a node or a workflow, and not both")
    if config.workflow is not None:
        subflow = await context.workflow(config.workflow)
        return Tool(_name(config.name or subflow.name), config.description or subflow.name, subflow, config.inputs)
    assert config.node is not None
    definition = context.service(NodeRegistry).get(config.node)
    if definition is None:
        raise NodeFailure(f"tools[{position}]: unknown node type {config.node!r}")
    mode = definition.mode_for(definition.config_of(config.config_values))
    node = PayloadNode("tool", config.node, config_values=config.config_values)
    inlet = PayloadNode("in", "core:GroupInput")
    payload = WorkflowPayload(
        nodes=[inlet, node],
        edges=[Edge("in", key, "tool", key) for key in mode.inputs],
        interface_inputs=_interface(mode.inputs),
        interface_outputs=_interface(mode.outputs),
        output_interface_mappings={key: OutputMapping("tool", key) for key, slot in mode.outputs.items() if not slot.is_stream},
    )
    name = _name(config.name or definition.type)
    subflow = await context.build(payload, name)
    return Tool(name, config.description or definition.description or definition.type, subflow, config.inputs)


def _interface(slots: Slots) -> dict[str, InterfaceSlot]:
    return {
        key: InterfaceSlot(
            key=key,
            data_flow_type=slot.data_flow_type,
            display_name=slot.display_name,
            custom_description=slot.description,
            config=dict(slot.config),
            is_stream=slot.is_stream,
            required=slot.required is True,
            match_categories=list(slot.match_categories),
        )
        for key, slot in slots.items()
    }


def _name(text: str) -> str:
    """A name that models' services take: letters, digits, `_` and `-`."""
    return "".join(char if char.isascii() and (char.isalnum() or char in "_-") else "_" for char in text)[:64]


def _add_usage(total: dict[str, int], usage: Mapping[str, Any] | None) -> None:
    for key, value in (usage or {}).items():
        if isinstance(value, int):
            total[key] = total.get(key, 0) + value


_ASKING: Final[Sequence[str]] = ("messages", "activated_model_id", "parameters", "temperature", "max_tokens", "stream")

AGENT = NodeDefinition(
    type="Agent",
    namespace="llm",
    category=CATEGORY,
    display_name="Agent",
    description="A model that calls tools, which are nodes and workflows, until it has its answer.",
    width=350,
    inputs={key: GENERIC_LLM_REQUEST.inputs[key] for key in _ASKING},
    outputs={
        "response": Slot(_T.STRING, display_name="Answer", match_categories=("LlmOutput",)),
        "messages": Slot(_T.ARRAY, display_name="Messages", match_categories=("ChatHistory",)),
        "usage": Slot(_T.OBJECT, display_name="Usage"),
        "rounds": Slot(_T.INTEGER, display_name="Rounds"),
        "stream_output": Slot(_T.STRING, display_name="Stream", is_stream=True, match_categories=("StreamChunk",)),
    },
    config_schema={
        "tools": Slot(
            _T.STRING,
            display_name="Tools 工具",
            description="A JSON list of {node: TYPE} or {workflow: ID}, with name, description, inputs and configValues where needed.",
            match_categories=("Json",),
            config={"default": "[]", "multiline": True, "languageHint": "json", "placeholder": '[{"node": "TYPE"}, {"workflow": "ID"}]'},
        ),
        "maxRounds": Slot(
            _T.INTEGER,
            display_name="Most rounds 最多轮数",
            description="It fails when the model still calls tools after so many.",
            config={"default": _DEFAULT_ROUNDS, "min": 1, "max": 100},
        ),
    },
    config_values={"tools": "[]", "maxRounds": _DEFAULT_ROUNDS},
    execute=agent,
    is_preview_unsafe=True,
)
