"""Messages, parameters, and which channel answers."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tavernkeep import NodeFailure, UserContext
from tavernkeep_nodes_llm.adapters.demo import DemoAdapter
from tavernkeep_nodes_llm.agent import AGENT
from tavernkeep_nodes_llm.channels import ConfiguredChannels, LlmRouter
from tavernkeep_nodes_llm.config import ChannelConfig, LlmConfig
from tavernkeep_nodes_llm.contracts import LlmRequest, LlmResponse
from tavernkeep_nodes_llm.messages import messages_of
from tavernkeep_nodes_llm.nodes import GENERIC_LLM_REQUEST, _parameters, create_message, merge_messages
from tavernkeep_nodes_llm.structured import STRUCTURED_OUTPUT, judged

USER = UserContext("u", "u")


def merged(*inputs: Any) -> tuple[list[Any], int]:
    warned: list[Any] = []
    context: Any = SimpleNamespace(log=SimpleNamespace(warning=lambda *args, **kwargs: warned.append(kwargs)))
    return json.loads(merge_messages({"message_inputs": list(inputs)}, context)["messages"]), len(warned)


def test_create_message_is_compact_and_unescaped() -> None:
    """A list of one message as JSON text; nothing for no content."""
    assert create_message({"role": "user", "content": "你好 🎭"}, None) == {  # type: ignore[arg-type]
        "messages": '[{"role":"user","content":"你好 🎭"}]'
    }
    assert create_message({"role": "user", "content": ""}, None) == {"messages": "[]"}  # type: ignore[arg-type]


def test_merge_flattens_and_leaves_out_what_is_no_message() -> None:
    """Messages, lists of them and their JSON, nested; the rest is skipped with a warning each."""
    one, two = {"role": "user", "content": "1"}, {"role": "assistant", "content": [{"type": "text", "text": "2"}]}
    assert merged(json.dumps([one]), two, [[one], json.dumps(two)]) == ([one, two, one, two], 0)
    assert merged("", "  ", "[]", []) == ([], 0)
    assert merged("not json", 5, None, {"role": "user"}, {"content": "x"}, one) == ([one], 5)


def test_parameters_win_over_the_single_slots() -> None:
    """A seed counts only above 0; what `parameters` names is sent as it is."""
    slots = {"temperature": 0.5, "max_tokens": 10, "top_p": 1, "seed": 0}
    assert _parameters(slots) == {"temperature": 0.5, "max_tokens": 10, "top_p": 1}
    assert _parameters(slots | {"seed": 7, "parameters": '{"temperature": 1, "tools": []}'}) == {
        "temperature": 1,
        "max_tokens": 10,
        "top_p": 1,
        "seed": 7,
        "tools": [],
    }


@pytest.mark.parametrize(
    ("messages", "mention"),
    [
        ("{not json", "JSON"),
        (5, "not an integer"),
        ("5", "not an integer"),
        ([5], r"messages\[0\]"),
        ([{"role": "user"}], r"messages\[0\]"),
    ],
)
def test_messages_that_are_none(messages: Any, mention: str) -> None:
    """The failure names the slot and the place."""
    with pytest.raises(NodeFailure, match=mention) as failure:
        messages_of(messages)
    assert failure.value.slot == "messages"


def router(*channels: ChannelConfig) -> LlmRouter:
    return LlmRouter(ConfiguredChannels(LlmConfig(channels=list(channels))), {"demo": DemoAdapter(0), "openai": DemoAdapter(0)})


async def test_the_first_channel_that_offers_the_model_answers() -> None:
    """An empty list offers all; a disabled channel none; with no channels the demo answers."""
    some = ChannelConfig("some", "http://some", supported_models=["a"])
    off = ChannelConfig("off", "http://off", disabled=True)
    every = ChannelConfig("every", "http://every/v2")
    route = router(off, some, every).route
    assert (await route("a", USER))[0].label == "some"
    assert (await route("b", USER))[0].label == "every"
    assert (await route("b", USER))[0].base_url == "http://every/v2"
    assert (await router().route("anything", USER))[0].label == "demo"
    with pytest.raises(NodeFailure, match="no channel offers the model 'b'; offered are a"):
        await router(some).route("b", USER)
    with pytest.raises(NodeFailure, match="wants the adapter 'smoke'"):
        await router(ChannelConfig("x", "http://x", adapter_type="smoke")).route("a", USER)


async def test_the_demo_answers_alike_in_one_piece_and_as_a_stream() -> None:
    """It says what it is, repeats the last message, and counts."""
    adapter = DemoAdapter(0)
    request = LlmRequest("m", [{"role": "user", "content": [{"type": "text", "text": "hello there"}]}])
    whole = await adapter.complete(request, None)  # type: ignore[arg-type]
    *chunks, last = [piece async for piece in adapter.stream(request, None)]  # type: ignore[arg-type]
    assert isinstance(last, LlmResponse)
    assert last == whole
    assert whole.text.startswith("This is the demo model")
    assert whole.text.endswith("hello there")
    assert "".join(chunk.content for chunk in chunks if chunk.type == "text_chunk") == whole.text  # type: ignore[union-attr]
    empty = await adapter.complete(LlmRequest("", []), None)  # type: ignore[arg-type]
    assert empty.text.endswith("you said nothing.")


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ('{"n": 3}', {"n": 3}),
        ('<think>{"n": 1}</think>{"n": 3}', {"n": 3}),
        ('Here it is:\n```JSON\n{"n": 3}\n```\nGood luck!', {"n": 3}),
        ('```\n{"n": 3}\n```', {"n": 3}),
        ("It is [3] then.", [3]),
        ('Sure! {"n": [3]} Anything else?', {"n": [3]}),
        ("none", None),
    ],
)
def test_json_is_found_in_an_answer(answer: str, value: Any) -> None:
    """After thoughts, in a fence of any case with text around it, or in the middle of a sentence."""
    found, problems = judged(answer, Draft202012Validator({}))
    assert (found, bool(problems)) == (value, value is None)


def test_what_only_the_form_begins_with_is_not_sent() -> None:
    """Neither a temperature nor a limit goes to a service that nobody has set: some services refuse them."""
    for node in (GENERIC_LLM_REQUEST, AGENT, STRUCTURED_OUTPUT):
        for key in {"temperature", "max_tokens", "top_p"} & node.inputs.keys():
            assert node.inputs[key].form_only
            assert "default" in node.inputs[key].config
