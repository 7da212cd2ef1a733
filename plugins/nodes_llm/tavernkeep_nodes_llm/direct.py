"""The nodes of the category TEST-LLM: calls with settings that come from a node, and the small helpers for their histories."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

from tavernkeep import Chunk, DataFlowType, NodeContext, NodeDefinition, NodeFailure, Outputs, Slot, choices
from tavernkeep_guard.contracts import Headers
from tavernkeep_nodes_llm.contracts import Channel, Llm, LlmRequest
from tavernkeep_nodes_llm.messages import compact, messages_of
from tavernkeep_nodes_llm.nodes import finish_chunk

_T = DataFlowType
CATEGORY: Final = "TEST-LLM"
_ROLES: Final = ("user", "assistant", "system")
_HISTORY_SLOTS: Final = (1, 2, 3, 4)


def api_settings(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Where to call and with which key: as typed, or from the server's environment."""
    base_url, key = str(inputs["base_url"]), str(inputs["api_key"])
    if inputs["use_env_vars"]:
        base_url = os.environ.get("OPENAI_API_BASE") or base_url
        key = os.environ.get("OPENAI_API_KEY") or key
    context.hide(key)
    try:
        key = Headers.value(key)
    except ValueError as error:
        raise NodeFailure(f"api_key: {error}", slot="api_key") from None
    return {"api_settings": {"base_url": base_url, "api_key": key}}


async def openai(inputs: dict[str, Any], context: NodeContext) -> AsyncIterator[Chunk | Outputs]:
    """Ask with a prompt, a system prompt and a history."""
    messages = [*_system(inputs), *history_of(inputs.get("history"), "history"), _user(inputs["prompt"], inputs.get("image"))]
    request, channel = _request(inputs, messages, context)
    adapter = context.service(Llm).adapter("openai")
    if not inputs.get("stream"):
        yield Outputs(response=(await adapter.complete(request, channel)).text)
        return
    async with aclosing(adapter.stream(request, channel)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Chunk):
                yield piece
            else:
                yield finish_chunk(piece)
                yield Outputs(response=piece.text)


async def openai_chat(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """One turn of a conversation; gives the history with it, for the next."""
    before = [] if inputs["clear_history"] else history_of(inputs.get("external_history"), "external_history")
    asked = _user(inputs["user_input"], inputs.get("image"))
    request, channel = _request(inputs, [*_system(inputs), *before, asked], context)
    answer = await context.service(Llm).adapter("openai").complete(request, channel)
    after = [*before, {"role": "user", "content": str(inputs["user_input"])}, {"role": "assistant", "content": answer.text}]
    return {
        "full_conversation": "\n\n".join(f"{message['role']}: {message['content']}" for message in after),
        "current_output": answer.text,
        "history": compact(after),
    }


def history(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """A history of up to four messages; each is trimmed, and an empty one left out."""
    messages = []
    for number in _HISTORY_SLOTS:
        content = str(inputs.get(f"content{number}") or "").strip()
        if content:
            messages.append({"role": str(inputs.get(f"role{number}") or "user"), "content": content})
    return {"history": compact(messages)}


def merge_history(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Up to four histories in one."""
    merged = [message for number in _HISTORY_SLOTS for message in history_of(inputs.get(f"history{number}"), f"history{number}")]
    return {"history": compact(merged)}


def history_of(value: Any, slot: str) -> list[Mapping[str, Any]]:
    """The messages of a history, a list or its JSON; none where there is nothing.

    Raises:
        NodeFailure: It is neither.
    """
    return [] if value is None or (isinstance(value, str) and not value.strip()) else messages_of(value, slot)


def _system(inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    prompt = inputs.get("system_prompt")
    return [{"role": "system", "content": str(prompt)}] if prompt else []


def _user(text: Any, picture: Any) -> dict[str, Any]:
    if not picture:
        return {"role": "user", "content": str(text)}
    url = str(picture)
    if not url.startswith(("http://", "https://", "data:")):
        url = f"data:image/png;base64,{url}"
    return {"role": "user", "content": [{"type": "text", "text": str(text)}, {"type": "image_url", "image_url": {"url": url}}]}


def _request(inputs: Mapping[str, Any], messages: Sequence[Mapping[str, Any]], context: NodeContext) -> tuple[LlmRequest, Channel]:
    settings = inputs["api_settings"]
    if not isinstance(settings, dict) or not isinstance(settings.get("base_url"), str):
        raise NodeFailure("api_settings must come from an API settings node", slot="api_settings")
    key = str(settings.get("api_key") or "")
    context.hide(key)
    parameters = {name: inputs[name] for name in ("temperature", "max_tokens") if inputs.get(name) is not None}
    return LlmRequest(str(inputs["model"]), messages, parameters), Channel("the API", "openai", settings["base_url"], key)


_SETTINGS: Final = Slot(_T.OBJECT, display_name="API settings", required=True, match_categories=("LlmConfig",), secret=True)
_TEMPERATURE: Final = Slot(_T.FLOAT, required=True, config={"default": 0.7, "min": 0, "max": 2, "step": 0.1})
_MAX_TOKENS: Final = Slot(_T.INTEGER, required=True, config={"default": 512, "min": 1, "max": 16384})
_HISTORY: Final = Slot(_T.STRING, match_categories=("ChatHistory", "Json"))
_IMAGE: Final = Slot(_T.STRING, description="An address, a data: URL, or base64.", match_categories=("ImageData", "Url"))

NODES: Final = [
    NodeDefinition(
        type="APISettings",
        category=CATEGORY,
        display_name="API settings",
        description="Where to call an OpenAI-compatible service, and with which key.",
        inputs={
            "use_env_vars": Slot(
                _T.BOOLEAN,
                display_name="From the environment",
                description="Read OPENAI_API_BASE and OPENAI_API_KEY where the server has them.",
                required=True,
                config={"default": False},
            ),
            "base_url": Slot(
                _T.STRING, required=True, match_categories=("Url",), config={"default": "https://api.openai.com/v1", "multiline": False}
            ),
            "api_key": Slot(_T.STRING, display_name="API key", required=True, secret=True, config={"default": "", "multiline": False}),
        },
        outputs={"api_settings": Slot(_T.OBJECT, display_name="API settings", match_categories=("LlmConfig",), secret=True)},
        execute=api_settings,
        inline=True,
    ),
    NodeDefinition(
        type="OpenAI",
        category=CATEGORY,
        display_name="OpenAI",
        description="Asks an OpenAI-compatible service once.",
        inputs={
            "api_settings": _SETTINGS,
            "model": Slot(
                _T.STRING,
                required=True,
                config={
                    "default": "deepseek-chat",
                    "suggestions": choices(
                        ("deepseek-chat", "chatgpt-4o-latest", "claude-sonnet-4-20250514", "gemini-2.5-flash-preview-05-20")
                    ),
                    "multiline": False,
                },
            ),
            "temperature": _TEMPERATURE,
            "max_tokens": _MAX_TOKENS,
            "system_prompt": Slot(
                _T.STRING, required=True, match_categories=("Prompt", "UiBlock"), config={"default": "", "multiline": True}
            ),
            "prompt": Slot(_T.STRING, required=True, match_categories=("Prompt", "UiBlock"), config={"default": "", "multiline": True}),
            "history": _HISTORY,
            "image": _IMAGE,
            "stream": Slot(_T.BOOLEAN, config={"default": False}),
        },
        outputs={
            "response": Slot(_T.STRING, match_categories=("LlmOutput",)),
            "stream_output": Slot(_T.STRING, display_name="Stream", is_stream=True, match_categories=("LlmOutput", "TextStream")),
        },
        execute=openai,
        is_preview_unsafe=True,
    ),
    NodeDefinition(
        type="OpenAIChat",
        category=CATEGORY,
        display_name="OpenAI chat",
        description="One turn of a conversation with an OpenAI-compatible service.",
        inputs={
            "api_settings": _SETTINGS,
            "model": Slot(_T.STRING, required=True, config={"default": "gpt-4o"}),
            "temperature": _TEMPERATURE,
            "max_tokens": _MAX_TOKENS,
            "system_prompt": Slot(_T.STRING, required=True, match_categories=("Prompt",), config={"multiline": True}),
            "clear_history": Slot(_T.BOOLEAN, required=True, config={"default": False}),
            "user_input": Slot(_T.STRING, required=True, match_categories=("Prompt",), config={"multiline": True}),
            "external_history": _HISTORY,
            "image": _IMAGE,
        },
        outputs={
            "full_conversation": Slot(_T.STRING, match_categories=("ChatHistory",)),
            "current_output": Slot(_T.STRING, match_categories=("LlmOutput",)),
            "history": Slot(_T.STRING, match_categories=("ChatHistory", "Json")),
        },
        execute=openai_chat,
        is_preview_unsafe=True,
    ),
    NodeDefinition(
        type="History",
        category=CATEGORY,
        display_name="History",
        description="A history of up to four messages.",
        inputs={
            key: slot
            for number in _HISTORY_SLOTS
            for key, slot in {
                f"role{number}": Slot(_T.STRING, match_categories=("ComboOption",), config={"suggestions": choices(_ROLES)}),
                f"content{number}": Slot(_T.STRING, config={"multiline": True}),
            }.items()
        },
        outputs={"history": Slot(_T.STRING, match_categories=("ChatHistory", "Json"))},
        execute=history,
        inline=True,
    ),
    NodeDefinition(
        type="MergeHistory",
        category=CATEGORY,
        display_name="Merge history",
        description="Up to four histories in one.",
        inputs={f"history{number}": _HISTORY for number in _HISTORY_SLOTS},
        outputs={"history": Slot(_T.STRING, match_categories=("ChatHistory", "Json"))},
        execute=merge_history,
        inline=True,
    ),
]
