"""GenericLlmRequest, CreateMessage, MergeMessages."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Final

from tavernkeep import Chunk, DataFlowType, NodeContext, NodeDefinition, NodeFailure, Outputs, Slot, choices
from tavernkeep.wire import describe
from tavernkeep_nodes_llm.adapters.errors import secrets_of
from tavernkeep_nodes_llm.contracts import Llm, LlmRequest, LlmResponse
from tavernkeep_nodes_llm.messages import compact, flattened, from_json, is_message, messages_of

_T = DataFlowType
CATEGORY: Final = "LLM"
_SINGLE_PARAMETERS: Final = ("temperature", "max_tokens", "top_p")


async def generic_llm_request(inputs: dict[str, Any], context: NodeContext) -> AsyncIterator[Chunk | Outputs]:
    """Ask a model; with `stream`, give the answer as it comes."""
    request = request_of(inputs)
    channel, adapter = await context.service(Llm).route(request.model, context.user)
    for secret in secrets_of(channel):
        context.hide(secret)
    if not inputs.get("stream"):
        yield _outputs(await adapter.complete(request, channel))
        return
    async with aclosing(adapter.stream(request, channel)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Chunk):
                yield piece
                continue
            yield finish_chunk(piece)
            yield _outputs(piece)


def request_of(inputs: Mapping[str, Any]) -> LlmRequest:
    """The question that a node's inputs make."""
    return LlmRequest(str(inputs.get("activated_model_id") or ""), messages_of(inputs["messages"]), _parameters(inputs))


def finish_chunk(response: LlmResponse) -> Chunk:
    """The last chunk of a streamed answer."""
    return Chunk(
        "finish_reason_chunk", {"finish_reason": response.finish_reason, "accumulated_text": response.text, "usage": response.usage}
    )


def _outputs(response: LlmResponse) -> Outputs:
    usage = {} if response.usage is None else {"usage": response.usage}
    return Outputs(response=response.to_output(), responseText=response.text, **usage)


def _parameters(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The single slots, with what `parameters` says over them."""
    found = {key: inputs[key] for key in _SINGLE_PARAMETERS if inputs.get(key) is not None}
    seed = inputs.get("seed")
    if isinstance(seed, (int, float)) and seed > 0:
        found["seed"] = seed
    given = from_json(inputs.get("parameters") or {}, "parameters")
    if not isinstance(given, dict):
        raise NodeFailure(f"parameters must be an object, not {describe(given)}", slot="parameters")
    return found | given


def create_message(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """One message, as a list; an empty content gives an empty list."""
    role, content = inputs["role"], inputs["content"]
    return {"messages": compact([{"role": role, "content": content}] if content not in ("", None) else [])}


def merge_messages(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """All messages that come in, in order, in one list."""
    merged: list[Any] = []
    for position, given in enumerate(inputs["message_inputs"]):
        for message in flattened(given):
            if is_message(message):
                merged.append(message)
            else:
                context.log.warning("left out what is no message", input=position, found=describe(message))
    return {"messages": compact(merged)}


# Services refuse some of these fields: what nobody has set is not sent, and the service's own default holds.
GENERIC_LLM_REQUEST = NodeDefinition(
    type="GenericLlmRequest",
    category=CATEGORY,
    display_name="LLM request",
    description="Asks a language model. The channel is the user's oldest one that offers the model.",
    width=350,
    inputs={
        "messages": Slot(
            _T.STRING,
            description="A list of {role, content}, or its JSON.",
            match_categories=("Json", "ChatHistory", "NoDefaultEdit", "UiBlock"),
            config={"default": "[]", "languageHint": "json", "multiline": True},
        ),
        "parameters": Slot(
            _T.STRING,
            description="An object, or its JSON; wins over the single inputs.",
            match_categories=("Json", "LlmConfig", "NoDefaultEdit"),
            config={"default": "{}", "languageHint": "json"},
        ),
        "activated_model_id": Slot(_T.STRING, display_name="Model"),
        "temperature": Slot(_T.FLOAT, form_only=True, config={"default": 0.7, "min": 0, "max": 2, "step": 0.01}),
        "max_tokens": Slot(_T.INTEGER, form_only=True, config={"default": 2048, "min": 1, "max": 65536, "step": 64}),
        "top_p": Slot(_T.FLOAT, form_only=True, config={"default": 1, "min": 0, "max": 1, "step": 0.01}),
        "seed": Slot(_T.INTEGER, description="Sent only when above 0.", config={"default": 0, "min": 0, "step": 1}),
        "stream": Slot(_T.BOOLEAN, config={"default": False}),
    },
    outputs={
        "response": Slot(_T.OBJECT, match_categories=("LlmOutput",)),
        "responseText": Slot(_T.STRING, display_name="Text", match_categories=("LlmOutput",)),
        "usage": Slot(_T.OBJECT, match_categories=("LlmOutput",)),
        "stream_output": Slot(_T.STRING, display_name="Stream", is_stream=True, match_categories=("StreamChunk",)),
    },
    config_schema={},
    execute=generic_llm_request,
    is_preview_unsafe=True,
)
CREATE_MESSAGE = NodeDefinition(
    type="CreateMessage",
    category=CATEGORY,
    display_name="Create message",
    description="Makes a chat message of a text.",
    width=300,
    inputs={
        "role": Slot(
            _T.STRING,
            required=True,
            match_categories=("ComboOption",),
            config={"default": "user", "suggestions": choices(("system", "user", "assistant"))},
        ),
        "content": Slot(
            _T.STRING,
            required=True,
            match_categories=("UiBlock", "CanPreview"),
            config={"default": "", "multiline": True},
        ),
    },
    outputs={"messages": Slot(_T.STRING, match_categories=("Json", "ChatHistory"))},
    execute=create_message,
    inline=True,
)
MERGE_MESSAGES = NodeDefinition(
    type="MergeMessages",
    category=CATEGORY,
    display_name="Merge messages",
    description="Puts messages and lists of messages together, in order.",
    width=200,
    inputs={"message_inputs": Slot(_T.STRING, required=True, multi=True, match_categories=("Json", "ChatMessage", "ChatHistory"))},
    outputs={"messages": Slot(_T.STRING, match_categories=("Json", "ChatHistory"))},
    execute=merge_messages,
    inline=True,
)
